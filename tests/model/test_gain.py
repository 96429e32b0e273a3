"""Gains: the family between and beyond standard and isotropic losses, h(lambda) in place of lambda."""

from functools import cache

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.linear import over_modes
from dynamics.vector_field.eigenmodes import EigenmodeField

NOISE = (0.3, 0.1)
N1 = 1 + NOISE[0] ** 2
GAMMAS = ["-1", "-0.5", "0", "0.5", "1"]
LOSSES = ["euclidean", "cosine"]
S = np.array([0.05, 0.3, 0.7, 1.4])
QUADRATURE = 1e-8  # ten times the 1e-9 that rates are computed to: each is a sum of two integrals that cancel in part


@cache
def model(loss, gamma, alpha=1.0, weight_decay=0.0):
    predictor = dyn.ClosedForm(alpha)
    return dyn.Model(loss, noise=NOISE, predictor=predictor, weight_decay=weight_decay, gain=f"lambda^{gamma}")


def standard(loss, alpha=1.0, **options):
    return dyn.Model(loss, noise=NOISE, predictor=dyn.ClosedForm(alpha), **options)


def rates(model, s=S):
    return EigenmodeField(model).of_eigenvalues(s)


# --- rates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_euclidean_rates(gamma, alpha):
    """r = -h (n1 lambda - 1): a few roundings of numbers that do not cancel at these eigenvalues."""
    lam = S**alpha
    expected = -(lam ** float(gamma)) * (N1 * lam - 1)
    np.testing.assert_allclose(rates(model("euclidean", gamma, alpha)), expected, rtol=1e-13)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_cosine_rates(gamma, alpha):
    """s r = h (A - lambda B), with A - lambda B = s r/lambda of the standard loss at the same lambda."""
    lam = S**alpha
    reduced = rates(standard("cosine", alpha)) / lam
    h = lam ** float(gamma)
    # The quadrature's tolerance is relative to the largest rate of the spectrum.
    found = rates(model("cosine", gamma, alpha))
    np.testing.assert_allclose(found, h * reduced, rtol=0, atol=QUADRATURE * (h * np.abs(reduced)).max())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("gain", "same"), [("lambda", {}), ("1", {"isotropic": True})])
def test_members_of_the_family_that_have_names(loss, gain, same):
    found = rates(dyn.Model(loss, noise=NOISE, gain=gain))
    expected = rates(standard(loss, **same))
    np.testing.assert_allclose(found, expected, rtol=0, atol=QUADRATURE * np.abs(expected).max())


@pytest.mark.parametrize(
    ("gain", "by_hand"),
    [
        ("lambda^(1/3)", lambda x: np.cbrt(x)),
        ("2 / (lambda^0.25 + lambda^(2/3))", lambda x: 2 / (np.sqrt(np.sqrt(x)) + np.cbrt(x * x))),
        ("exp(-lambda) + tanh(lambda)", lambda x: np.exp(-x) + np.tanh(x)),
        ("min(lambda, c) / max(lambda, 1/2)", lambda x: np.minimum(x, 0.4) / np.maximum(x, 0.5)),
        ("log(1 + c * lambda)", lambda x: np.log(1 + 0.4 * x)),
    ],
)
def test_a_gain_is_computed_as_it_is_written(gain, by_hand):
    """By the gain itself and in the rate; fewer than ten roundings."""
    own = dyn.Gain.parse(gain, **({"c": 0.4} if "c" in gain.replace("exp", "").split() or " c" in gain else {}))
    np.testing.assert_allclose(own(S), by_hand(S), rtol=2e-15)
    found = rates(dyn.Model("euclidean", noise=NOISE, gain=own))
    np.testing.assert_allclose(found, by_hand(S) * (1 - N1 * S), rtol=1e-13)


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gain", ["lambda^-1", "lambda^-0.5", "lambda^0.5", "1", "exp(-lambda)"])
def test_gradient_is_that_of_the_standard_loss_times_h_over_lambda(loss, gain, double_precision):
    """h(W_P)/W_P dL/dW in whatever basis W has; to the rounding of an eigendecomposition with eigenvalues of 0.1."""
    rng = np.random.default_rng(1)
    W = rng.standard_normal((4, 6)) / 2
    x1, x2 = jnp.asarray(rng.standard_normal((2, 6, 50)))
    lam, U = np.linalg.eigh(W @ W.T)

    def of_predictor(function):
        return jnp.asarray((U * function(lam)) @ U.T)

    def gradient(model):
        def mean(W):
            def predict(z, function=lambda x: x):
                return of_predictor(function) @ z

            z1, z2 = W @ x1, W @ x2
            return model.generated.loss(z1, z2, z1, z2, predict, over_modes, jax.lax.stop_gradient).mean()

        return np.asarray(jax.grad(mean)(jnp.asarray(W)))

    h = dyn.Gain.parse(gain)
    expected = np.asarray(of_predictor(lambda lam: h(lam) / lam)) @ gradient(standard(loss))
    found = gradient(dyn.Model(loss, noise=NOISE, gain=gain))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


