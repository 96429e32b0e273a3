"""Join trajectories that follow one another in time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.values import same
from dynamics.results.entries import ENTRIES, arrays_of
from dynamics.results.selection import later_part, part, with_derived
from dynamics.results.trajectory import Trajectory

JOINT = {"rtol": 1e-5, "atol": 1e-9}  # states that agree to this accuracy are equal; single precision has 1e-7
MAY_DIFFER = ("method", "steps", "record", "rtol", "atol", "until", "seed")  # settings that may differ


@isolated
def concatenate(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Join trajectories of one model that follow one another in time.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        Trajectories with the same kind and model (except for the initial predictor). Each trajectory begins at the last
        time of the preceding trajectory, or later. A trajectory that begins at t = 0 is a run that was started from the
        last state of the preceding trajectory; the last time and step of the preceding trajectory are then added to its
        times and steps.

    Returns
    -------
    Trajectory
        A record that two trajectories share, the last of one and the first of the next, is kept once. The status is
        that of the last trajectory. Settings that differ, such as seeds, become lists.

    Raises
    ------
    ArgumentError
        If the trajectories differ in their model, kind, modes, ensemble, arrays or settings (except ``steps``,
        ``record``, ``seed``, ``method`` and tolerances), if times do not ascend, or if a trajectory does not begin with
        the state with which the preceding trajectory ends.

    Examples
    --------
    >>> import dynamics as dyn
    >>> model = dyn.Model("euclidean")
    >>> first = dyn.iterate(model, [0.1, 0.5], steps=10, learning_rate=0.1)
    >>> second = dyn.iterate(model, first.s[-1], steps=5, learning_rate=0.1)
    >>> dyn.concatenate([first, second]).step[-1]
    np.int64(15)
    """
    requirement = "be a sequence of one or more trajectories"
    if isinstance(trajectories, Trajectory) or not isinstance(trajectories, Sequence) or not len(trajectories):
        errors.reject("trajectories", requirement, trajectories)
    for trajectory in trajectories:
        errors.instance("trajectories", trajectory, Trajectory, requirement)
    pieces = [trajectories[0]]
    for following in trajectories[1:]:
        _check_alike(trajectories[0], following)
        following = _continuing(pieces[-1], following)
        pieces += [following] if len(following.t) else []
    return _joined(pieces) if len(pieces) > 1 else pieces[0]


def _check_alike(first: Trajectory, second: Trajectory) -> None:
    for name, value, reference in (
        ("model", _with_init(second.model, first.model), first.model),
        ("kind", second.kind, first.kind),
        ("ensemble", second.s.shape[:-2], first.s.shape[:-2]),
        ("number of modes", second.s.shape[-1], first.s.shape[-1]),
        ("arrays", list(arrays_of(second)), list(arrays_of(first))),
        ("measures", _measures(second), _measures(first)),
        ("settings", _fixed(second.settings), _fixed(first.settings)),
    ):
        if not same(value, reference):
            errors.reject("trajectories", f"have the same {name}, {errors.excerpt(reference)}", value)


def _with_init(model: Model, first: Model) -> Model:
    """Return a model with the initial predictor of the model ``first``, if both models have a learned predictor.

    The initial predictor is no property of the dynamics, and may therefore differ between trajectories to join.
    """
    init = first.parameter_values.get("init")
    return model if init is None or "init" not in model.parameter_names else model.replace(init=init)


def _measures(trajectory: Trajectory) -> list[str]:
    return sorted(trajectory.measures.keys() - {"modes"})


def _fixed(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in MAY_DIFFER}


def _continuing(first: Trajectory, second: Trajectory) -> Trajectory:
    """Return the part of the trajectory ``second`` after the last record of ``first``.

    Times and steps of the result are counted from the start of ``first``.
    """
    if not len(first.t) or not len(second.t):
        return second
    if second.t[0] == 0 and first.t[-1] > 0:
        _check_can_continue(second)
        second = _shifted(second, first)
    if second.t[0] < first.t[-1]:
        requirement = f"begin at t = 0 or at {first.t[-1]:g}, the last time of the preceding trajectory, or later"
        errors.reject("trajectories", requirement, float(second.t[0]))
    shared = second.t == first.t[-1] if second.step is None else second.step == np.asarray(first.step)[-1]
    if shared.any():
        _check_joint(first, second)
    return later_part(second, np.flatnonzero(~shared))


