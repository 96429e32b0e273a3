"""Options of the compiler for loops over the entries of arrays."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.numerics import compiler
from dynamics.solvers import descent_jax, flow_diffrax
from dynamics.solvers.finite_batch import gradient_noise, sampled_step


@pytest.fixture
def options(monkeypatch):
    compiler._known_options.cache_clear()
    yield lambda added: monkeypatch.setattr(compiler, "CPU_OPTIONS", compiler.CPU_OPTIONS | added)
    compiler._known_options.cache_clear()


def test_the_installed_compiler_has_all_options(options):
    assert compiler._known_options() == compiler.CPU_OPTIONS


def test_options_that_a_compiler_lacks_are_left_out(options):
    known = dict(compiler.CPU_OPTIONS)
    options({"xla_cpu_removed": True})
    assert compiler._known_options() == known
    assert float(compiler.compiled(jnp.sin, "cpu")(0.5)) == pytest.approx(np.sin(0.5), rel=1e-6)


def weighted_sum(s, x):
    """A sum over nodes x (128,) of a function of spectra s (50, 5, 1), as in a quadrature."""
    Delta = 1 + s * x**2
    Z = 1 / jnp.sqrt(jnp.prod(Delta, axis=-2, keepdims=True))
    return (Z * (2 * s * x**2 / Delta + jnp.sum(1 / Delta, axis=-2, keepdims=True)) / Delta) @ jnp.ones_like(x)


def test_no_operation_is_passed_to_a_library():
    arguments = np.ones((50, 5, 1)), np.ones(128)
    with jax.enable_x64(True):
        by_default = jax.jit(weighted_sum).lower(*arguments).compile().as_text()
        ours = compiler.compiled(weighted_sum, "cpu").lower(*arguments).compile().as_text()
    assert "ynn_fusion" in by_default and "ynn_fusion" not in ours


@pytest.mark.parametrize("module", [flow_diffrax, descent_jax, gradient_noise, sampled_step])
def test_solvers_compile_with_these_options(module):
    assert module.compiled is compiler.compiled


def test_of_threads_that_call_at_once_one_compiles():
    traced, together = [], Barrier(4)

    @compiler.shared_by_threads
    def doubled(power):
        def function(x):
            traced.append(x.shape)
            time.sleep(0.05)  # long enough for the other threads to call
            return 2 * x**power

        return compiler.compiled(function, "cpu")

    def call(size):
        together.wait()
        return doubled(3)(np.full(size, 2.0)).tolist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, [2, 2, 3, 2])) == [[16.0] * size for size in (2, 2, 3, 2)]
    assert sorted(traced) == [(2,), (3,)] and doubled.cache_info().misses == 1
