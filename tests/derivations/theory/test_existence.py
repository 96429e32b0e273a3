"""Existence of moments: orders of singularities by hand, and means of samples that converge or not."""

import numpy as np
import pytest
import sympy as sp

import dynamics as dyn
from derivations.errors import UnsupportedLossError
from derivations.losses.catalogue import catalogue
from derivations.losses.user_defined import UserDefinedLoss
from derivations.theory.existence import ESSENTIAL, singularities


def orders(text, quantity="rates", noiseless=False):
    """(conditions, order, order alone) by set."""
    found = singularities(UserDefinedLoss(text, (), True, False).in_eigenbasis(), noiseless)[quantity]
    return {at: (conditions, order, alone) for at, conditions, order, alone in found}


@pytest.mark.parametrize("setting", catalogue(), ids=lambda setting: setting.name)
def test_rates_of_the_catalogue_have_all_moments_and_gradients_of_cosine_losses_diverge_as_the_inverse_norm(setting):
    for noiseless in (False, True):
        found = singularities(setting.in_eigenbasis(), noiseless)
        assert found["rates"] == found["predictor"] == []
        assert {(s.order, s.order_alone) for s in found["weights"]} <= {(-1, sp.oo)}
        if setting.loss == "cosine":  # without noise and predictor both branches are equal: then it may be zero
            assert found["weights"] or (noiseless and not setting.predictor)


def test_orders_of_an_inverse_square():
    """g = 2 z1/|z1|^4, of order -3; times zeta1 of the mode, -2."""
    text = "|z1|^-2 + |p - sg(z2)|^2"
    assert orders(text) == {"z1 = 0": (1, -2, -2), "z1 = z2 = 0": (2, -2, -2)}
    assert orders(text, "weights") == {"z1 = 0": (1, -3, -3), "z1 = z2 = 0": (2, -3, -3)}
    assert orders(text, noiseless=True) == {"z = 0": (1, -2, -2)}


@pytest.mark.parametrize(
    ("text", "noiseless", "expected"),
    [
        ("|p - sg(z2)|", False, {}),  # a unit vector
        ("log(|z1|)", False, {}),  # zeta1^2/|z1|^2
        ("(1 + |z1|^2)^-3 * p . z2", False, {}),  # softened
        ("(|z1|^2 + |z2|^2)^-1", False, {"z1 = z2 = 0": (2, -2, -2)}),
        ("|p - sg(z2)|^-1", False, {"a z1 + b z2 = 0": (1, -2, -2), "z1 = z2 = 0": (2, -1, -1)}),
        ("-p . z2 / (|p| * |z2|) * sg(|z1|^-2)", True, {"z = 0": (1, -2, sp.oo)}),  # zero for a single mode
        ("p . z2 / (z1 . z2)", False, {"the views for which a divisor of the gradient is zero": (0, -2, -2)}),
        ("p . z2 / (z1 . z2)", True, {}),
        ("tanh(1/|z1|)", False, {}),  # 1 - tanh^2 vanishes faster than any power
        ("exp(-1/|z1|)", False, {}),
        ("exp(1/|z1|)", True, {"z = 0": (1, ESSENTIAL - 1, ESSENTIAL - 1)}),  # times zeta1^2/|z1|^3
        ("p . z2 / |z1 - z2|", True, {"all views": (0, ESSENTIAL, ESSENTIAL)}),
    ],
)
def test_orders_of_gradients(text, noiseless, expected):
    assert orders(text, noiseless=noiseless) == expected


def test_an_exponential_of_either_sign_has_no_order():
    with pytest.raises(UnsupportedLossError, match="positive or negative"):
        orders("exp((p . z2) / |z1|^4)")


# --- what is derived from it ----------------------------------------------------------------------------------------

INVERSE_SQUARE = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + 0.01 * |z1|^-2")


