"""Define the settings of a training run, and set the device and the precision of the run."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.momentum import Momentum, momentum_settings
from dynamics.model.schedules import StepSchedules
from dynamics.numerics.context import jax_settings

DTYPES = ("float32", "float64")
DEVICES = ("cpu", "gpu", "tpu")
FEW_SAMPLES = 1_000  # batch size up to which the progress bar does not suggest a smaller batch size


class TrainingRun(NamedTuple):
    """Settings of a training run of linear or deep networks."""

    steps: int
    schedules: StepSchedules  # learning rate, and parameters that change with the step
    batch_size: int
    seeds: npt.NDArray[np.integer]  # seed of each network, (S,)
    side_by_side: bool  # True if the result has an axis for the seeds
    recorded: npt.NDArray[np.int64]  # recorded steps (T,)
    dtype: str
    device: str | None
    progress: bool | None
    momentum: Momentum | None = None  # None for gradient descent without momentum

    @property
    def learning_rate(self) -> Any:
        """Learning rate, a number or an array with one value for each step."""
        return self.schedules.learning_rate

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are stored in the resulting trajectory."""
        return {
            **self.schedules.settings,
            **momentum_settings(self.momentum),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "seed": self.seeds.tolist() if self.side_by_side else int(self.seeds[0]),
            "dtype": self.dtype,
        }

    @property
    def faster(self) -> str:
        """Advice that makes long training faster, in few words for the progress bar."""
        if self.batch_size > FEW_SAMPLES:
            return f"faster, with more sampling noise: batch_size={max(self.batch_size // 10, FEW_SAMPLES)}"
        return "faster: fewer seeds" if len(self.seeds) > 1 else "faster: fewer steps with a larger `learning_rate`"

    @contextmanager
    def on_device(self) -> Iterator[str]:
        """Set JAX's device and precision for the duration of the run; yield the name of the device."""
        import jax

        with ExitStack() as context:
            context.enter_context(jax_settings(x64=self.dtype == "float64"))
            context.enter_context(jax.default_device(_device(self.device)))
            yield next(iter(jax.numpy.zeros(()).devices())).device_kind

    def keys(self) -> Any:
        """Return the keys (S,) of JAX's random numbers, one for each seed."""
        import jax

        return jax.vmap(jax.random.key)(jax.numpy.asarray(self.seeds, jax.numpy.uint32))


def check_seeds(seed: int | Sequence[int]) -> npt.NDArray[np.integer]:
    """Return one or more seeds as an array (S,); raises ArgumentError if a value cannot be a seed."""
    requirement = "be a whole number >= 0 and below 2^32, or a sequence of such numbers"
    seeds = errors.whole_array("seed", seed, requirement)
    if seeds.ndim > 1 or not seeds.size or (seeds < 0).any() or (seeds >= 2**32).any():
        errors.reject("seed", requirement, seed)
    return np.atleast_1d(seeds)


def _device(name: str | None) -> Any:
    """Return JAX's first device of the kind ``name``, which is "cpu", "gpu" or "tpu".

    If ``name`` is None, returns None, which stands for the default device. Raises ArgumentError if this machine has no
    device of the kind.
    """
    if name is None:
        return None
    import jax

    errors.choice("device", name, DEVICES)
    try:
        return jax.devices(name)[0]
    except RuntimeError:
        present = sorted({device.platform for device in jax.devices()})
        raise errors.ArgumentError(
            f"Argument `device` must be a kind of device that this machine has ({', '.join(present)}), but is {name!r}."
        ) from None
