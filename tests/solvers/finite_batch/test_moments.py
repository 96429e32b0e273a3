"""Moments of networks: entries of matrices and back, and the natural sizes of the entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics.solvers.finite_batch.moments import Blocks, Moments, blocks, entries, matrices, of_state, scales
from dynamics.vector_field.state import State

KINDS = {
    "shared target": (True, False, False, False, False),
    "separate target": (True, True, True, False, False),
    "learned predictor": (True, True, True, True, False),
    "tracked correlation": (True, False, False, False, True),
}


def moments(kind, modes, shape=()):
    rng = np.random.default_rng(modes)
    present = [rng.standard_normal((*shape, modes, modes)) if has else None for has in KINDS[kind]]
    return Moments(*present)


def symmetric(made):
    """The moments that are symmetric matrices, made so; T is not among the fluctuations."""
    C, tracked = (None if a is None else a + a.mT for a in (made.correlation, made.tracked))
    return made._replace(correlation=C, tracked=tracked, target=None)


@given(kind=st.sampled_from(list(KINDS)), modes=st.integers(1, 5), draws=st.integers(1, 3))
def test_matrices_have_the_entries_of_their_blocks(kind, modes, draws):
    made = symmetric(moments(kind, modes, (draws,)))
    mean = of_state(State(*(np.ones(modes) if has else None for has in np.array(KINDS[kind])[[0, 1, 3, 4]])))
    for again, matrix in zip(matrices(mean, blocks(made)), made, strict=True):
        assert (again is None) == (matrix is None)
        if matrix is not None:
            np.testing.assert_array_equal(again, matrix)


def test_pairs_are_ordered_by_their_first_mode():
    made = blocks(Moments(np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])))
    assert made.diagonal.tolist() == [1, 4, 6]
    assert made.pairs.tolist() == [[2], [3], [5]]


def test_moments_of_eigenmodes_are_products_of_singular_values():
    made = of_state(State(np.array([1.0, 2]), np.array([3.0, 4]), np.array([0.5, 0.6]), None))
    assert made.correlation.tolist() == [1, 4]
    assert made.cross.tolist() == [3, 8]
    assert made.target.tolist() == [9, 16]
    assert entries(made).tolist() == [1, 4, 3, 8, 0.5, 0.6]


def test_sizes_of_entries_are_those_of_both_modes():
    sizes = scales(of_state(State(np.array([1.0, 3]))))
    assert sizes.diagonal.tolist() == [1, 9]
    assert sizes.pairs.tolist() == [[3]]


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_positive_where_modes_vanish(kind):
    has = np.array(KINDS[kind])[[0, 1, 3, 4]]
    sizes = scales(of_state(State(*(np.array([0.0, 1.0]) if part else None for part in has))))
    assert isinstance(sizes, Blocks)
    assert all((size > 0).all() for size in sizes)
