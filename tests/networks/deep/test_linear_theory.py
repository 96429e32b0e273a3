"""The linear theory beside a deep network: its one free number, and when modes arrive."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep.linear_theory import arrival, linear_theory
from tests.marks import parametrize

S0, ETA = np.array([0.02, 0.1, 0.5, 1.5]), 0.02


def as_network(model, pace, steps=400, **changes):
    """A descent map that claims its time to run at 1/pace of what it does."""
    run = dyn.iterate(model, S0, steps, ETA)
    return replace(run, t=run.t / pace, **changes)


PACES = list(product(("euclidean", "cosine"), (False, True), (0.3, 1.0, 7.0)))


@parametrize(("loss", "isotropic", "pace"), PACES, quick=[case for case in PACES if case[0] == "euclidean"])
def test_pace_of_the_descent_map_is_found(loss, isotropic, pace):
    """The map at rate eta is the flow to order eta times its rates, which are below 1: the tolerance."""
    network = as_network(dyn.Model(loss, isotropic=isotropic), pace)
    theory = linear_theory(network)
    assert theory.pace == pytest.approx(pace, rel=3 * ETA)
    np.testing.assert_allclose(theory.flow.s, network.s, rtol=3 * ETA)
    assert theory.flow.kind == "flow" and theory.flow.t is network.t


def test_the_predictor_is_that_of_the_model():
    network = as_network(dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5, epsilon=0.1)), 1.0)
    theory = linear_theory(network, 1.0).flow
    np.testing.assert_allclose(theory.predictor, np.sqrt(theory.s + 0.1), rtol=1e-14)
    np.testing.assert_array_equal(theory.target, theory.s)


def test_a_given_pace_is_kept():
    network = as_network(dyn.Model("euclidean"), 1.0)
    theory = linear_theory(network, pace=2.0)
    expected = dyn.solve(dyn.Model("euclidean"), S0, 2 * network.t).s
    assert theory.pace == 2.0
    np.testing.assert_allclose(theory.flow.s, expected, rtol=2e-3)  # interpolated between 400 times


@pytest.mark.long
def test_shares_of_a_cosine_loss_have_the_networks_sum():
    network = as_network(dyn.Model("cosine"), 1.0)
    grown = replace(network, s=network.s * np.linspace(1, 3, len(network.t))[:, None])
    theory = linear_theory(grown)
    assert theory.pace == pytest.approx(1.0, rel=3 * ETA)
    np.testing.assert_allclose(theory.flow.s.sum(axis=1), grown.s.sum(axis=1), rtol=1e-12)


def test_seeds_are_averaged_in_the_logarithm():
    run = as_network(dyn.Model("euclidean"), 1.0)
    seeds = replace(run, s=run.s * np.array([0.5, 2.0])[:, None, None])
    np.testing.assert_allclose(linear_theory(seeds, 1.0).flow.s, linear_theory(run, 1.0).flow.s, rtol=1e-13)


def test_target_tracking_noise_and_symmetry_are_left_out():
    plain = as_network(dyn.Model("euclidean"), 1.0)
    model = dyn.Model(
        "euclidean", predictor=dyn.ClosedForm(tracking=0.5), target=dyn.EMA(0.9), noise=(0.3, 0.3), symmetrised=True
    )
    theory = linear_theory(replace(plain, model=model), 1.0)
    np.testing.assert_array_equal(theory.flow.s, linear_theory(plain, 1.0).flow.s)


def test_a_learned_predictor_is_refused():
    network = replace(as_network(dyn.Model("euclidean"), 1.0), model=dyn.Model("euclidean", predictor=dyn.Learned()))
    with pytest.raises(
        dyn.ArgumentError, match=r"^Argument `network` must have a closed-form predictor or no predictor"
    ):
        linear_theory(network)


def test_vanished_and_diverged_eigenvalues_are_refused():
    run = as_network(dyn.Model("euclidean"), 1.0)
    for bad in (0.0, np.inf, np.nan):
        s = run.s.copy()
        s[-1, 0] = bad
        with pytest.raises(dyn.ArgumentError, match=r"^Argument `network` must have finite, positive eigenvalues"):
            linear_theory(replace(run, s=s))


def test_no_trajectory_is_refused():
    with pytest.raises(dyn.ArgumentError, match=r"^Argument `network` must be a Trajectory of a network, but is 3"):
        linear_theory(3)


def test_arrival_is_interpolated_at_the_first_crossing():
    along = np.array([0.0, 1.0, 2.0, 4.0])
    s = np.array([[0.0, 2.0, 0.0, 0.5], [1.0, 2.0, 0.0, 3.0], [2.0, 2.0, 0.0, 0.0], [4.0, 2.0, 0.9, 5.0]])
    np.testing.assert_allclose(arrival(s, along, 1.5), [1.5, 0.0, np.inf, 0.4])
    np.testing.assert_allclose(arrival(np.stack([s, 2 * s]), along, 3.0)[:, 0], [3.0, 1.5])
