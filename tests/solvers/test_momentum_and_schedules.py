"""Momentum and schedules in descent map and flow, against loops and integrals typed in."""

from dataclasses import replace

import numpy as np
import optax
import pytest
import scipy.integrate

import dynamics as dyn
from tests.marks import parametrize

S0, STEPS = np.array([0.1, 0.4, 0.9]), 30
K = np.arange(STEPS)
RATE = 0.02 * (1 + np.cos(np.pi * K / STEPS))
SCHEDULES = {"weight_decay": 0.1 * K / STEPS, "decay": 0.5 + 0.4 * K / STEPS, "tracking": 0.8 - 0.5 * K / STEPS}
NOISE = 0.5  # n1 = 1.25, n2 = 1
MODELS = {
    "closed form": dyn.Model("euclidean", noise=(NOISE, 0.0)),
    "tracked": dyn.Model("euclidean", noise=(NOISE, 0.0), predictor=dyn.ClosedForm(tracking=0.8), weight_decay=0.1),
    "EMA": dyn.Model("euclidean", noise=(NOISE, 0.0), target=dyn.EMA(0.7), weight_decay=0.1),
    "learned": dyn.Model("euclidean", noise=(NOISE, 0.0), predictor=dyn.Learned(2.0, 0.5), weight_decay=0.1),
    "learned, EMA": dyn.Model("euclidean", noise=(NOISE, 0.0), predictor=dyn.Learned(), target=dyn.EMA(0.7)),
}
MOMENTA = [0.0, 0.9, dyn.Momentum(0.9, nesterov=True), dyn.Momentum(0.8, decoupled=True), dyn.Momentum(0.5, True, True)]


def schedules_of(model):
    return {name: values for name, values in SCHEDULES.items() if name in model.parameter_names and _has(model, name)}


def _has(model, name):
    return name != "tracking" or model.structure.tracked


def constant_of(model):
    return {name: np.full(STEPS, model.parameter_values[name]) for name in schedules_of(model)}


def moved(w, b, gradient, eta, rho, momentum):
    """One step of weights and buffer, in the words of PyTorch's SGD, with the decay of SGDW if it is decoupled."""
    mu, nesterov, decoupled = momentum.mu, momentum.nesterov, momentum.decoupled
    if not decoupled:
        gradient = gradient - rho * w
    b = mu * b + gradient
    change = gradient + mu * b if nesterov else b
    return (1 - eta * rho) * w + eta * change if decoupled else w + eta * change, b


def typed_in(model, rates, values, momentum):
    """Eigenvalues of descent on |W_P W x1 - sg(V x2)|^2/2: forces -lam (n1 lam w - v) and -(n1 lam w - v) w."""
    momentum = momentum if isinstance(momentum, dyn.Momentum) else dyn.Momentum(momentum)
    learned, tracked, ema = model.structure.predictor == "learned", model.structure.tracked, model.structure[2]
    w, v, c = np.sqrt(S0), np.sqrt(S0), S0.copy()
    p = model.init * np.ones(3)
    b, b_p, found = 0 * w, 0 * w, [S0]
    zero = np.zeros(STEPS)
    for k in range(STEPS):
        lam = p if learned else c if tracked else w**2
        residual = (1 + NOISE**2) * lam * w - (v if ema else w)
        rho, gradient_p = values.get("weight_decay", zero)[k], -model.parameter_values.get("rate", 1) * residual * w
        w, b = moved(w, b, -lam * residual, rates[k], rho, momentum)
        p, b_p = moved(p, b_p, gradient_p, rates[k], rho, momentum)
        if ema:
            v = values["decay"][k] * v + (1 - values["decay"][k]) * w
        if tracked:
            c = values["tracking"][k] * c + (1 - values["tracking"][k]) * w**2
        found.append(w**2)
    return np.array(found)


