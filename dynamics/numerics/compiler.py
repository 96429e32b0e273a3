"""Compile functions in JAX with options of XLA's compiler that suit loops over the entries of arrays.

By default XLA for CPUs computes sums and products over array entries by a library, YNNPACK. XLA first writes the
operands for the library to memory, even constants, so that the loop over quadrature nodes takes twice as long. XLA also
uses only half of the width of vector registers that have 512 bits. Matrix products, as in the training of networks, are
faster with the default options.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

CPU_OPTIONS: dict[str, Any] = {
    "xla_cpu_experimental_ynn_fusion_type": "",  # the kinds of operations that are passed to YNNPACK: none
    "xla_cpu_prefer_vector_width": 512,  # bits; the compiler uses at most the width that the processor has
}


def compiled(function: Callable[..., Any], platform: str) -> Callable[..., Any]:
    """Return a function that JAX compiles for a platform, such as "cpu", when it is first called."""
    return jax.jit(function, compiler_options=_known_options() if platform == "cpu" else None)


@lru_cache
def _known_options() -> dict[str, Any]:
    """Return the entries of CPU_OPTIONS that this version of XLA has; its options change from version to version."""
    lowered = jax.jit(lambda x: x + 1).lower(1.0)

    def has(options: dict[str, Any]) -> bool:
        try:
            lowered.compile(compiler_options=options)
        except RuntimeError:  # raised for options that XLA does not have
            return False
        return True

    return CPU_OPTIONS if has(CPU_OPTIONS) else {name: v for name, v in CPU_OPTIONS.items() if has({name: v})}
