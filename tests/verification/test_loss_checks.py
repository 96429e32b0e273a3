"""Checks of a loss: a wrong loss, force, rate or closure is found, and only there."""

from dataclasses import replace

import pytest

import dynamics as dyn
from dynamics.vector_field.monte_carlo import Samples
from tests.marks import parametrize
from tests.verification.levels import BELL, EUCLIDEAN, check, failed, scaled, with_functions


def test_a_loss_that_depends_on_the_basis_is_found(monkeypatch):
    """The fourth power of each component singles out a direction, and has no gradient here."""

    def depends_on_basis(original):
        def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
            return original(z1, z2, t1, t2, predict, over_modes, stop_gradient) + over_modes(stop_gradient(z1) ** 4)

        return loss

    with_functions(monkeypatch, EUCLIDEAN, loss=depends_on_basis)
    assert failed(check(EUCLIDEAN)) == ["basis"]


@parametrize("view", [1, 2], quick=[2])
def test_a_force_that_is_not_the_gradient_is_found(monkeypatch, view):
    model = dyn.Model("euclidean", noise=(0.3, 0.2), stop_gradient="none")
    with_functions(monkeypatch, model, **{f"force_on_view{view}": scaled})
    assert failed(check(model)) == ["gradient"]


def test_a_force_on_a_learned_predictor_that_is_not_the_gradient_is_found(monkeypatch):
    model = dyn.Model("euclidean", noise=(0.3, 0.2), predictor=dyn.Learned())
    with_functions(monkeypatch, model, force_on_predictor=scaled)
    assert failed(check(model)) == ["gradient"]


@pytest.mark.long
def test_rates_that_are_not_the_mean_of_the_gradient_are_found(monkeypatch):
    """Flow and descent map follow the wrong rates alike; the network and the exact solution do not."""
    model = dyn.Model("euclidean", noise=(0.3, 0.2))

    def shifted(rates):
        return replace(rates, formula=lambda *arguments: rates.formula(*arguments) + 0.1)

    with_functions(monkeypatch, model, rates=shifted)
    assert failed(check(model)) == ["rates", "exact", "network"]


@pytest.mark.long
def test_a_wrong_closure_of_samples_is_found(monkeypatch):
    original = Samples.__call__
    monkeypatch.setattr(Samples, "__call__", lambda *arguments: [force + 0.1 for force in original(*arguments)])
    assert failed(check(dyn.Model(BELL))) == ["rates", "network"]


@pytest.mark.long
def test_rates_that_cancel_are_zero_to_rounding():
    """Without noise both views are one, and a cosine of it with itself has no gradient."""
    report = check(dyn.Model(dyn.Loss.parse("-z1 . sg(z2) / (|z1| * |sg(z2)|)")))
    assert report.passed and report.levels[2].deviation < 0.1
