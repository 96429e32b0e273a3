"""Select records, modes and members of a trajectory."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.values import same
from dynamics.results.entries import ENTRIES, Entry, arrays_of, entry_of_measure
from dynamics.results.trajectory import Trajectory

Index = Any  # an index along one axis: an integer, a slice, or an array of integers or bools
ALL = slice(None)
RTOL, ATOL = 1e-9, 1e-12  # times that agree to this accuracy are equal


# --- parts of a trajectory ------------------------------------------------------------------------------------------


def part(trajectory: Trajectory, time: Index = ALL, modes: Index = ALL, members: tuple[Index, ...] = ()) -> Trajectory:
    """Return a part of a trajectory: some records, modes and members, selected by validated indices.

    time: index of records. modes: index of modes. members: one index for each axis of the ensemble, or () for all
    members. Arrays with an axis of units, such as weights, are left out if modes are selected, because units are no
    modes.
    """
    ensemble = trajectory.s.ndim - 2
    where = dict(zip(map(str, range(ensemble)), members or (ALL,) * ensemble, strict=True)) | {"time": time}
    if modes is not ALL:
        where |= {"mode": modes, "unit": None}
    cut = partial(_cut, where=where, ensemble=ensemble)
    arrays: dict[str, Any] = {name: cut(array, ENTRIES[name]) for name, array in arrays_of(trajectory).items()}
    measures: dict[str, Any] = {
        name: cut(array, entry_of_measure(name, array, ensemble)) for name, array in trajectory.measures.items()
    }
    model, settings = trajectory.model, trajectory.settings
    if members or modes is not ALL:
        model = _model_of(model, members, modes)
    if members and isinstance(settings.get("seed"), list):
        settings = settings | {"seed": np.asarray(settings["seed"])[members].tolist()}
    return replace(trajectory, **arrays, measures=measures, model=model, settings=settings)


def _cut(array: npt.NDArray[Any], entry: Entry, where: dict[str, Index], ensemble: int) -> npt.NDArray[Any] | None:
    """Return the selected part of an array of a trajectory; None if an axis of the array has the index None.

    entry: description of the array, with the names of its axes. where: dictionary from names of axes to indices; an
    axis without index is selected as a whole. ensemble: number of axes of the ensemble.
    """
    members = [str(axis) for axis in range(ensemble if array.ndim > len(entry.axes) else 0)]
    indices = [where.get(axis, ALL) for axis in (*members, *entry.axes)]
    return None if any(index is None for index in indices) else _indexed(array, indices)


def _indexed(array: npt.NDArray[Any], indices: Sequence[Index]) -> npt.NDArray[Any]:
    """Return the part of an array that ``indices`` select; there is one index for each axis."""
    for axis in reversed(range(len(indices))):
        if indices[axis] is not ALL:
            array = array[(ALL,) * axis + (indices[axis],)]
    return array


def _model_of(model: Model, members: Sequence[Index], modes: Index) -> Model:
    """Return the model of the selected members and modes: its parameters have the values of these members."""
    parameters = {}
    for name, value in model.parameter_values.items():
        values = np.asarray(value)
        of_modes = [modes] if name == "init" and values.ndim else []
        of_members = members[len(members) + len(of_modes) - values.ndim :] if members else [ALL] * values.ndim
        indices = [*of_members[: values.ndim - len(of_modes)], *of_modes]
        broadcast = [0 if isinstance(index, int) else ALL for index in indices]
        sizes = zip(values.shape, indices, broadcast, strict=True)
        selected = _indexed(values, [index if size > 1 else once for size, index, once in sizes])
        parameters[name] = selected if selected.size > 1 else selected.reshape(())
    changed = {name: values for name, values in parameters.items() if not same(values, model.parameter_values[name])}
    return model.replace(**changed) if changed else model


# --- select ---------------------------------------------------------------------------------------------------------


def select(trajectory: Trajectory, t: Any, step: Any, modes: Any, members: Any, nearest: bool = False) -> Trajectory:
    """Return a part of a trajectory; see ``Trajectory.select``, whose arguments are passed unchanged."""
    errors.flag("nearest", nearest)
    chosen = np.ones(len(trajectory.t), bool)
    if t is not None:
        chosen &= _records("t", trajectory.t, t, nearest)
    if step is not None:
        if trajectory.step is None:
            errors.reject("step", "be left out for a flow, which has times (`t`) but no steps", step)
        chosen &= _records("step", trajectory.step, step, nearest)
    if not chosen.any() and len(chosen):
        errors.reject("step", "select at least one of the records that `t` selects", step)
    time = ALL if chosen.all() else np.flatnonzero(chosen)
    of_modes = ALL if modes is None else _positions("modes", trajectory.s.shape[-1], modes)
    of_members = () if members is None else _members(trajectory.s.shape[:-2], members)
    return later_part(trajectory, time, of_modes, of_members)


def _records(name: str, recorded: npt.NDArray[Any], value: Any, nearest: bool) -> npt.NDArray[np.bool_]:
    """Return a mask (T,) of the records that an argument of ``Trajectory.select`` selects.

    name: "t" or "step", the name of the argument. value: the value of the argument, such as a range or a list of times
    or steps. recorded: times or steps of all records, (T,). nearest: True to select the nearest record if there is no
    record at a time or step in ``value``.
    """
    requirement = f"be a pair (low, high), a slice, or values that are recorded ({_listing(recorded)})"
    chosen = np.zeros(len(recorded), bool)
    limits = slice(*value) if isinstance(value, tuple) and len(value) == 2 else value
    if isinstance(limits, slice):
        low, high = _limit(name, limits.start, -np.inf), _limit(name, limits.stop, np.inf)
        inside = np.flatnonzero((recorded >= low) & (recorded <= high))
        chosen[inside[:: 1 if limits.step is None else errors.count(name, limits.step)]] = True
        if not chosen.any():
            errors.reject(name, f"contain at least one recorded value ({_listing(recorded)})", value)
        return chosen
    values = np.atleast_1d(errors.real_array(name, value, requirement))
    if values.ndim != 1 or not len(recorded):
        errors.reject(name, requirement, value)
    for wanted in values:
        closest = recorded[np.abs(recorded - wanted).argmin()]
        if nearest and recorded[0] <= wanted <= recorded[-1]:
            wanted = closest
        elif not np.isclose(wanted, closest, rtol=RTOL, atol=ATOL):
            advice = f"; the nearest is {closest:g}, which nearest=True would take" if not nearest else ""
            errors.reject(name, requirement + advice, float(wanted))
        chosen |= np.isclose(recorded, wanted, rtol=RTOL, atol=ATOL)
    return chosen


def _limit(name: str, value: Any, otherwise: float) -> float:
    """Return the limit ``value`` of a range as a number, or ``otherwise`` if the limit is None.

    The limit may be infinite. Raises ArgumentError if the limit is not a number.
    """
    if value is None:
        return otherwise
    return value if isinstance(value, float) and np.isinf(value) else errors.real_number(name, value)


def _listing(recorded: npt.NDArray[Any]) -> str:
    if not len(recorded):
        return "nothing is recorded"
    shown = [f"{value:g}" for value in recorded[:3]]
    return ", ".join([*shown, "...", f"{recorded[-1]:g}"] if len(recorded) > 4 else [f"{v:g}" for v in recorded])


def _positions(name: str, count: int, value: Any) -> npt.NDArray[np.intp]:
    """Return positions (K,) along an axis of ``count`` entries: a number, a slice, a list of numbers, or a mask."""
    requirement = f"be positions between 0 and {count - 1}: a number, a slice, a list or a mask"
    if isinstance(value, slice):
        try:
            positions = np.arange(count)[value]
        except (TypeError, ValueError):
            errors.reject(name, requirement, value)
    else:
        indices = np.atleast_1d(errors.as_array(name, value, requirement))
        fits = indices.ndim == 1 and (
            (indices.dtype.kind in "iu" and ((indices >= -count) & (indices < count)).all())
            or (indices.dtype.kind == "b" and len(indices) == count)
        )
        if not fits:
            errors.reject(name, requirement, value)
        positions = np.arange(count)[indices]
    if not len(positions):
        errors.reject(name, requirement, value)
    return positions


def _members(ensemble: tuple[int, ...], value: Any) -> tuple[Index, ...]:
    """Return one index for each axis of an ensemble, from the argument ``members`` of ``Trajectory.select``.

    If ``members`` has a single number for an axis, the index is a number, so that indexing removes the axis.
    """
    if not ensemble:
        errors.reject("members", "be left out for a single trajectory, which is not an ensemble", value)
    values = value if isinstance(value, tuple) else (value,)
    if len(values) > len(ensemble):
        errors.reject("members", f"have at most {len(ensemble)} entries, one for each axis of the ensemble", value)
    positions = [_positions("members", count, v) for count, v in zip(ensemble, values, strict=False)]
    alone = [not isinstance(v, slice) and np.ndim(v) == 0 for v in values]
    indices = [int(p[0]) if single else p for p, single in zip(positions, alone, strict=True)]
    return (*indices, *[ALL] * (len(ensemble) - len(values)))


def later_part(whole: Trajectory, time: Index, modes: Index = ALL, members: tuple[Index, ...] = ()) -> Trajectory:
    """Return a part of a trajectory, with the quantities "modes" and "alignment" of the part among its measures.

    A quantity that can be computed from the part itself is left out. The quantity "modes" are variances along the
    eigenvectors at the first record of the whole trajectory, which the part need not contain. The arguments are those
    of the function ``part``.
    """
    result = part(whole, time, modes, members)
    if whole.weights is None:
        kept = {"modes": part(whole, ALL, modes, members).modes[..., time, :]}
    else:
        kept = {"modes": whole.modes}
        if modes is not ALL and whole.predictor_weights is not None:
            kept["alignment"] = whole.alignment
        where = {str(axis): index for axis, index in enumerate(members)} | {"time": time, "mode": modes}
        entry, ensemble = Entry("f", ("time", "mode")), whole.s.ndim - 2
        kept = {name: np.asarray(_cut(values, entry, where, ensemble)) for name, values in kept.items()}
    return with_derived(result, kept)


def with_derived(result: Trajectory, derived: dict[str, npt.NDArray[Any]]) -> Trajectory:
    """Return a trajectory with derived quantities added to its measures.

    The quantity "modes" is left out if the trajectory itself gives the same values. Nothing is added to a prediction of
    ``iterate`` for correlated inputs, which has the attribute ``mode_mean``.
    """
    missing = {
        name: values
        for name, values in derived.items()
        if result.mode_mean is None and not (name == "modes" and same(result.modes, values))
    }
    return replace(result, measures=result.measures | missing) if missing else result
