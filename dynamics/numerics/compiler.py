"""Compile functions in JAX with options of XLA's compiler that suit loops over the entries of arrays.

By default XLA for CPUs computes sums and products over array entries by a library, YNNPACK. XLA first writes the
operands for the library to memory, even constants, so that the loop over quadrature nodes takes twice as long. XLA also
uses only half of the width of vector registers that have 512 bits. Matrix products, as in the training of networks, are
faster with the default options.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from threading import Lock
from typing import Any

import jax
import numpy as np

CPU_OPTIONS: dict[str, Any] = {
    "xla_cpu_experimental_ynn_fusion_type": "",  # the kinds of operations that are passed to YNNPACK: none
    "xla_cpu_prefer_vector_width": 512,  # bits; the compiler uses at most the width that the processor has
}


def compiled(function: Callable[..., Any], platform: str) -> Callable[..., Any]:
    """Return a function that JAX compiles for a platform, such as "cpu", when it is first called."""
    return jax.jit(function, compiler_options=_known_options() if platform == "cpu" else None)


def shared_by_threads(build: Callable[..., Callable[..., Any]]) -> Any:
    """Decorate a function that returns a compiled function: keep its results, and let several threads call them.

    Of the threads that call a compiled function for the first time, one compiles, and the others wait for the program.
    """
    lock = Lock()

    @lru_cache(maxsize=32)
    def kept(*key: Any) -> _Program:
        return _Program(build(*key))

    @wraps(build)
    def program(*key: Any) -> _Program:
        with lock:  # otherwise two threads could build two functions
            return kept(*key)

    vars(program).update(cache_clear=kept.cache_clear, cache_info=kept.cache_info)
    return program


class _Program:
    """A compiled function, which only one thread at a time calls with arguments of new types or shapes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.lock = function, Lock()
        self.compiled: set[Any] = set()  # types and shapes of arguments for which there is a program

    def __call__(self, *arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        kinds = (structure, *((np.shape(a), np.result_type(a), np.isscalar(a)) for a in leaves))
        if kinds in self.compiled:
            return self.function(*arguments)
        with self.lock:
            result = self.function(*arguments)
            self.compiled.add(kinds)
        return result


@lru_cache
def _known_options() -> dict[str, Any]:
    """Return the entries of CPU_OPTIONS that this version of XLA has; XLA's options change from version to version."""
    lowered = jax.jit(lambda x: x + 1).lower(1.0)

    def has(options: dict[str, Any]) -> bool:
        try:
            lowered.compile(compiler_options=options)
        except RuntimeError:  # raised for options that XLA does not have
            return False
        return True

    return CPU_OPTIONS if has(CPU_OPTIONS) else {name: v for name, v in CPU_OPTIONS.items() if has({name: v})}
