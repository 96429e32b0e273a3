"""The third rung of the ladder: gradient descent on the population loss, as a map of the eigenvalues."""

import numpy as np

from dynamics import errors
from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.rates import Rates
from dynamics.trajectory import Trajectory


def iterate(
    model: Model, s0, steps, learning_rate, *, closure="gaussian", rtol=1e-9, every=1, progress=None
) -> Trajectory:
    r"""Iterate s_m <- s_m (1 + eta (r_m(s) - rho))^2: gradient descent on the population loss, exact at any learning rate.

    s0: (..., M), >= 0. steps: how many. learning_rate: eta > 0, a number. every: record each so many steps; step 0
    and the last one are always there. closure: see ``solve``. rtol: tolerance of the Gaussian closure.
    The result has step (T,) and t = learning_rate * step.

    Interrupting returns what is done; iterates that overflow end the run, and the status says when. Raises ArgumentError.
    """
    s = model.check_eigenvalues(s0)
    steps, every = errors.count("steps", steps, 0), errors.count("every", every)
    learning_rate = errors.positive_number("learning_rate", learning_rate)
    rates = Rates(model, closure, float(errors.positive("rtol", rtol)))
    recorded, kept, status = [0], [s], "complete"
    with progress_bar(steps, "iterate", progress) as bar, np.errstate(over="ignore", invalid="ignore"):
        try:
            for step in range(1, steps + 1):
                following = eigenvalues.step(s, rates(s), model.rho, learning_rate)
                if not np.isfinite(following).all():
                    status = f"eigenvalues diverge at step {step}"
                    break
                s = following
                if step % every == 0 or step == steps:
                    recorded.append(step)
                    kept.append(s)
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {step}"
    rates.warn_if_inaccurate()
    step = np.array(recorded)
    diverged = learning_rate * (step[-1] + 1) if status.startswith("eigenvalues") else np.inf
    return Trajectory(
        model=model,
        kind="descent",
        t=learning_rate * step,
        s=np.stack(kept, axis=-2),
        step=step,
        method="gradient descent on the population loss",
        status=status,
        error=rates.error,
        blow_up_time=np.array(diverged),
        settings={
            "learning_rate": learning_rate,
            "steps": steps,
            "every": every,
            "closure": closure,
            "rtol": float(rtol),
        },
    )