# --- the linear flow ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_the_linear_flow(alpha, weight_decay):
    """d lambda/dt = 2 alpha (1 - (n1 + rho) lambda): against 50 digits, and against the flow, integrated."""
    s0, times = np.array([1e-6, 0.02, 0.5, 3.0]), np.array([0.0, 1e-3, 0.3, 2.0, 30.0])
    own = model("euclidean", "-1", alpha, weight_decay)
    exact = dyn.solve(own, s0, times)
    assert exact.method == "exact solution (linear)"
    with mp.workdps(50):
        a, b = mp.mpf(alpha), 1 + mp.mpf(NOISE[0]) ** 2 + mp.mpf(weight_decay)
        expected = [
            [float((1 / b + (mp.mpf(s) ** a - 1 / b) * mp.exp(-2 * a * b * mp.mpf(t))) ** (1 / a)) for s in s0]
            for t in times
        ]
    # Two terms of one sign, or their difference, which is at least half of the larger one here; then a power 1/alpha.
    np.testing.assert_allclose(exact.s, expected, rtol=1e-13)
    integrated = dyn.solve(own, s0, times, method="scipy", rtol=1e-9)
    np.testing.assert_allclose(integrated.s, exact.s, rtol=1e-7)  # the tolerance of a step, a hundred steps


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_time_to_reach_in_the_linear_flow(weight_decay):
    """T = log((b lambda1 - 1)/(b lambda0 - 1))/(-2 alpha b), b = n1 + rho."""
    b = N1 + weight_decay
    found = dyn.convergence_time(model("euclidean", "-1", 1.0, weight_decay), [0.01, 0.1], 0.6)
    expected = -np.log((1 - b * 0.6) / (1 - b * np.array([0.01, 0.1]))) / (2 * b)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