@pytest.mark.parametrize("momentum", MOMENTA, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_each_step_is_the_one_typed_in(name, momentum):
    model = MODELS[name]
    for rate, values in ((np.full(STEPS, 0.05), constant_of(model)), (RATE, schedules_of(model))):
        run = dyn.iterate(model, S0, STEPS, rate, momentum=momentum, schedules=values, method="numpy")
        np.testing.assert_allclose(run.s, typed_in(model, rate, values, momentum), rtol=1e-11)
        np.testing.assert_allclose(run.t, np.concatenate([[0], np.cumsum(rate)]), rtol=1e-14)


@parametrize("momentum", MOMENTA, MOMENTA[2:3], ids=str)
@parametrize("name", MODELS, ["learned, EMA"])
def test_compiled_steps_are_those_of_numpy(name, momentum):
    model = MODELS[name].replace(sigma2=[0.1, 0.3])  # an ensemble
    options = {"momentum": momentum, "schedules": schedules_of(model), "record": 7}
    compiled, stepped = (dyn.iterate(model, S0, STEPS, RATE, method=method, **options) for method in ("jax", "numpy"))
    np.testing.assert_allclose(compiled.s, stepped.s, rtol=1e-12)
    np.testing.assert_allclose(compiled.predictor, stepped.predictor, rtol=1e-12)
    assert np.array_equal(compiled.t, stepped.t) and compiled.settings == stepped.settings


@parametrize("method", ["numpy", "jax"], ["numpy"])
def test_members_of_an_ensemble_have_momentum_of_their_own(method):
    model = dyn.Model("cosine", weight_decay=[0.0, 0.1], target=dyn.EMA(0.9))
    options = {"momentum": 0.9, "method": method, "schedules": {"decay": SCHEDULES["decay"]}}
    together = dyn.iterate(model, S0, STEPS, RATE, **options)
    for number, decay in enumerate((0.0, 0.1)):
        alone = dyn.iterate(model.replace(weight_decay=decay), S0, STEPS, RATE, **options)
        np.testing.assert_allclose(together.s[number], alone.s, rtol=1e-9)  # quadrature rules differ


INPUTS = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
W0 = np.array([[0.4, 0.1, -0.2], [0.0, 0.5, 0.3]])


@pytest.mark.parametrize("momentum", MOMENTA, ids=str)
def test_weights_have_momentum_as_matrices(momentum):
    """Force -W_P (W_P W Sigma_11 - V Sigma), Sigma_11 = Sigma + sigma1^2, W_P = W Sigma W^T."""
    model = dyn.Model("euclidean", noise=(NOISE, 0.0), inputs=INPUTS, target=dyn.EMA(0.7), weight_decay=0.1)
    values = schedules_of(model)
    run = dyn.iterate(model, W0, STEPS, RATE, momentum=momentum, schedules=values)
    momentum = momentum if isinstance(momentum, dyn.Momentum) else dyn.Momentum(momentum)
    W, V, B, expected = W0, W0, 0 * W0, [W0]
    for k in range(STEPS):
        P = W @ INPUTS @ W.T
        force = -P @ (P @ W @ (INPUTS + NOISE**2 * np.eye(3)) - V @ INPUTS)
        W, B = moved(W, B, force, RATE[k], values["weight_decay"][k], momentum)
        V = values["decay"][k] * V + (1 - values["decay"][k]) * W
        expected.append(W)
    np.testing.assert_allclose(run.weights, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("momentum", MOMENTA, ids=str)
def test_a_learned_predictor_has_momentum_as_a_matrix(momentum):
    """Forces -P^T R and -a R W^T with R = P W Sigma_11 - W Sigma, from weights that are not aligned."""
    P0 = np.array([[0.5, 0.3], [-0.1, 0.4]])
    model = dyn.Model("euclidean", noise=(NOISE, 0.0), inputs=INPUTS, predictor=dyn.Learned(2.0), weight_decay=0.1)
    values = schedules_of(model)
    run = dyn.iterate(model, W0, STEPS, RATE, momentum=momentum, schedules=values, W_P0=P0)
    momentum = momentum if isinstance(momentum, dyn.Momentum) else dyn.Momentum(momentum)
    W, P, B, B_P = W0, P0, 0 * W0, 0 * P0
    for k in range(STEPS):
        residual = P @ W @ (INPUTS + NOISE**2 * np.eye(3)) - W @ INPUTS
        rho, force, force_P = values["weight_decay"][k], -P.T @ residual, -2 * residual @ W.T
        W, B = moved(W, B, force, RATE[k], rho, momentum)
        P, B_P = moved(P, B_P, force_P, RATE[k], rho, momentum)
    np.testing.assert_allclose(run.weights[-1], W, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(run.predictor_weights[-1], P, rtol=1e-10, atol=1e-12)


@parametrize("method", ["numpy", "jax"], ["numpy"])
@pytest.mark.parametrize("name", ["EMA", "learned"])
def test_constant_schedules_and_zero_momentum_are_the_plain_map_bit_for_bit(name, method):
    model = MODELS[name]
    plain = dyn.iterate(model, S0, STEPS, 0.05, method=method)
    options = {"schedules": constant_of(model), "momentum": dyn.Momentum(0.0, True, True), "method": method}
    scheduled = dyn.iterate(model, S0, STEPS, lambda step: 0.05, **options)
    assert np.array_equal(scheduled.s, plain.s) and np.array_equal(scheduled.predictor, plain.predictor)
    assert np.array_equal(scheduled.t, plain.t) and scheduled.settings["learning_rate"] == 0.05
    assert "momentum" not in scheduled.settings
    # values that change, but only after the steps that are compared, are not reduced to numbers
    late = dyn.iterate(model, S0, STEPS, np.append(np.full(STEPS - 1, 0.05), 0.01), method=method)
    exact = np.array_equal if method == "numpy" else np.allclose
    assert exact(late.s[:-1], plain.s[:-1]) and late.s[-1, 0] != plain.s[-1, 0]


def test_an_optax_schedule_gives_the_map_of_its_values():
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.05, 10, STEPS)
    values = [float(schedule(step)) for step in range(STEPS)]
    by_function, by_values = (dyn.iterate(dyn.Model("euclidean"), S0, STEPS, rate) for rate in (schedule, values))
    np.testing.assert_allclose(by_function.s, by_values.s, rtol=1e-6)
    np.testing.assert_allclose(by_function.s[1], S0, rtol=1e-14)  # warm-up begins at zero
    assert by_function.settings["learning_rate"][0] == 0


def test_momentum_is_that_of_optax():
    model, w = dyn.Model("euclidean", noise=(NOISE, 0.0)), np.sqrt(S0)
    for nesterov in (False, True):
        optimizer = optax.sgd(0.05, momentum=0.9, nesterov=nesterov)
        weights, state = w.astype(np.float32), optimizer.init(w.astype(np.float32))
        for _ in range(STEPS):
            change, state = optimizer.update(weights**2 * (1.25 * weights**3 - weights), state)
            weights = optax.apply_updates(weights, change)
        run = dyn.iterate(model, S0, STEPS, 0.05, momentum=dyn.Momentum(0.9, nesterov))
        np.testing.assert_allclose(run.s[-1], np.asarray(weights) ** 2, rtol=1e-4)  # single precision


def test_momentum_speeds_up_small_steps_by_one_over_one_minus_mu():
    model, end = dyn.Model("euclidean", noise=(NOISE, 0.0), weight_decay=0.05), 2.0
    for momentum, decay in ((0.9, 0.05), (dyn.Momentum(0.9, True), 0.05), (dyn.Momentum(0.9, decoupled=True), 0.005)):
        flow = dyn.solve(model.replace(weight_decay=decay), S0, [end]).s[-1]
        errors = []
        for steps in (2000, 4000):
            run = dyn.iterate(model, S0, steps, (1 - 0.9) * end / steps, momentum=momentum, record=steps)
            errors.append(np.abs(run.s[-1] / flow - 1).max())
        assert errors[0] < 0.02 and 1.8 < errors[0] / errors[1] < 2.2  # of first order in the learning rate


def test_a_member_that_diverges_is_reported_at_the_time_of_its_step():
    rate = np.linspace(0.5, 5.0, 40)
    for method in ("numpy", "jax"):
        run = dyn.iterate(dyn.Model("euclidean"), [[0.1], [3.0]], 40, rate, momentum=0.5, method=method)
        step = int(run.status.split("step ")[1])
        assert run.blow_up_time[1] == pytest.approx(rate[:step].sum()) and step > 1


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".nc"])
def test_schedules_and_momentum_are_saved(tmp_path, suffix):
    momentum = dyn.Momentum(0.9, nesterov=True)
    run = dyn.iterate(MODELS["EMA"], S0, STEPS, RATE, momentum=momentum, schedules=schedules_of(MODELS["EMA"]))
    loaded = dyn.load(run.save(tmp_path / f"run{suffix}"))
    assert loaded == run and loaded.settings["momentum"] == {"mu": 0.9, "nesterov": True}
    np.testing.assert_array_equal(loaded.settings["learning_rate"], RATE)
    np.testing.assert_array_equal(loaded.settings["schedules"]["decay"], SCHEDULES["decay"])
    assert "momentum 0.9, Nesterov" in loaded.method and "scheduled learning rate" in loaded.method
    text = replace(run, settings=run.settings | {"learning_rate": [0.1, "fast"]})
    with pytest.raises(dyn.ArgumentError, match="an entry `settings` whose `learning_rate` is"):
        dyn.load(text.save(tmp_path / "damaged.npz"))


