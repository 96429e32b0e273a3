"""Deep encoders and reconstruction: rests and flows of the literature, the map per layer, invariants, refusals."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import dynamics as dyn
from dynamics.vector_field.layers import LayerField
from dynamics.vector_field.state import State
from tests.marks import parametrize

C = np.array([1.0, 0.6, 0.3])  # second moments that the views share, lambda of Littwin et al.
RHO = np.array([0.9, 0.7, 0.8])  # their regression coefficients lambda/sigma^2
VIEWS = dyn.Views.modes(online=C / RHO, cross=C, target=1.1 * C / RHO)
W0 = np.array([0.3, 0.25, 0.35])
TARGETS = {"JEPA": dyn.Shared(), "MAE": dyn.Reconstruction()}
DEPTHS = (1, 2, 3, 4)


def learned(depth, name, w0=W0):
    """The decoder or predictor is one more layer, balanced with the others: V = w^(1/L)."""
    predictor = dyn.Learned(init=(w0 ** (1 / depth)).tolist())
    return dyn.Model("euclidean", views=VIEWS, predictor=predictor, depth=depth, target=TARGETS[name])


def singular_values(trajectory):
    return np.sqrt(trajectory.s / C)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_rests_are_those_of_littwin_et_al(depth, name):
    flow = dyn.solve(learned(depth, name), C * W0**2, [0.0, 5000.0], rtol=1e-10)
    rest = RHO**depth if name == "JEPA" else RHO ** (depth / (depth + 1))
    np.testing.assert_allclose(singular_values(flow)[-1], rest, rtol=1e-12)
    state = LayerField(learned(depth, name)).start(C * rest**2)
    at_rest = state._replace(predictor=(rest ** (1 / depth))[None])
    forces = LayerField(learned(depth, name)).forces(at_rest)
    assert max(np.abs(force).max() for force in forces) < 1e-14


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_balanced_layers_follow_the_equation_of_littwin_et_al(depth, name):
    """dw/dt = L lambda (w^(3 - 1/L) - w^3/rho) for JEPA, and with w^(2 - 1/L) for MAE."""
    power = (3 if name == "JEPA" else 2) - 1 / depth

    def slope(_, w):
        return depth * C * (w**power - w**3 / RHO)

    times = [0.0, 1.0, 5.0]
    expected = solve_ivp(slope, (0, 5), W0, "DOP853", times, rtol=1e-13, atol=1e-15).y.T
    flow = dyn.solve(learned(depth, name), C * W0**2, times, rtol=1e-10)
    np.testing.assert_allclose(singular_values(flow), expected, rtol=1e-9)  # ten times the flow's rtol


@pytest.mark.parametrize("depth", [1, 2])
def test_supervised_regression_has_the_solutions_of_saxe_et_al(depth):
    """L = 1 is an exponential, which starts at zero; L = 2 is a logistic in w with rate 2 lambda."""
    model = dyn.Model("euclidean", views=VIEWS, predictor=dyn.NoPredictor(), target=dyn.Reconstruction(), depth=depth)
    times = np.array([0.0, 0.5, 3.0])
    w0 = 0.0 * W0 if depth == 1 else W0
    found = singular_values(dyn.solve(model, C * w0**2, times, rtol=1e-10))
    t = times[:, None]
    growth = np.exp(2 * C * t)
    logistic = RHO * W0 * growth / (RHO + W0 * (growth - 1))
    expected = RHO * (1 - np.exp(-C / RHO * t)) if depth == 1 else logistic
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_times_of_convergence_are_integrals_of_the_equation_of_littwin_et_al(depth, name):
    """dt = dw/(L lambda (w^(3 - 1/L) - w^3/rho)), from w0 to nine tenths of the rest."""
    rest = RHO**depth if name == "JEPA" else RHO ** (depth / (depth + 1))
    power = (3 if name == "JEPA" else 2) - 1 / depth
    start = 0.1 * rest
    model = learned(depth, name, start)
    found = dyn.convergence_time(model, C * start**2, C * (0.9 * rest) ** 2, rtol=1e-10)
    expected = [
        quad(lambda w, m=m: 1 / (depth * C[m] * (w**power - w**3 / RHO[m])), start[m], 0.9 * rest[m], epsrel=1e-12)[0]
        for m in range(3)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-8)  # errors of the flow grow with 1/w0


RECONSTRUCTED = {
    "flow": (lambda m, s0, method: dyn.solve(m, s0, [0.0, 2.0], method=method), ["scipy", "jax", "heyoka"]),
    "descent map": (lambda m, s0, method: dyn.iterate(m, s0, 20, ETA, method=method), ["numpy", "jax"]),
}


@pytest.mark.parametrize("s0", [[0.2, 0.1, 0.4], [0.0, 0.1, 0.0]], ids=["above zero", "from zero"])
@pytest.mark.parametrize("level", RECONSTRUCTED)
def test_all_methods_agree_on_a_reconstruction_target(level, s0):
    """Also where modes start from zero; the target has the eigenvalues c at all records, the first included."""
    if level == "flow":
        pytest.importorskip("heyoka")
    run, methods = RECONSTRUCTED[level]
    model = dyn.Model("euclidean", views=VIEWS, target=dyn.Reconstruction(), predictor=dyn.Learned(0.7))
    first, *others = (run(model, s0, method) for method in methods)
    for other in others:
        for name in ("s", "target", "predictor"):
            expected = getattr(first, name)
            np.testing.assert_allclose(getattr(other, name), expected, rtol=1e-7, atol=1e-13)  # ten times rtol
    for trajectory in (first, *others):
        np.testing.assert_allclose(trajectory.target, np.broadcast_to(C, trajectory.s.shape), rtol=1e-14)
    assert (first.s[-1] > 0.01).all()


# --- the map per layer ----------------------------------------------------------------------------------------------

LAYERS = np.array([[0.9, 0.5, 0.7], [0.4, 0.8, 0.6], [0.7, 0.7, -0.9]])  # unequal, one of them negative
S0 = C * LAYERS.prod(axis=0) ** 2
ETA, DECAY = 0.1, 0.02


@pytest.mark.parametrize("kind", ["shared", "EMA", "learned", "reconstruction"])
def test_steps_of_the_layers_are_those_typed_in(kind):
    """u_l <- u_l + eta (G prod_{j != l} u_j - rho u_l), with G = -dL/dw of the Euclidean loss."""
    target = {"EMA": dyn.EMA(0.8), "reconstruction": dyn.Reconstruction()}.get(kind, dyn.Shared())
    predictor = dyn.Learned(0.7, init=0.5) if kind in ("learned", "reconstruction") else dyn.ClosedForm()
    model = dyn.Model("euclidean", views=VIEWS, depth=3, predictor=predictor, target=target, weight_decay=DECAY)
    gd = dyn.iterate(model, S0, 20, ETA, layers0=LAYERS)
    n1, u, v, lam = C / RHO, LAYERS.copy(), LAYERS.copy(), np.full(3, 0.5)
    for step in range(1, 21):
        w = u.prod(axis=0)
        target_w = {"EMA": v.prod(axis=0), "reconstruction": 1.0}.get(kind, w)
        if not isinstance(predictor, dyn.Learned):
            lam = C * w**2
        residual = C * target_w - lam * n1 * w  # E[(t - p) x1]
        change = np.array([lam * residual * np.delete(u, layer, 0).prod(axis=0) for layer in range(3)])
        learned_change = 0.7 * residual * w
        u = u + ETA * (change - DECAY * u)
        v = 0.8 * v + 0.2 * u
        lam = lam + ETA * (learned_change - DECAY * lam)
        np.testing.assert_allclose(gd.s[step], C * u.prod(axis=0) ** 2, rtol=1e-12)
    if isinstance(predictor, dyn.Learned):
        np.testing.assert_allclose(gd.predictor[-1], lam, rtol=1e-12)
    assert np.abs(gd.s[-1] / gd.s[0] - 1).max() > 0.05


def test_a_layer_that_is_zero_is_moved_by_the_other_layers():
    """Its force is G prod_{j != l} u_j, with G = c v lambda at w = 0; layers beside it have no force."""
    model = dyn.Model("euclidean", views=VIEWS, depth=2, predictor=dyn.NoPredictor(), target=dyn.Reconstruction())
    layers = np.array([[0.0, 0.0, 0.4], [0.5, 0.0, 0.5]])
    gd = dyn.iterate(model, C * layers.prod(axis=0) ** 2, 1, ETA, layers0=layers)
    field = LayerField(model)
    forces = field.forces(field.start(np.zeros(3))._replace(encoder=layers)).encoder
    np.testing.assert_allclose(forces[:, :2], [[C[0] * 0.5, 0.0], [0.0, 0.0]], rtol=1e-12)
    np.testing.assert_allclose(gd.s[1, 0], C[0] * (ETA * C[0] * 0.5 * 0.5) ** 2, rtol=1e-12)


@parametrize("loss", ["euclidean", "cosine"], quick=["euclidean"])
def test_the_flow_conserves_differences_of_squares_of_the_layers(loss):
    """d(u_l^2 - u_j^2)/dt = 0, for any force on the product; so equal layers stay equal."""
    field = LayerField(dyn.Model(loss, views=VIEWS, depth=3))
    state = State(np.abs(LAYERS))
    change = 2 * state.encoder * field.forces(state).encoder
    np.testing.assert_allclose(change, np.broadcast_to(change[:1], change.shape), rtol=1e-13)
    assert np.abs(change).max() > 1e-3


def test_deep_encoders_are_slower_where_small_and_learn_in_another_order():
    """MAE and deep JEPA differ in the order of modes of equal lambda; only JEPA with L > 1 sees rho."""
    views = dyn.Views.modes(online=[1.25, 2.0], cross=[1.0, 1.0], target=[1.25, 2.0])  # rho = 0.8, 0.5

    def times_to_half(name, depth):
        small = 0.05
        model = dyn.Model(
            "euclidean",
            views=views,
            predictor=dyn.Learned(init=small ** (1 / depth)),
            depth=depth,
            target=TARGETS[name],
        )
        t = np.linspace(0, 400, 4001)
        s = dyn.solve(model, [small**2] * 2, t, rtol=1e-9).s
        return [t[np.argmax(column > column[-1] / 4)] for column in s.T]

    jepa, mae = times_to_half("JEPA", 3), times_to_half("MAE", 3)
    assert jepa[0] > 1.5 * jepa[1] or jepa[1] > 1.5 * jepa[0]
    assert abs(mae[0] / mae[1] - 1) < 0.5


CASES = {
    "one layer": (
        lambda: dyn.iterate(dyn.Model("cosine"), [0.1, 0.2], 1, 0.1, layers0=[[1.0, 1.0]]),
        "be left out for",
    ),
    "shape": (
        lambda: dyn.solve(dyn.Model("cosine", depth=2), [0.1, 0.2], [0, 1], layers0=[[1.0, 1.0]]),
        r"be finite singular values of shape \(..., 2, 2\)",
    ),
    "product": (
        lambda: dyn.solve(dyn.Model("cosine", depth=2), [0.1, 0.2], [0, 1], layers0=np.ones((2, 2))),
        "have a product over the layers",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_layers_that_do_not_fit_are_refused(case):
    call, requirement = CASES[case]
    with pytest.raises(dyn.ArgumentError, match=f"`layers0` must {requirement}"):
        call()


REFUSED = {
    "depth 0": (lambda: dyn.Model("cosine", depth=0), "`depth` must be a whole number"),
    "inputs": (lambda: dyn.Model("cosine", depth=2, inputs=np.eye(2)), "`depth` must be 1 for correlated inputs"),
    "reconstruction by weights": (
        lambda: dyn.Model("cosine", target=dyn.Reconstruction(), inputs=np.eye(2)),
        r"`target` must be Shared\(\) or EMA",
    ),
    "reconstruction trained": (
        lambda: dyn.Model("cosine", target=dyn.Reconstruction(), stop_gradient="none"),
        r"`target` must be Shared\(\) unless",
    ),
    "analysis": (lambda: dyn.equilibria(dyn.Model("euclidean", depth=2), [0.1]), "`model` must have depth 1"),
    "analysis of a reconstruction": (
        lambda: dyn.collapse(dyn.Model("euclidean", target=dyn.Reconstruction()), [0.1]),
        r"`model` must have depth 1 and not the target Reconstruction\(\)",
    ),
    "invariants": (lambda: dyn.invariants(dyn.Model("cosine", depth=2)), "`model` must have depth 1"),
    "check": (lambda: dyn.check(dyn.Model("cosine", depth=2), [0.1, 0.2]), "`model` must have depth 1"),
    "rates": (lambda: dyn.effective_rates(dyn.Model("cosine", depth=2), [0.1, 0.2]), "`model` must have depth 1"),
    "bifurcation": (
        lambda: dyn.bifurcation(dyn.Model("euclidean", depth=2), "weight_decay", (0, 0.1)),
        "`model` must have depth 1",
    ),
    "phase diagram": (
        lambda: dyn.phase_diagram(dyn.Model("euclidean", depth=2), [0.1], ("weight_decay", 0, 1), ("sigma2", 0, 1)),
        "`model` must have depth 1",
    ),
    "design": (lambda: dyn.design(dyn.FastestUniform(0.4), dyn.Model("euclidean", depth=2)), "`model` must have depth"),
    "prepared": (
        lambda: dyn.prepare(dyn.Model("cosine", depth=2), modes=2, times=[0, 1], method="jax"),
        "deep encoder",
    ),
    "fluctuations": (
        lambda: dyn.iterate(dyn.Model("cosine", depth=2), [0.1, 0.2], 1, 0.1, batch_size=9, input_dimension=3),
        "`batch_size` must be left out for a deep encoder",
    ),
    "compiled": (
        lambda: dyn.solve(dyn.Model("cosine", depth=2), [0.1, 0.2], [0, 1], method="jax"),
        "`method` must be 'auto' or 'scipy' for a deep encoder",
    ),
    "exact": (lambda: dyn.solve(dyn.Model("euclidean", depth=2), [0.1], [0, 1], method="exact"), "`method` must be "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_apply_to_layers_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