def test_moments_exist_by_the_codimension():
    """Codimension M without noise, and at z1 = 0: the mean for M > 2, the variance for M > 4."""
    derived = dyn.Model(INVERSE_SQUARE).generated
    for noiseless in (False, True):
        means, variances = ([derived.moment_exists(p, M, noiseless=noiseless) for M in range(1, 7)] for p in (1, 2))
        assert means == [False] * 2 + [True] * 4
        assert variances == [False] * 4 + [True] * 2
    cosine = dyn.Model("cosine").generated
    assert [cosine.moment_exists(2, M, quantity="weights") for M in (1, 2, 3)] == [True, False, True]
    assert cosine.moment_exists(2, 2) and dyn.Model("euclidean").generated.moment_exists(4, 1, quantity="weights")


@pytest.mark.parametrize("modes", [1, 2, 3])
def test_sampled_means_settle_if_and_only_if_the_mean_is_finite(modes):
    """zeta_m^2/|zeta|^4: its mean over n samples grows as n (M = 1: a tail 1/x^(3/2)) or log n, or settles."""
    zeta = np.random.default_rng(0).standard_normal((400_000, modes))
    samples = zeta[:, 0] ** 2 / (zeta**2).sum(axis=1) ** 2
    cut = [np.minimum(samples, level).mean() for level in (1e2, 1e4)]
    exists = dyn.Model(INVERSE_SQUARE).generated.moment_exists(1, modes, noiseless=True)
    assert exists == (cut[1] / cut[0] < 1.2)


@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.1, 0.2)])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, s0: dyn.iterate(model, s0, 1, 0.1),
        lambda model, s0: dyn.solve(model, s0, [0.0, 1.0]),
        lambda model, s0: dyn.effective_rates(model, s0),
        lambda model, s0: dyn.convergence_time(model, s0, 0.9),
        lambda model, s0: dyn.phase_diagram(model, s0, ("sigma2", (0, 1)), ("learning_rate", (0.1, 0.2)), points=2),
    ],
    ids=["iterate", "solve", "effective_rates", "convergence_time", "phase_diagram"],
)
def test_infinite_expectations_are_refused(call, noise):
    model = dyn.Model(INVERSE_SQUARE, noise=noise)
    for modes in (1, 2):
        message = (
            rf"`loss` must have a gradient with a finite expectation, but with {modes} eigenvalues? above zero .* at z"
        )
        with pytest.raises(dyn.ArgumentError, match=message):
            call(model, [0.5] * modes)


def test_collapsed_modes_do_not_count_and_finite_expectations_are_computed():
    model = dyn.Model(INVERSE_SQUARE)
    with pytest.raises(dyn.ArgumentError, match="with 2 eigenvalues above zero"):
        dyn.iterate(model, [0.5, 0.5, 0.0], 1, 0.1)
    rate = dyn.iterate(model, [0.5] * 3, 1, 0.1).s[1] / 0.5
    # E[zeta_m^2/|zeta|^4] = E[1/|zeta|^2]/M = 1/3 for M = 3; r = lambda (1 - lambda) + 0.02/(3 s^2)
    np.testing.assert_allclose(rate, (1 + 0.1 * (0.25 + 0.02 / (3 * 0.25))) ** 2, rtol=1e-8)


def test_means_over_samples_are_refused_too():
    loss = dyn.Loss.parse("|p - sg(z2)|^2 + |z1|^-3")
    with pytest.raises(dyn.ArgumentError, match="finite expectation, but with 1 eigenvalue above zero"):
        dyn.iterate(dyn.Model(loss), [0.5], 1, 0.1, closure="monte_carlo")


def test_weights_as_matrices_are_refused():
    model = dyn.Model(dyn.Loss.parse("-p . z2 / (|p|^3 * |z2|)"), inputs=np.eye(4))
    with pytest.raises(dyn.ArgumentError, match="finite expectation, but with 3 eigenvalues above zero"):
        dyn.iterate(model, 0.5 * np.eye(4)[:3], 1, 0.1)  # order -3, codimension 3
    dyn.iterate(model, 0.5 * np.eye(4), 1, 0.1)
