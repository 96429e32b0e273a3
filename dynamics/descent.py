"""The third rung of the ladder: gradient descent on the population loss, as a map of the eigenvalues."""

import numpy as np

from dynamics import errors
from dynamics.fluctuations import Fluctuations
from dynamics.model import Model
from dynamics.progress import progress_bar
from dynamics.rates import Rates
from dynamics.state import Readings, State, initial, readings, step
from dynamics.trajectory import Trajectory


def iterate(
    model: Model,
    s0,
    steps,
    learning_rate,
    *,
    batch_size=None,
    closure="gaussian",
    rtol=1e-9,
    every=1,
    progress=None,
) -> Trajectory:
    r"""Iterate s_m <- s_m (1 + eta (r_m - rho))^2, and whatever else moves: gradient descent on the population loss.

    s0: (..., M), >= 0. steps: how many. learning_rate: eta > 0, a number.
    batch_size: of a network, whose fluctuations around the map are predicted then: the result's ``deviation`` (T, M)
    is the standard deviation of u_m . C u_m from batch to batch, by linear noise; for one trajectory.
    every: record each so many steps; step 0
    and the last one are always there. closure: see ``solve``. rtol: tolerance of the Gaussian closure.
    The result has step (T,) and t = learning_rate * step. A run whose iterates overflow ends there, and the status says
    when; in an ensemble such members are inf from there on. Interrupting returns what is done. Raises ArgumentError.
    """
    errors.instance("model", model, Model, "be a Model")
    s0 = model.check_eigenvalues(s0)
    steps, every = errors.count("steps", steps, 0), errors.count("every", every)
    learning_rate = errors.positive_number("learning_rate", learning_rate)
    rates = Rates(model, closure, rtol := errors.positive_number("rtol", rtol))
    state = initial(model.structure, s0, model.init)
    noise = _fluctuations(rates, s0, learning_rate, batch_size)
    first = readings(model.structure, model.parameters, state)._replace(s=s0, target=s0)  # not the root's square
    recorded, kept, status = [0], [first], "complete"
    deviations = [noise.deviation(state)] if noise else []
    blow_up = np.full(s0.shape[:-1], np.inf)
    with progress_bar(steps, "iterate", progress) as bar:
        try:
            for number in range(1, steps + 1):
                if noise:
                    noise.advance(state)
                state = _one_step(state, rates, learning_rate)
                rates.relax()
                gone = np.isinf(state.w).any(axis=-1)
                blow_up = np.where(gone & np.isinf(blow_up), learning_rate * number, blow_up)
                if gone.all():
                    break
                if number % every == 0 or number == steps:
                    recorded.append(number)
                    kept.append(readings(model.structure, model.parameters, state))
                    deviations += [noise.deviation(state)] if noise else []
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {number}"
        except FloatingPointError as error:
            status = f"stopped before step {number}: {error}"
    rates.warn_if_inaccurate()
    if np.isfinite(blow_up).any():
        diverged = f"eigenvalues diverge at step {round(blow_up.min() / learning_rate)}"
        status = diverged if status == "complete" else f"{diverged}; {status}"
    return Trajectory(
        model=model,
        kind="descent",
        t=learning_rate * np.array(recorded),
        **{
            name: np.stack(values, axis=-2)
            for name, values in zip(Readings._fields, zip(*kept, strict=True), strict=True)
        },
        step=np.array(recorded),
        method="gradient descent on the population loss",
        status=status,
        error=rates.error,
        blow_up_time=blow_up,
        deviation=np.stack(deviations) if noise else None,
        settings={
            "learning_rate": learning_rate,
            "steps": steps,
            "batch_size": batch_size,
            "every": every,
            "closure": closure,
            "rtol": rtol,
        },
    )


def _fluctuations(rates: Rates, s0: np.ndarray, learning_rate: float, batch_size) -> Fluctuations | None:
    if batch_size is None:
        return None
    if s0.ndim > 1:
        errors.reject("batch_size", "be left out for an ensemble: fluctuations are those of one trajectory", batch_size)
    return Fluctuations(rates, learning_rate, errors.count("batch_size", batch_size))


def _one_step(state: State, rates: Rates, learning_rate: float) -> State:
    """The next state; inf in all modes of a member that overflowed."""
    gone = np.isinf(state.w).any(axis=-1, keepdims=True)
    start = State(*(None if part is None else np.where(gone, 1.0, part) for part in state))
    with np.errstate(over="ignore", invalid="ignore"):
        following = step(rates.structure, rates.parameters, start, rates(start), learning_rate)
        for part in following:
            gone = gone if part is None else gone | ~np.isfinite(part**2).all(axis=-1, keepdims=True)
    return State(*(None if part is None else np.where(gone, np.inf, part) for part in following))