# --- invariants and equilibria --------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_cosine_gains_conserve_a_power_sum(gamma, alpha):
    """Sum s^(1 + alpha (1 - gamma)), by hand, as sum_m s_m r_m lambda_m^(1 - gamma) = 0; to the solver's tolerance."""
    own = model("cosine", gamma, alpha)
    (found,) = dyn.invariants(own)
    flow = dyn.solve(own, S, [0.0, 0.1, 1.0, 5.0], rtol=1e-9)
    power = 1 + alpha * (1 - float(gamma))
    by_hand = (flow.s**power).sum(axis=-1)
    np.testing.assert_allclose(by_hand, by_hand[0], rtol=1e-7)
    np.testing.assert_allclose(found(flow)[:, 0], by_hand / power, rtol=1e-12)
    assert np.abs(flow.s[-1] / S - 1).max() > 0.1  # modes have moved


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("gain", ["lambda^-1", "lambda^-0.5", "1", "lambda^0.5", "lambda", "exp(-lambda)"])
def test_a_gain_keeps_the_rest_and_moves_the_edge(gain, alpha):
    """lambda = 1/n1 whatever the gain, stable below eta = 1/(alpha h): differences of sixth order in 1 %."""
    own = dyn.Model("euclidean", noise=NOISE, predictor=dyn.ClosedForm(alpha), gain=gain)
    found, plain = dyn.equilibria(own, S), dyn.equilibria(standard("euclidean", alpha), S)
    assert found[0].surviving == plain[0].surviving == 4
    np.testing.assert_allclose(found[0].predictor, 1 / N1, rtol=1e-12)
    np.testing.assert_allclose(found[0].s, plain[0].s, rtol=1e-12)
    h = dyn.Gain.parse(gain)(np.array([1 / N1]))[0]
    assert found[0].largest_learning_rate == pytest.approx(1 / (alpha * h), rel=1e-8)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_cosine_equilibria_have_the_invariant_of_the_flow(gamma):
    """All modes equal, at the level with the same power sum."""
    own, power = model("cosine", gamma), 2 - float(gamma)
    everything = dyn.equilibria(own, S)[0]
    assert everything.verdict == "stable"
    np.testing.assert_allclose(everything.s, (S**power).mean() ** (1 / power), rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gamma", ["-1", "-0.5"])
def test_collapsed_modes_return_at_once_where_the_gain_has_a_pole(loss, gamma):
    some = dyn.equilibria(model(loss, gamma), S)[1]
    assert (some.surviving, some.verdict, some.collapsed_growth) == (3, "unstable", np.inf)


@pytest.mark.parametrize("run", [lambda m, s: dyn.solve(m, s, [0, 1]), lambda m, s: dyn.iterate(m, s, 2, 0.1)])
def test_a_start_with_a_collapsed_mode_is_refused_where_the_gain_has_a_pole(run):
    with pytest.raises(
        dyn.ArgumentError, match=r"Argument `s0` must have no eigenvalue of zero, because lambda\^-1 has"
    ):
        run(model("euclidean", "-1"), [0.0, 0.5])
    away = dyn.Model("euclidean", predictor=dyn.ClosedForm(1.0, 0.1), gain="lambda^-1")
    assert np.isfinite(run(away, [0.0, 0.5]).s).all()  # epsilon keeps the predictor from zero
    assert np.isfinite(run(model("euclidean", "0.5"), [0.0, 0.5]).s).all()


def own(h, euclidean=True, **options):
    """Return the model with the gain written into a user-defined loss."""
    cosine = f"-{h} * z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * ({h} * z1 . p) / 2"
    text = f"{h} * (z1 - sg(z2 + z1 - p)) . (z1 - sg(z2 + z1 - p)) / 2" if euclidean else cosine
    return dyn.Model(dyn.Loss.parse(text), noise=NOISE, **options)


@pytest.mark.parametrize("run", [lambda m, s: dyn.solve(m, s, [0, 1]), lambda m, s: dyn.iterate(m, s, 2, 0.1)])
@pytest.mark.parametrize("euclidean", [True, False])
def test_a_start_with_a_collapsed_mode_is_refused_where_a_user_defined_loss_has_a_pole(euclidean, run):
    with pytest.raises(
        dyn.ArgumentError, match=r"Argument `s0` must have no eigenvalue of zero, because .*W_P\^-1.* has"
    ):
        run(own("W_P^-1", euclidean), [0.0, 0.5])
    away = own("W_P^-1", euclidean, predictor=dyn.ClosedForm(1.0, 0.1))
    assert np.isfinite(run(away, [0.0, 0.5]).s).all()
    assert np.isfinite(run(own("W_P^0.5", euclidean), [0.0, 0.5]).s).all()


@pytest.mark.parametrize("euclidean", [True, False])
def test_a_user_defined_loss_has_the_equilibria_of_its_gain(euclidean):
    theirs = dyn.equilibria(own("W_P^-1", euclidean), S)[1]
    gained = dyn.equilibria(model("euclidean" if euclidean else "cosine", "-1"), S)[1]
    assert theirs.collapsed_growth == gained.collapsed_growth == np.inf
    np.testing.assert_allclose(theirs.s, gained.s, rtol=1e-9)


POLES = {  # expressions, and whether a collapsed mode is at a pole
    "|W_P^-1 * p - z2|^2 / 2": False,  # which cancels
    "W_P^-1 * (p - sg(z2)) . sg(p - z2)": False,
    "|p - sg(z2)|^2 / 2 + sg(|W_P^-1 * z1|)": False,  # of no gradient
    "|W_P^0.5 * z1 - sg(z2)|^2 / 2": False,
    "|W_P^a * z1 - sg(z2)|^2 / 2": [False, True],  # by its parameter
    "W_P^-1 * (z1 - sg(z2)) . (z1 - sg(z2))": True,
    "-(p . sg(z2)) / (|W_P^-1 * z1| * |z2|)": True,
    "|log(W_P) * z1 - sg(z2)|^2 / 2": True,
    "|(W_P^-1 + 1) * z1 - sg(z2)|^2 / 2": True,
}


@pytest.mark.parametrize("expression", POLES)
def test_poles_of_a_user_defined_loss(expression):
    parameters = {"a": np.array([0.5, -0.5])} if "^a" in expression else {}
    loss = dyn.Loss.parse(expression, **parameters)
    assert dyn.Model(loss).pole_at_collapse.tolist() == POLES[expression]
    assert not dyn.Model(loss, predictor=dyn.ClosedForm(1.0, 0.1)).pole_at_collapse.any()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("describe", ["gain", "loss"])
def test_a_mode_that_vanishes_at_a_pole_is_no_divergence(describe, alpha):
    """d lambda/dt = -2 alpha (1 - lambda/rest): lambda = rest - (rest - lambda0) e^(2 alpha t/rest), by hand."""
    options, rest = {"predictor": dyn.ClosedForm(alpha)}, 1 / N1
    gained = dyn.Model("euclidean", noise=NOISE, gain="-lambda^-1", **options)
    lam = np.array([0.1, 0.5])
    death = np.log(rest / (rest - lam[0])) * rest / (2 * alpha)
    times = np.array([0.0, 0.5, 0.9, 1.5]) * death
    found = dyn.solve(gained if describe == "gain" else own("-W_P^-1", **options), lam ** (1 / alpha), times)
    assert (
        found.status == f"stopped at t = {death:.6g}: a mode vanishes, and the gradient has a pole at a vanishing mode"
    )
    assert found.blow_up_time == np.inf
    by_hand = rest - (rest - lam) * np.exp(2 * alpha * times[:3, None] / rest)
    np.testing.assert_allclose(found.s, by_hand ** (1 / alpha), rtol=1e-6)


def test_a_pole_does_not_hang_a_flow():
    """A collapsed mode of this loss was once integrated with rates that are not numbers, without end."""
    loss = dyn.Loss.parse("(W_P^-2 * z1) . z1 / 2 - (W_P^-1 * z1) . sg(z2)")
    with pytest.raises(dyn.ArgumentError, match="Argument `s0` must have no eigenvalue of zero"):
        dyn.solve(dyn.Model(loss, noise=NOISE), [0.0, 0.5], [0, 1])


# --- networks -------------------------------------------------------------------------------------------------------

RATES = {  # with which 150 steps take the smaller modes severalfold
    ("euclidean", "-1"): 0.02,
    ("euclidean", "-0.5"): 0.03,
    ("euclidean", "0"): 0.03,
    ("euclidean", "0.5"): 0.05,
    ("euclidean", "1"): 0.05,
    ("cosine", "-1"): 0.02,
    ("cosine", "-0.5"): 0.05,
    ("cosine", "0"): 0.1,
    ("cosine", "0.5"): 0.2,
    ("cosine", "1"): 0.2,
}


def weights(s, inputs, seed=0):
    """With eigenvalues s, in a basis of its own."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (len(s), inputs))
    return (U * np.sqrt(s)) @ V[: len(s)]


@pytest.mark.full
@pytest.mark.parametrize(("loss", "gamma"), RATES)
def test_network_within_one_percent_of_the_map(loss, gamma, record_property):
    """Sampling makes the largest deviation of 10 modes at 150 steps 0.2 to 0.6 %."""
    s0, eta = np.geomspace(0.05, 0.8, 10), RATES[loss, gamma]
    own = model(loss, gamma)
    map_ = dyn.iterate(own, s0, 150, eta)
    assert map_.s[-1][0] > 2 * s0[0] or (loss, gamma) == ("euclidean", "1")
    net = dyn.train(own, weights(s0, 15), 150, eta, batch_size=50_000)
    worst = dyn.compare(map_, net).max_relative()
    record_property("worst", worst)
    assert worst < 0.01


@pytest.mark.parametrize(("loss", "gamma"), [("euclidean", "-0.5"), ("cosine", "0.5")])
def test_small_network_follows_the_map(loss, gamma):
    """Within five of the sampling errors that theory predicts: 3 modes at 40 steps, one in 10^4 such tests is not."""
    s0, own = np.array([0.1, 0.3, 0.7]), model(loss, gamma)
    eta = RATES[loss, gamma]
    map_ = dyn.iterate(own, s0, 40, eta)
    assert np.abs(map_.s[-1] / s0 - 1).max() > 0.3
    found = dyn.compare(map_, dyn.train(own, weights(s0, 5), 40, eta, batch_size=5_000))
    assert np.abs(found.z).max() < 5
    assert (found.sampling_error[-1] < 0.02 * found.theory_modes[-1]).all()
