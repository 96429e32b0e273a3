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
    r"""Iterate s_m <- s_m (1 + eta (r_m(s) - rho))^2: gradient descent on the population loss, at any learning rate.

    s0: (..., M), >= 0. steps: how many. learning_rate: eta > 0, a number. every: record each so many steps; step 0
    and the last one are always there. closure: see ``solve``. rtol: tolerance of the Gaussian closure.
    The result has step (T,) and t = learning_rate * step. A run whose iterates overflow ends there, and the status says
    when; in an ensemble such members are inf from there on. Interrupting returns what is done. Raises ArgumentError.
    """
    errors.instance("model", model, Model, "be a Model")
    s = model.check_eigenvalues(s0)
    steps, every = errors.count("steps", steps, 0), errors.count("every", every)
    learning_rate = errors.positive_number("learning_rate", learning_rate)
    rates = Rates(model, closure, rtol := errors.positive_number("rtol", rtol))
    recorded, kept, status = [0], [s], "complete"
    blow_up = np.full(s.shape[:-1], np.inf)
    with progress_bar(steps, "iterate", progress) as bar:
        try:
            for step in range(1, steps + 1):
                s = _one_step(s, rates, learning_rate)
                rates.relax()
                blow_up = np.where(np.isinf(s).any(axis=-1) & np.isinf(blow_up), learning_rate * step, blow_up)
                if np.isfinite(blow_up).all():
                    break
                if step % every == 0 or step == steps:
                    recorded.append(step)
                    kept.append(s)
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {step}"
    rates.warn_if_inaccurate()
    if np.isfinite(blow_up).any():
        status = f"eigenvalues diverge at step {round(blow_up.min() / learning_rate)}"
    return Trajectory(
        model=model,
        kind="descent",
        t=learning_rate * np.array(recorded),
        s=np.stack(kept, axis=-2),
        step=np.array(recorded),
        method="gradient descent on the population loss",
        status=status,
        error=rates.error,
        blow_up_time=blow_up,
        settings={
            "learning_rate": learning_rate,
            "steps": steps,
            "every": every,
            "closure": closure,
            "rtol": rtol,
        },
    )


def _one_step(s: np.ndarray, rates: Rates, learning_rate: float) -> np.ndarray:
    """The next eigenvalues (..., M); inf in all modes of a member that overflowed."""
    gone = np.isinf(s).any(axis=-1, keepdims=True)
    start = np.where(gone, 1.0, s)
    with np.errstate(over="ignore", invalid="ignore"):
        following = eigenvalues.step(start, rates(start), rates.model.rho, learning_rate)
    gone = gone | ~np.isfinite(following).all(axis=-1, keepdims=True)
    return np.where(gone, np.inf, following)
