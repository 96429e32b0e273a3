"""Write trajectories to netCDF files, and read the contents of such files.

The format is netCDF-3 with 64-bit offsets, which xarray and all other netCDF programs read. SciPy writes and reads it,
so that no further library is needed, and a damaged or hostile file is parsed by Python alone. The newer format
netCDF-4 (HDF5) would compress the arrays to about three quarters, but is parsed by a C library in which such files
still cause crashes.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.files import replacing
from dynamics.results.conversion import TIME, TITLES, NamedArrays, named_arrays
from dynamics.results.trajectory import Trajectory

MAGIC = (b"CDF\x01", b"CDF\x02")  # first bytes of a netCDF-3 file
LARGEST = 2**31 - 4  # largest size of an array in bytes
STORED = {  # types of the arrays of trajectories that netCDF-3 lacks, and the types as which they are stored
    "bool": "int8",
    "int64": "int32",
    "uint32": "int32",
    "uint64": "int32",
    "uint16": "int32",
    "uint8": "int16",
    "float16": "float32",
}
KEPT = ("int8", "int16", "int32", "float32", "float64")  # types that netCDF-3 has
DTYPE = "dtype"  # attribute with the type of an array; xarray reads "bool" in the same way
ATTRIBUTES = ("model", "kind", "method", "status", "error", "settings")

Arrays = dict[str, npt.NDArray[Any]]


def write(trajectory: Trajectory, path: Path, form: str) -> None:
    """Write a trajectory to a netCDF file. form: name and version of the format, which the file states.

    The file is either written completely or not changed at all. Raises ArgumentError if netCDF-3 cannot hold an array.
    """
    from scipy.io import netcdf_file

    named = named_arrays(trajectory)
    everything = named.variables | named.coordinates
    stored = {name: _stored(name, values) for name, (_, values) in everything.items()}
    attributes = named.attributes | {
        "format": form,
        "coordinates": " ".join(named.coordinates),
        "measures": " ".join(trajectory.measures),
    }
    with replacing(path) as fresh, netcdf_file(fresh, "w", mmap=False, version=2) as file:
        for name, value in attributes.items():
            setattr(file, name, value.encode() if isinstance(value, str) else value)
        file.checksum = _checksum(_contents(named), attributes)
        for name, (dims, values) in everything.items():
            for dim, size in zip(dims, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, size or None)  # SciPy writes an empty axis as one without a fixed length
            variable = file.createVariable(name, stored[name].dtype, dims)
            if values.size:
                variable[...] = stored[name]
            if stored[name].dtype != values.dtype:
                setattr(variable, DTYPE, str(values.dtype))
            if name in TITLES:
                variable.long_name = TITLES[name]


def _stored(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with a type that netCDF-3 has; raise ArgumentError if the array would change or is too large."""
    kind = str(values.dtype)
    stored = np.asarray(values).astype(kind if kind in KEPT else STORED.get(kind, "int8"))
    if not np.array_equal(stored, values, equal_nan=values.dtype.kind == "f"):
        raise errors.ArgumentError(f"Argument `path` must end in .npz, because netCDF-3 cannot hold `{name}` ({kind}).")
    if stored.nbytes > LARGEST:
        message = f"Argument `path` must end in .npz, because netCDF-3 has at most {LARGEST} bytes for an array"
        raise errors.ArgumentError(f"{message}, and `{name}` has {stored.nbytes}.")
    return stored


def _contents(named: NamedArrays) -> Arrays:
    """Return the arrays from which a trajectory is restored: all except coordinates that the model contains."""
    times = {
        {TIME: "t"}.get(name, name): named.coordinates[name].values
        for name in (TIME, "step")
        if name in named.coordinates
    }
    return {name: variable.values for name, variable in named.variables.items()} | times


def _checksum(arrays: Arrays, attributes: dict[str, Any]) -> str:
    """Return a checksum of all contents from which a trajectory is restored."""
    total = hashlib.sha256(json.dumps([attributes[name] for name in (*ATTRIBUTES, "format", "measures")]).encode())
    for name, values in sorted(arrays.items()):
        total.update(f"{name} {values.dtype} {values.shape}".encode())
        total.update(np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


def read(raw: bytes, prefix: str) -> Arrays:
    """Return the contents of a netCDF file in the form of an .npz file: a dictionary of named arrays.

    The array "about" contains the description of the trajectory as JSON. prefix: text with which names of measures
    begin in the result. Raises an exception of any class if the file is damaged, and ValueError if the checksum in the
    file does not fit the contents.
    """
    from scipy.io import netcdf_file

    with netcdf_file(io.BytesIO(raw), "r", mmap=False) as file:
        attributes = {name: _text(value) for name, value in file._attributes.items()}
        coordinates = set(attributes["coordinates"].split()) - {TIME, "step"}
        arrays = {
            "t" if name == TIME else name: _restored(variable)
            for name, variable in file.variables.items()
            if name not in coordinates
        }
    if attributes["checksum"] != _checksum(arrays, attributes):
        raise ValueError("its checksum does not fit its contents")
    for name in attributes["measures"].split():
        arrays[prefix + name] = arrays.pop(name)
    parsed = {name: json.loads(attributes[name]) for name in ("model", "settings")}
    about = {name: attributes[name] for name in (*ATTRIBUTES, "format")} | parsed
    return arrays | {"about": np.array(json.dumps(about))}


def _text(value: Any) -> Any:
    """Return an attribute of a netCDF file as text, or as a number."""
    return value.decode() if isinstance(value, bytes) else float(value)


def _restored(variable: Any) -> npt.NDArray[Any]:
    """Return a stored array with its original type, in the byte order of this machine."""
    values = np.asarray(variable[...])
    kind = variable._attributes.get(DTYPE, b"").decode()
    if kind and kind not in STORED:
        raise ValueError(f"an unknown type {errors.excerpt(kind)}")
    return np.array(values, dtype=kind or values.dtype.newbyteorder("="))