def test_runs_with_momentum_or_schedules_do_not_continue_one_another():
    model = dyn.Model("euclidean")
    for options, reason in (({"momentum": 0.9}, "buffer of momentum begins"), ({}, "schedules begin")):
        rate = 0.1 if options else RATE
        first = dyn.iterate(model, S0, STEPS, rate, **options)
        halves = [first.select(step=slice(0, 15)), first.select(step=slice(15, None))]
        assert np.array_equal(dyn.concatenate(halves).s, first.s)
        second = dyn.iterate(model, first.s[-1], STEPS, rate, **options)
        with pytest.raises(dyn.ArgumentError, match=f"must be parts of one run: .*{reason} anew"):
            dyn.concatenate([first, second])


# --- flow -----------------------------------------------------------------------------------------------------------

TIMES = np.linspace(0.0, 6.0, 7)


def test_flow_with_a_weight_decay_of_time_is_the_integral():
    """Without predictor, ds/dt = -2 (n1 - 1 + rho(t)) s."""
    model = dyn.Model("euclidean", predictor=dyn.NoPredictor(), noise=(NOISE, 0.0))
    flow = dyn.solve(model, S0, TIMES, schedules={"weight_decay": lambda t: 0.2 + 0.1 * np.sin(t)})
    exponent = (0.25 + 0.2) * TIMES + 0.1 * (1 - np.cos(TIMES))
    np.testing.assert_allclose(flow.s, S0 * np.exp(-2 * exponent)[:, None], rtol=1e-7)
    np.testing.assert_allclose(flow.settings["schedules"]["weight_decay"], 0.2 + 0.1 * np.sin(TIMES), rtol=1e-14)
    assert flow.settings["method"] == "scipy"


