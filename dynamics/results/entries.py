"""Describe the type and the axes of each array of a trajectory, for storage, selection and conversion."""

from typing import Any, NamedTuple

import numpy.typing as npt

Shape = tuple[int, ...]

# The axes of the arrays: recorded times, modes, units of the representation (and the units that a predictor predicts),
# inputs, and probes. The letters are those of the docstrings.
LETTERS = {"time": "T", "mode": "M", "unit": "M", "predicted": "M", "input": "N", "probe": "P"}
PER_MODE = ("tracked", "modes", "alignment")  # names of measures with an axis of modes


class Entry(NamedTuple):
    """The requirements on an array of a trajectory: its type, its axes, and whether it may be missing.

    kinds: allowed kinds of numbers, as in ``dtype.kind``. axes: names of the axes that follow the axes of the ensemble.
    ensemble: "always" if the axes of the ensemble are present, "never" if not, "maybe" if both is allowed. optional:
    True if the array may be missing.
    """

    kinds: str
    axes: tuple[str, ...]
    ensemble: str = "always"
    optional: bool = True

    def fits(self, shape: Shape, s: Shape) -> bool:
        """Return True if the described array may have the shape ``shape`` when eigenvalues have the shape ``s``."""
        own = len(shape) - len(self.axes)
        if len(s) < 2 or not s[-1] or own < 0:
            return False
        sizes = {"time": s[-2], "mode": s[-1], "unit": s[-1], "predicted": s[-1]}
        ensembles = {"always": (s[:-2],), "never": ((),), "maybe": ((), s[:-2])}[self.ensemble]
        fixed = (size == sizes.get(axis, size) for axis, size in zip(self.axes, shape[own:], strict=True))
        return shape[:own] in ensembles and all(fixed)

    @property
    def shape(self) -> str:
        """The required shape, in words."""
        letters = [LETTERS[axis] for axis in self.axes]
        alone = f"({letters[0]},)" if len(letters) == 1 else f"({', '.join(letters)})"
        whole = f"({', '.join(['...', *letters])})"
        return {"always": whole, "never": alone, "maybe": f"{whole} or {alone}"}[self.ensemble]


ENTRIES = {
    "s": Entry("f", ("time", "mode"), optional=False),
    "t": Entry("f", ("time",), "never", optional=False),
    "target": Entry("f", ("time", "mode"), optional=False),
    "predictor": Entry("f", ("time", "mode"), optional=False),
    "step": Entry("iu", ("time",), "never"),
    "blow_up_time": Entry("f", (), "maybe"),
    "population": Entry("f", ("time", "mode"), "maybe"),
    "deviation": Entry("f", ("time", "mode"), "maybe"),
    "reliable": Entry("b", ("time",), "never"),
    "mode_mean": Entry("f", ("time", "mode"), "never"),
    "mode_deviation": Entry("f", ("time", "mode"), "never"),
    "mode_reliable": Entry("b", ("time",), "never"),
    "weights": Entry("f", ("time", "unit", "input")),
    "target_weights": Entry("f", ("time", "unit", "input")),
    "predictor_weights": Entry("f", ("time", "predicted", "unit")),
    "embeddings": Entry("f", ("time", "probe", "unit")),
}


def entry_of_measure(name: str, array: npt.NDArray[Any], members: int) -> Entry:
    """Return the description of a measure, such as a metric of deep networks, as an ``Entry``.

    The axes of the array are those of the ensemble, "time", and further axes. A measure in PER_MODE has the further
    axis "mode"; the further axes of other measures are named after the measure. members: number of axes of the
    ensemble.
    """
    rest = range(array.ndim - members - 1)
    per_mode = name in PER_MODE and len(rest) == 1
    return Entry("biuf", ("time", *(("mode",) if per_mode else (f"{name}_axis{i}" for i in rest))))


def arrays_of(trajectory: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a trajectory that are present, without measures; the keys are names in ``ENTRIES``."""
    arrays = {name: getattr(trajectory, name) for name in ENTRIES}
    return {name: array for name, array in arrays.items() if array is not None}
