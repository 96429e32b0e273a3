"""Stability of fixed points with momentum: formulas, iterations and networks at the edge."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.update import with_buffers

MU, RHO = 0.8, 0.05
DECAY = dyn.Model("euclidean", weight_decay=RHO)
HEAVY, NESTEROV = dyn.Momentum(MU), dyn.Momentum(MU, nesterov=True)
S0 = [0.2, 0.5]


def curvature(equilibrium):
    return -equilibrium.growth.real.min()


MODELS = {
    "Euclidean": dyn.Model("euclidean", noise=(0.5, 0.1)),
    "weight decay": DECAY,
    "exponent": dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5)),
    "cosine": dyn.Model("cosine", noise=(0.1, 0.3)),
    "isotropic": dyn.Model("cosine", isotropic=True),
    "learned": dyn.Model("euclidean", predictor=dyn.Learned(2.0), weight_decay=RHO),
}


@pytest.mark.parametrize("name", MODELS)
def test_heavy_ball_is_stable_up_to_two_times_one_plus_mu_over_the_curvature(name):
    points = [point for point in dyn.equilibria(MODELS[name], S0, momentum=HEAVY) if point.verdict == "stable"]
    assert points
    for point in points:
        if point.surviving == 2:  # with collapsed modes, their growth rates count too
            assert point.largest_learning_rate == pytest.approx(2 * (1 + MU) / curvature(point), rel=1e-8)


@pytest.mark.parametrize("name", ["Euclidean", "weight decay", "cosine"])
def test_nesterov_is_stable_up_to_its_own_limit(name):
    """With h = eta curvature: z^2 - (1 + mu)(1 - h) z + mu (1 - h) has the root -1 at h = 2 (1 + mu)/(1 + 2 mu)."""
    point = dyn.equilibria(MODELS[name], S0, momentum=NESTEROV)[0]
    assert point.largest_learning_rate == pytest.approx(2 * (1 + MU) / (1 + 2 * MU) / curvature(point), rel=1e-8)


@pytest.mark.parametrize("nesterov", [False, True])
def test_multipliers_are_the_roots_of_the_characteristic_polynomial(nesterov):
    point, eta = dyn.equilibria(DECAY, [0.5], momentum=dyn.Momentum(MU, nesterov))[0], 0.3
    h = eta * curvature(point)
    roots = np.roots([1, -(1 + MU) * (1 - h), MU * (1 - h)] if nesterov else [1, -(1 + MU - h), MU])
    np.testing.assert_allclose(point.multipliers(eta), np.sort_complex(roots), rtol=1e-8)


def test_collapsed_modes_have_momentum():
    *_, collapsed = dyn.equilibria(DECAY, S0, momentum=HEAVY)
    assert collapsed.surviving == 0 and len(collapsed.multipliers(0.1)) == 4
    assert collapsed.largest_learning_rate == pytest.approx(2 * (1 + MU) / RHO, rel=1e-8)
    roots = np.sort_complex(np.roots([1, -(1 + MU - 0.1 * RHO), MU]))
    np.testing.assert_allclose(collapsed.multipliers(0.1)[[0, 2]], roots, rtol=1e-10)


def test_decoupled_decay_acts_one_minus_mu_times_at_fixed_points():
    """lambda (1 - lambda) = (1 - mu) rho; the decay w <- w - eta rho w is not in the buffer."""
    decoupled = dyn.Momentum(MU, decoupled=True)
    found = dyn.equilibria(DECAY, [0.5], momentum=decoupled)
    at_rest = dyn.equilibria(DECAY.replace(weight_decay=(1 - MU) * RHO), [0.5])
    for point, plain in zip(found, at_rest, strict=True):
        np.testing.assert_allclose(point.s, plain.s, rtol=1e-14)
    assert found.fold == pytest.approx(0.25 / (1 - MU)) and found.boundary is None and found.model == DECAY
    # b <- mu b + f(w), w <- w + eta (b - rho w), with f' = rho (1 - mu) - h at the fixed point of curvature h
    eta, slope = 0.3, (1 - MU) * RHO - curvature(found[0])
    jacobian = [[1 + eta * (slope - RHO), eta * MU], [slope, MU]]
    np.testing.assert_allclose(found[0].multipliers(eta), np.sort_complex(np.linalg.eigvals(jacobian)), rtol=1e-8)
    run = dyn.iterate(DECAY, [0.5], 3000, 0.1, momentum=decoupled, record=3000)
    assert run.s[-1, 0] == pytest.approx(found[0].s[0], rel=1e-10)


VARIANTS = [
    (name, dyn.Momentum(MU, nesterov, decoupled))
    for name in ("weight decay", "EMA", "learned")
    for nesterov in (False, True)
    for decoupled in (False, True)
]
EMA = dyn.Model("euclidean", weight_decay=RHO, target=dyn.EMA(0.5))


@pytest.mark.parametrize(("name", "momentum"), VARIANTS, ids=str)
def test_the_map_returns_to_a_fixed_point_below_the_limit_alone(name, momentum):
    model = (MODELS | {"EMA": EMA})[name]
    options = {"learning_rate": 0.1} if model.needs_learning_rate else {}
    point = dyn.equilibria(model, [0.5], momentum=momentum, **options)[0]
    model = model.replace(init=point.predictor[0]) if "init" in model.parameter_names else model
    field = vector_field_of(model, "gaussian", 1e-9)
    at_rest = with_buffers(field.start(point.s), momentum)
    if momentum.decoupled:  # the buffer then balances the decay, b = rho w
        buffers = {f"{name}_buffer": getattr(at_rest, name) for name in ("encoder", "predictor")}
        at_rest = at_rest._replace(**{name: None if w is None else RHO * w for name, w in buffers.items()})
    away = {}
    for share in (0.99, 1.0, 1.01):
        state = at_rest if share == 1 else at_rest._replace(encoder=at_rest.encoder * (1 + 1e-6))
        for _ in range(1 if share == 1 else 400):
            state = field.step(state, share * point.largest_learning_rate, {}, momentum)
        away[share] = np.abs(state.encoder / at_rest.encoder - 1).max()
    assert away[0.99] < 1e-7 and away[1.0] < 1e-14 and not away[1.01] < 1e-5


def test_without_momentum_nothing_changes():
    plain = dyn.equilibria(DECAY, S0)
    for momentum in (0, dyn.Momentum(0.0, decoupled=True)):
        assert dyn.equilibria(DECAY, S0, momentum=momentum) == plain
    with pytest.raises(dyn.ArgumentError, match="`momentum` must be a number of at least 0 and below 1"):
        dyn.equilibria(DECAY, S0, momentum=1)


@pytest.mark.long
@pytest.mark.parametrize("nesterov", [False, True])
def test_a_network_has_the_same_edge(nesterov):
    """1 % below the limit a perturbation decays, 1 % above it grows."""
    momentum, model = dyn.Momentum(0.9, nesterov), dyn.Model("euclidean")
    limit = dyn.equilibria(model, [1.0, 1.0], momentum=momentum)[0].largest_learning_rate
    away = {}
    for share in (0.99, 1.01):
        options = {"momentum": momentum, "batch_size": 200_000, "dtype": "float64", "progress": False}
        network = dyn.train(model, 1.001 * np.eye(2, 3), 60, share * limit, **options)
        away[share] = np.abs(network.s[-4:] - 1).max()
    assert away[0.99] < 1e-3 and not away[1.01] < 0.01  # 0.002 at first
