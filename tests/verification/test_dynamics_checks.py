"""Checks of the dynamics: a wrong exact solution, descent map or network is found, and only there."""

from dataclasses import replace

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.verification import dynamics_checks
from tests.random_losses import checked
from tests.verification.levels import EUCLIDEAN, VIEWS, check, failed, scaled, with_functions


def longer_steps(monkeypatch, factor):
    """Make the steps of the descent map of eigenmodes longer, but not those of networks."""
    step = EigenmodeField.step
    monkeypatch.setattr(EigenmodeField, "step", lambda field, state, eta: step(field, state, factor * eta))


def test_an_exact_solution_that_is_not_the_flow_is_found(monkeypatch):
    model = dyn.Model("euclidean", noise=(0.3, 0.2))
    with_functions(monkeypatch, model, exact=lambda exact: replace(exact, growth=scaled(exact.growth)))
    assert failed(check(model)) == ["exact"]


@pytest.mark.long
def test_a_descent_map_that_is_not_a_step_of_the_flow_is_found(monkeypatch):
    longer_steps(monkeypatch, 1.2)
    assert failed(check(EUCLIDEAN)) == ["descent map", "network"]


@pytest.mark.long
def test_a_network_of_another_loss_is_found(monkeypatch):
    original = dynamics_checks.train

    def decaying(model, *arguments, **options):
        return replace(original(model.replace(weight_decay=0.15), *arguments, **options), model=model)

    monkeypatch.setattr(dynamics_checks, "train", decaying)
    report = check(EUCLIDEAN)
    assert failed(report) == ["network"] and not report.passed
    assert "network NO" in " ".join(str(report).split()) and "1 of 6 levels disagree" in " ".join(str(report).split())
    assert repr(report).startswith("<Check: failed, ")


def test_a_network_that_diverges_is_reported(monkeypatch):
    original = dynamics_checks.train

    def fast(model, W0, steps, eta, **options):
        return original(model.replace(weight_decay=1e4), W0, steps, eta, **options)

    monkeypatch.setattr(dynamics_checks, "train", fast)
    report = check(EUCLIDEAN)
    assert failed(report) == ["network"] and report.comparison is None
    assert "weights diverge" in str(report)


@pytest.mark.long
@pytest.mark.parametrize("moment", ["online", "target"])
def test_a_network_on_other_views_is_found(monkeypatch, moment):
    """One moment of one mode is wrong by 5 %; another shared moment would be another start."""
    original, model = dynamics_checks.train, dyn.Model("euclidean", stop_gradient="none", views=VIEWS)
    moments = {name: getattr(VIEWS, name) for name in ("online", "cross", "target")}
    changed = dyn.Views.modes(**moments | {moment: moments[moment] * [1.0, 1.0, 0.95]})

    def train(model, *arguments, **options):
        return replace(original(replace(model, views=changed), *arguments, **options), model=model)

    monkeypatch.setattr(dynamics_checks, "train", train)
    assert failed(dyn.check(model, progress=False)) == ["network"]


@pytest.mark.long
def test_the_learning_rate_suits_rates_that_grow():
    """Modes collapse in finite time, ever faster: steps that are small at first are too large later."""
    loss = dyn.Loss.parse("-p . sg(z2) / (|p|^1.5 * |sg(z2)|)")
    report = dyn.check(dyn.Model(loss, noise=(0.0, 0.4)), [0.3, 0.6, 1.0], progress=False)
    moved = np.abs(np.diff(np.log(report.comparison.theory), axis=0)).max()
    assert report.passed and moved < 10 * np.log1p(4 * dynamics_checks.MOVES)  # records are 10 steps apart


@pytest.mark.long
def test_nonlinear_fluctuations_are_distinguished_from_a_wrong_theory(monkeypatch):
    """A mode vanishes ever faster, as W_P^-1 grows: the map is off by less with larger batches, unless it is wrong."""
    report = checked(432)
    text = " ".join(str(report).split())
    assert report.passed and "on 1,280,000 samples a step, whose fluctuations cannot be predicted" in text
    longer_steps(monkeypatch, 1.05)
    assert "network" in failed(checked(432))


@pytest.mark.long
@pytest.mark.parametrize("factor", [1.0, 1.02, 0.98], ids=["the loss", "2 % more", "2 % less"])
def test_the_samples_of_a_closure_hide_no_wrong_loss(monkeypatch, factor):
    """Without noise, fluctuations are not predicted, and the map's own error does not fall with the batch."""
    original = dynamics_checks.train

    def trained(model, *arguments, **options):
        wrong = dyn.Model(model.loss.replace(beta=factor * model.loss.parameters["beta"]))
        return replace(original(wrong, *arguments, **options), model=model)

    monkeypatch.setattr(dynamics_checks, "train", trained)
    model = dyn.Model(dyn.Loss.parse("-beta * exp(-|p - sg(z2)|^2)", beta=1.0))
    report = dyn.check(model, progress=False)
    assert failed(report) == ([] if factor == 1 else ["network"])
    network, text = report.levels[-1], " ".join(str(report).split())
    assert "standard errors of the map's sampled rates" in text and f"at most {network.limit:.2g} (0.25 x" in text
    assert factor != 1 or network.limit < 0.01


def test_without_samples_in_the_closure_only_the_fall_counts():
    comparison = replace(check(EUCLIDEAN).comparison, rounding=0.0)
    exact, _ = dynamics_checks._check_fall([0.04, 0.02, 0.011], comparison, 0.0)
    sampled, _ = dynamics_checks._check_fall([0.04, 0.02, 0.011], comparison, 0.002)
    assert (exact.limit, exact.passed, sampled.limit, sampled.passed) == (0.01, False, 0.012, True)
