"""Parts of a check: limits, deviations, and the loss and gradient of a model on samples."""

from dataclasses import replace

import numpy as np
import pytest

import dynamics as dyn
from dynamics.verification.subject import LevelCheck, Subject, relative_deviation
from tests.verification.levels import VIEWS


def test_a_level_passes_within_its_limit_or_with_nothing_to_check():
    level = LevelCheck("exact", "none for this model")
    assert level.passed and "--" in str(level)
    assert replace(level, deviation=1.0, limit=1.0).passed and not replace(level, deviation=1.1, limit=1.0).passed
    assert not replace(level, deviation=np.nan, limit=1.0).passed


@pytest.mark.parametrize(
    ("value", "expected", "least", "deviation"),
    [
        ([1.0, 2.0], [1.0, 4.0], 0.0, 0.5),
        ([1.0, 2.0], [1.0, 1.0], 10.0, 0.1),
        ([0.0], [0.0], 0.0, 0.0),
        ([1e-20], [0.0], 0.0, np.inf),
        ([np.nan], [1.0], 0.0, np.inf),
    ],
)
def test_deviations_are_relative_to_the_largest_value(value, expected, least, deviation):
    assert relative_deviation(np.array(value), np.array(expected), least) == pytest.approx(deviation)


def test_samples_have_the_moments_of_the_views():
    """In units of the second moment that the views share; standard errors of means of squares and products."""
    s0 = np.array([0.3, 0.2, 0.7])
    z1, z2 = Subject(dyn.Model("euclidean", views=VIEWS), s0, 0).representations(200_000)
    for product, moment in ((z1 * z1, VIEWS.online), (z1 * z2, VIEWS.cross), (z2 * z2, VIEWS.target)):
        error = product.std(axis=0) / np.sqrt(len(product))
        assert (np.abs(product.mean(axis=0) - s0 * moment / VIEWS.cross) < 4.5 * error).all()


def test_loss_and_gradient_on_samples_are_those_typed_in():
    """The loss is |W_P z1 - z2|^2/2, with the gradient stopped at z2."""
    subject = Subject(dyn.Model("euclidean"), np.array([0.2, 0.7]), 0)
    z1, z2, lam = subject.independent_representations()
    difference = lam * z1 - z2
    np.testing.assert_allclose(subject.loss(z1, z2, lam), (difference**2).sum(axis=1) / 2, rtol=1e-14)
    force1, force2 = subject.gradient(z1, z2, lam)
    np.testing.assert_allclose(force1, -lam * difference, rtol=1e-14)
    assert not force2.any()


def test_representations_have_the_eigenvalues_and_the_noise():
    """Sample covariances of 20 000 are good to some 2 %; diagonal s (1 + sigma^2), across views s."""
    subject = Subject(dyn.Model("euclidean", noise=(0.5, 0.0)), np.array([0.2, 0.7]), 0)
    z1, z2 = subject.representations(20_000)
    np.testing.assert_allclose((z1**2).mean(axis=0), 1.25 * subject.s0, rtol=0.05)
    np.testing.assert_allclose((z2**2).mean(axis=0), subject.s0, rtol=0.05)
    np.testing.assert_allclose((z1 * z2).mean(axis=0), subject.s0, rtol=0.05)
