"""Convert trajectories to arrays with named axes: for netCDF files, xarray datasets and pandas data frames."""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.memory import check_size
from dynamics.results.entries import ENTRIES, arrays_of, entry_of_measure
from dynamics.results.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

TIME = "time"  # the name of ``t``, as in stores of sweeps
TITLES = {
    "s": "eigenvalue s of the representation correlation",
    "target": "eigenvalue of the target's correlation",
    "predictor": "predictor eigenvalue lambda",
    "blow_up_time": "time at which eigenvalues diverge",
    "population": "eigenvalue of the descent map",
    "deviation": "predicted standard deviation of s over networks",
    TIME: "time, learning rate x steps",
}


class NamedVariable(NamedTuple):
    """An array with the names of its axes."""

    dims: tuple[str, ...]
    values: npt.NDArray[Any]


class NamedArrays(NamedTuple):
    """A trajectory as arrays with named axes."""

    variables: dict[str, NamedVariable]
    coordinates: dict[str, NamedVariable]
    attributes: dict[str, Any]


def named_arrays(trajectory: Trajectory) -> NamedArrays:
    """Return all arrays of a trajectory with named axes, and the other contents of the trajectory as attributes."""
    arrays, ensemble = arrays_of(trajectory), trajectory.s.ndim - 2
    members, coordinates = _members(trajectory)
    record = "step" if trajectory.step is not None else TIME
    variables = {}
    described = {name: (ENTRIES[name], array) for name, array in arrays.items()} | {
        name: (entry_of_measure(name, array, ensemble), array) for name, array in trajectory.measures.items()
    }
    for name, (entry, array) in described.items():
        axes = tuple(record if axis == "time" else axis for axis in entry.axes)
        variables[name] = NamedVariable((*(members if array.ndim > len(axes) else ()), *axes), array)
    times = {TIME: variables.pop("t")} | ({"step": variables.pop("step")} if record == "step" else {})
    attributes = {
        "title": trajectory.headline,
        "model": json.dumps(trajectory.model.to_dict()),
        "kind": trajectory.kind,
        "method": trajectory.method,
        "status": trajectory.status,
        "error": np.float64(trajectory.error),
        "settings": json.dumps(trajectory.settings),
    }
    return NamedArrays(variables, times | coordinates, attributes)


def _members(trajectory: Trajectory) -> tuple[tuple[str, ...], dict[str, NamedVariable]]:
    """Return the names of the axes of the ensemble, and the coordinates along these axes: parameters, or seeds."""
    shape = trajectory.s.shape[:-2]
    along = {name: _varying(name, np.asarray(value), len(shape)) for name, value in _parameters(trajectory).items()}
    along = {name: found for name, found in along.items() if found[0]}
    dims = []
    for axis in range(len(shape)):
        alone = [name for name, (axes, _) in along.items() if axes == (axis,)]
        unnamed = "member" if len(shape) == 1 else f"member{axis + 1}"
        dims.append(alone[0] if len(alone) == 1 else unnamed)
    return tuple(dims), {
        name: NamedVariable(tuple(dims[axis] for axis in axes), values) for name, (axes, values) in along.items()
    }


def _parameters(trajectory: Trajectory) -> dict[str, Any]:
    """Return the parameters of the model and the seeds, in a dictionary with their names as keys.

    If a parameter has the same name as an array or an axis, "parameter_" is put before the name.
    """
    taken = {*ENTRIES, *trajectory.measures, TIME, "mode", "unit", "predicted", "input", "probe", "member", "seed"}
    values = trajectory.model.parameter_values
    if "init" in values:
        values["init"] = trajectory.model.init[..., 0] if trajectory.model.init.shape[-1] == 1 else 0.0
    named = {f"parameter_{name}" if name in taken else name: value for name, value in values.items()}
    seeds = trajectory.settings.get("seed")
    if isinstance(seeds, list) and np.shape(seeds) == trajectory.s.shape[:-2]:
        named["seed"] = seeds
    return named


def _varying(name: str, values: npt.NDArray[Any], ensemble: int) -> tuple[tuple[int, ...], npt.NDArray[Any]]:
    """Return the axes of the ensemble along which a parameter varies, and the parameter's values along these axes."""
    sizes = (1,) * (ensemble - values.ndim) + values.shape
    axes = tuple(axis for axis, size in enumerate(sizes) if size > 1 or (name == "seed" and axis < ensemble))
    return axes, values.reshape([sizes[axis] for axis in axes])


# --- xarray and pandas ----------------------------------------------------------------------------------------------


def to_xarray(trajectory: Trajectory) -> "xr.Dataset":
    """Return a trajectory as a dataset; see ``Trajectory.to_xarray``."""
    errors.require_extra("data", "xarray")
    import xarray as xr

    named = named_arrays(trajectory)
    titles = {
        name: {"long_name": TITLES[name]} if name in TITLES else {} for name in named.variables | named.coordinates
    }
    return xr.Dataset(
        {name: (dims, values, titles[name]) for name, (dims, values) in named.variables.items()},
        {name: (dims, values, titles[name]) for name, (dims, values) in named.coordinates.items()},
        named.attributes,
    )


def to_dataframe(trajectory: Trajectory) -> "pd.DataFrame":
    """Return a trajectory as a data frame; see ``Trajectory.to_dataframe``."""
    dataset = to_xarray(trajectory)
    axes = set(dataset.s.dims)
    columns = [name for name, variable in dataset.data_vars.items() if set(variable.dims) <= axes]
    check_size("The table", dataset.s.size * (len(columns) + len(dataset.coords)), "Select fewer records or modes.")
    order = ["s", *(name for name in columns if name != "s")]
    frame = dataset[order].to_dataframe(dim_order=list(dataset.s.dims)).reset_index()
    indices = [*dataset.s.dims, *(name for name in dataset.coords if name not in axes)]
    return frame[[*indices, *order]]
