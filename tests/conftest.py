"""What all tests share: deterministic generated inputs, and double precision in JAX where a test asks for it."""

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile(
    "deterministic", derandomize=True, deadline=None, max_examples=30, database=None, print_blob=False
)
hypothesis.settings.load_profile("deterministic")


@pytest.fixture
def double_precision():
    """JAX computes in float64 inside the test."""
    with jax.enable_x64(True):
        yield