def _check_can_continue(second: Trajectory) -> None:
    """Raise ArgumentError if a run that starts anew is no continuation: if it has momentum, or a schedule."""
    settings = second.settings
    scheduled = "schedules" in settings or isinstance(settings.get("learning_rate"), list)
    if scheduled or "momentum" in settings:
        reason = "schedules begin" if scheduled else "the buffer of momentum begins"
        requirement = (
            f"be parts of one run: {reason} anew with a second run, which therefore does not continue the first"
        )
        errors.reject("trajectories", requirement, second)


def _shifted(second: Trajectory, first: Trajectory) -> Trajectory:
    """Return the trajectory ``second`` with times and steps counted from the start of the preceding trajectory."""
    shift = first.t[-1]
    changed: dict[str, Any] = {"t": second.t + shift, "blow_up_time": second.blow_up_time + shift}
    if second.step is not None:
        last = int(np.asarray(first.step)[-1])
        changed["step"] = second.step + last
        changed["settings"] = second.settings | {"steps": last + second.settings["steps"]}
    if "t = " in second.status:
        changed["status"] = f"{second.status}; this time is counted from t = {shift:.6g}"
    return replace(second, **changed)


def _check_joint(first: Trajectory, second: Trajectory) -> None:
    """Raise ArgumentError unless ``second`` begins with the state with which ``first`` ends."""
    end, start = part(first, [-1]), part(second, [0])
    for name, last in arrays_of(end).items():
        values = getattr(start, name)
        if last.dtype.kind == "f" and name not in ("t", "blow_up_time") and not _close(last, values):
            requirement = (
                f"begin with the state with which the preceding trajectory ends; at t = {first.t[-1]:g}, `{name}` must "
                f"be {errors.excerpt(last[..., 0, :])}"
            )
            errors.reject("trajectories", requirement, values[..., 0, :])


def _close(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    scale = np.abs(a).max(initial=0.0, where=np.isfinite(a))
    return np.allclose(a, b, rtol=JOINT["rtol"], atol=JOINT["atol"] * scale, equal_nan=True)


def _joined(pieces: list[Trajectory]) -> Trajectory:
    """Return one trajectory with the records of all ``pieces``.

    The pieces are trajectories of the same kind, with the same arrays, whose times do not overlap.
    """
    first, last = pieces[0], pieces[-1]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces], axis=-len(ENTRIES[name].axes))
        for name in arrays_of(first)
        if "time" in ENTRIES[name].axes
    }
    along = first.s.ndim - 2
    measures = {name: np.concatenate([p.measures[name] for p in pieces], axis=along) for name in _measures(first)}
    blow_up_time = first.blow_up_time
    for piece in pieces[1:]:
        blow_up_time = np.where(np.isfinite(blow_up_time), blow_up_time, piece.blow_up_time)
    result = replace(
        last,
        model=first.model,
        **arrays,
        measures=measures,
        blow_up_time=blow_up_time,
        method=", then ".join(dict.fromkeys(piece.method for piece in pieces)),
        error=max(piece.error for piece in pieces),
        settings={name: _common(name, pieces) for name in last.settings},
    )
    stored = [("modes" in piece.measures) for piece in pieces]
    if not any(stored) or (first.weights is not None and not stored[0]):
        return result
    return with_derived(result, {"modes": np.concatenate([piece.modes for piece in pieces], axis=along)})


def _common(name: str, pieces: list[Trajectory]) -> Any:
    """Return the value of a setting in a joined trajectory: one value if all pieces have the same value, else a list.

    For the setting "steps", the largest value is returned.
    """
    values: list[Any] = [piece.settings.get(name) for piece in pieces]
    if name == "steps":
        return max(values)
    return values[0] if all(same(value, values[0]) for value in values) else values
