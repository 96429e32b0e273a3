"""Settings of NumPy and JAX under which this package computes, whatever the settings of the caller.

A caller may let NumPy raise at an underflow, or JAX at a promotion. Such settings are for code that expects them; here
values that overflow or are not a number are part of some algorithms, and results are checked where they are returned.
Both contexts hold for the present thread alone and change no global state.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., object])

JAX_SETTINGS = {  # context managers of JAX, with JAX's default values
    "numpy_rank_promotion": "allow",
    "numpy_dtype_promotion": "standard",
    "debug_nans": False,
    "debug_infs": False,
    "disable_jit": False,
    "transfer_guard": "allow",
    "default_prng_impl": "threefry2x32",
    "threefry_partitionable": True,
    "default_matmul_precision": "highest",  # by default lower for float32 on a GPU
}


def isolated(function: Function) -> Function:
    """Return the function, run with NumPy's floating-point errors ignored; for public functions, and in threads."""
    return np.errstate(all="ignore")(function)


@contextmanager
def jax_settings(x64: bool) -> Iterator[None]:
    """Let JAX compute in this thread with its default settings; x64: in float64 instead of float32."""
    import jax

    with ExitStack() as context:
        context.enter_context(jax.enable_x64(x64))
        for name, value in JAX_SETTINGS.items():
            context.enter_context(getattr(jax, name)(value))
        yield