def test_flow_with_functions_of_time_solves_its_equation():
    """Coupled modes w, their target v and tracked correlation c, by another integrator."""
    model = dyn.Model(
        "euclidean", noise=(NOISE, 0.0), target=dyn.EMA(0.9), predictor=dyn.ClosedForm(tracking=0.9), weight_decay=0.1
    )
    functions = {"weight_decay": lambda t: 0.1 * t / 6, "decay": lambda t: 0.9 + 0.01 * t, "tracking": lambda t: 0.5}

    def eta(t):
        return 0.1 / (1 + t)

    def slope(t, y):
        w, v, c = y.reshape(3, -1)
        tau = functions["decay"](t)
        dw = -c * (1.25 * c * w - v) - functions["weight_decay"](t) * w
        return np.concatenate([dw, (1 - tau) / eta(t) * (w - v), 0.5 / eta(t) * (w**2 - c)])

    start = np.concatenate([np.sqrt(S0), np.sqrt(S0), S0])
    expected = scipy.integrate.solve_ivp(slope, (0, 6), start, "Radau", TIMES, rtol=1e-11, atol=1e-13).y[:3].T ** 2
    flow = dyn.solve(model, S0, TIMES, learning_rate=eta, schedules=functions)
    np.testing.assert_allclose(flow.s, expected, rtol=1e-7)


@parametrize("loss", ["euclidean", "cosine"], ["euclidean"])
def test_flow_with_constant_functions_is_the_plain_flow(loss):
    model = dyn.Model(loss, noise=(0.0, 0.2), weight_decay=0.05)
    plain = dyn.solve(model, S0, TIMES)
    scheduled = dyn.solve(model.replace(weight_decay=0.0), S0, TIMES, schedules={"weight_decay": lambda t: 0.05})
    np.testing.assert_allclose(scheduled.s, plain.s, rtol=1e-7)


def test_equal_modes_follow_a_weight_decay_of_time():
    """The cosine flow of equal modes is weight decay alone."""
    flow = dyn.solve(dyn.Model("cosine"), [0.5, 0.5], TIMES, schedules={"weight_decay": lambda t: 0.1 * t})
    np.testing.assert_allclose(flow.s, 0.5 * np.exp(-0.1 * TIMES**2)[:, None] * np.ones(2), rtol=1e-7)


def test_a_prepared_solver_has_functions_of_time():
    functions = {"weight_decay": lambda t: 0.1 * t}
    solver = dyn.prepare(dyn.Model("euclidean"), modes=3, times=TIMES, schedules=functions)
    assert solver(S0) == dyn.solve(dyn.Model("euclidean"), S0, TIMES, schedules=functions)
