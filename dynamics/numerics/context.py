"""Choose the settings of NumPy and JAX under which this package computes, independently of the caller's settings.

A caller may have set NumPy to raise an error at an underflow, or JAX to raise an error at a type promotion. Some
algorithms of this package would fail under such settings, because they produce values that overflow or are not a number
and then treat these values correctly. The settings of this module hold only in the present thread and change no global
state.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from dynamics import errors

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
    "default_matmul_precision": "highest",  # the default on a GPU is lower for float32
}


def isolated(function: Function) -> Function:
    """Return a function that calls ``function`` with NumPy set to ignore floating-point errors.

    Serves as a decorator of public functions, and of functions that run in other threads, because NumPy's setting holds
    for each thread separately. The TypeError for a call with wrong arguments states which arguments there are.
    """
    computes = np.errstate(all="ignore")(function)

    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        try:
            return computes(*arguments, **named)
        except TypeError as error:
            if (advice := errors.call_advice(function, arguments, named)) is None:
                raise
            raise TypeError(f"{error}. {advice}") from None

    return cast(Function, called)


@contextmanager
def jax_settings(x64: bool) -> Iterator[None]:
    """Let JAX compute in this thread with its default settings. x64: True for float64, False for float32."""
    import jax

    from dynamics.numerics import compilation_cache

    compilation_cache.use()
    with ExitStack() as context:
        context.enter_context(jax.enable_x64(x64))
        for name, value in JAX_SETTINGS.items():
            context.enter_context(getattr(jax, name)(value))
        yield
