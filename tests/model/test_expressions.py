"""User-defined losses and gains: expressions with parameters, models with them, and the dynamics that follow."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import jax
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.linear import over_modes
from tests.marks import parametrize

S0 = np.array([0.2, 0.5, 1.0])
NOISE = (0.3, 0.2)
BRAKED = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1)
BELL = dyn.Loss.parse("-exp(-mu * |p - sg(z2)|^2)", mu=0.5)
POWER = dyn.Gain.parse("lambda^gamma", gamma=0.5)
HEYOKA = pytest.param("heyoka", marks=pytest.mark.filterwarnings("default"))


def final(model):
    """Descent map, in another process."""
    return dyn.iterate(model, S0, 3, 0.1).s[-1]


# --- expressions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [BRAKED, BELL, POWER], ids=repr)
def test_an_expression_is_restored_from_its_repr(one):
    same = eval(repr(one), {"Loss": dyn.Loss, "Gain": dyn.Gain})  # our own repr
    assert same == one and hash(same) == hash(one) and same is not one
    assert pickle.loads(pickle.dumps(one)) == one
    (name,) = one.parameters
    other = one.replace(**{name: 0.25})
    assert other != one and other.parameters == {name: 0.25} and one.parameters[name] != 0.25
    assert other.replace(**dict(one.parameters)) == one
    assert one != one.text and len({one, same, other}) == 2


def test_equality_ignores_blanks_and_the_order_of_parameters():
    assert dyn.Loss.parse(" |p -  sg(z2)|^2\n/ 2 ") == dyn.Loss.parse("|p - sg(z2)|^2 / 2")
    text = "a * |p - sg(z2)|^2 + b * |z1|^2"
    assert dyn.Loss.parse(text, a=1.0, b=2.0) == dyn.Loss.parse(text, b=2.0, a=1.0) != dyn.Loss.parse(text, a=2, b=1)
    assert dyn.Loss.parse("z1 . sg(z2)") != dyn.Loss.parse("z1 . z2")
    assert dyn.Gain.parse("lambda") != dyn.Gain.parse("lam")  # of other text, though of the same meaning


@pytest.mark.parametrize("name", ["self", "cls", "text", "sigma", "sigma3"])
def test_parameters_may_have_any_name_that_the_grammar_leaves_free(name):
    loss = dyn.Loss.parse(f"|p - sg(z2)|^2 / 2 + {name} * |z1|^2", **{name: 0.1})
    assert dyn.Model(loss).replace(**{name: 0.2}).loss.parameters == {name: 0.2}
    assert f"{name}=0.1):" in dyn.Model(loss).to_jax()


def test_arrays_are_copied_and_read_only():
    betas = np.array([0.1, 0.2])
    loss = BRAKED.replace(beta=betas)
    betas[0] = 9
    np.testing.assert_array_equal(loss.parameters["beta"], [0.1, 0.2])
    with pytest.raises(ValueError, match="read-only"):
        loss.parameters["beta"][0] = 9
    with pytest.raises(TypeError):
        loss.parameters["beta"] = 9
    assert "beta=<array (2,)>" in repr(loss)
    assert loss == BRAKED.replace(beta=[0.1, 0.2]) != BRAKED.replace(beta=[0.1, 0.3])


def test_a_gain_is_evaluated_at_eigenvalues():
    lam = np.array([0.25, 1.0])
    np.testing.assert_array_equal(POWER(lam), [0.5, 1.0])
    np.testing.assert_array_equal(dyn.Gain.parse("1")(lam), [1.0, 1.0])
    found = POWER.replace(gamma=[0.0, 2.0])(lam)
    np.testing.assert_array_equal(found, [[1.0, 1.0], [0.0625, 1.0]])


MUST = r"^Argument `{}` must be an expression, such as .*, but at position {} of .*: {}"


@pytest.mark.parametrize(
    ("kind", "text", "parameters", "message"),
    [
        (
            dyn.Loss,
            "|p - sg(z2)|^2",
            {"beta": 1.0},
            "`loss` must contain the parameter beta in its expression, because a value of beta is given, but is ",
        ),
        (
            dyn.Gain,
            "lambda",
            {"beta": 1.0},
            "`gain` must contain the parameter beta in its expression, because a value of beta is given, but is ",
        ),
        (
            dyn.Loss,
            "rho * |p|^2",
            {"rho": 1.0},
            "`parameters` must have as keys names that are not reserved, but has the key 'rho'. Use another name, "
            "such as rho_, in the expression and for its value.",
        ),
        (dyn.Loss, "h * |p|^2", {"h": 1.0}, "but has the key 'h'"),
        (dyn.Loss, "p3 * |p|^2", {"p3": 1.0}, "but has the key 'p3'"),
        (dyn.Loss, "_a * |p|^2", {"_a": 1.0}, "but has the key '_a'"),
        (dyn.Loss, "if * |p|^2", {"if": 1.0}, "but has the key 'if'"),
        (dyn.Loss, "β * |p|^2", {"β": 1.0}, "but has the key 'β'"),
        (dyn.Loss, "|p|^2", {"2a": 1.0}, "but has the key '2a'"),
        (
            dyn.Loss,
            "beta * |p|^2",
            {"beta": "big"},
            "`beta` must be a finite number, or an array of them, but is 'big'",
        ),
        (dyn.Loss, "beta * |p|^2", {"beta": np.nan}, "`beta` must be a finite number"),
        (dyn.Loss, "beta * |p|^2", {"beta": [1.0, np.inf]}, "`beta` must be a finite number"),
        (
            dyn.Loss,
            "|sg(p) - sg(z2)|^2",
            {},
            "`loss` must have a nonzero gradient with respect to z1 .*, to train the encoder, but is ",
        ),
        (dyn.Loss, "2", {}, "`loss` must have a nonzero gradient with respect to z1 .*, to train the encoder, but is "),
        (dyn.Loss, 3, {}, "`loss` must be an expression, such as .*, but is 3"),
        (dyn.Gain, None, {}, "`gain` must be an expression, such as 'lambda.0.5', but is None"),
        (dyn.Loss, "|p - W_p * z2|", {}, MUST.format("loss", 6, "`W_p` is an unknown name; .* Did you mean `W_P`")),
        (dyn.Loss, "|p", {}, MUST.format("loss", 3, "the expression ends, but")),
        (dyn.Loss, "", {}, MUST.format("loss", 1, "the expression ends, but a value must come here")),
        (dyn.Loss, "p", {}, MUST.format("loss", 1, "a loss must be a number, but this expression is a vector")),
        (dyn.Gain, "z1", {}, MUST.format("gain", 1, "`z1` is an unknown name")),
        (dyn.Gain, "lambda +", {}, MUST.format("gain", 9, "the expression ends, but a value must come here")),
    ],
)
def test_a_text_that_is_no_expression_is_refused(kind, text, parameters, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        kind.parse(text, **parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": BRAKED, "isotropic": True}, "`isotropic` must be left out with a user-defined loss"),
        ({"loss": BRAKED, "stop_gradient": "none"}, "`stop_gradient` must be left out with a user-defined loss"),
        ({"loss": "euclidean", "gain": POWER, "isotropic": True}, "`isotropic` must be left out with a gain"),
        ({"loss": "cosine", "gain": "1", "stop_gradient": "online"}, "`stop_gradient` must be left out with a gain"),
        ({"loss": BRAKED, "gain": POWER}, "`gain` must be left out with a user-defined loss, because the"),
        ({"loss": "euclidean", "gain": 0.5}, "`gain` must be text or a Gain, such as 'lambda.0.5', but is 0.5"),
        ({"loss": "euclidean", "gain": "lamda"}, "`gain` must be an expression"),
        ({"loss": "euclidean", "gain": "1", "predictor": dyn.Learned()}, r"`predictor` must be ClosedForm\(...\) wit"),
        ({"loss": "euclidean", "gain": "1", "predictor": dyn.NoPredictor()}, r"`predictor` must be ClosedForm\(...\)"),
        (
            {"loss": dyn.Loss.parse("|z1 - sg(z2 + z1 - p)|^2"), "predictor": dyn.Learned()},
            "`predictor` must be .* does not reach W_P",
        ),
        (
            {"loss": dyn.Loss.parse("|W_P^0.5 * z1 - sg(z2)|^2"), "predictor": dyn.Learned()},
            "`predictor` must be .* not a positive integer power",
        ),
        (
            {"loss": dyn.Loss.parse("|p - z2|^2"), "target": dyn.EMA(0.9)},
            r"`target` must be Shared\(\), because z2 stands outside sg\(\)",
        ),
        (
            {"loss": dyn.Loss.parse("|z1|^2 / |(1 - W_P) * z2|"), "predictor": dyn.NoPredictor()},
            r"`loss` must be defined at W_P = 1 if the predictor is NoPredictor\(\), but at .* not a real",
        ),
        (
            {"loss": dyn.Loss.parse("((1 - W_P) * z1) . sg(z2)"), "predictor": dyn.NoPredictor()},
            r"`loss` must have a nonzero gradient at W_P = 1 if the predictor is NoPredictor\(\), but is Loss.parse",
        ),
        (
            {"loss": dyn.Loss.parse("(p . sg(z2)) * (p . (W_P^-1 * z1))"), "predictor": dyn.Learned()},
            "`predictor` must be .* not a positive integer power",
        ),
        ({"loss": BELL, "inputs": np.eye(3)}, "`inputs` must be None for this loss, because the force contains"),
        ({"loss": "cosine similarity"}, "`loss` must be one of 'euclidean', 'cosine', or an expression, such as"),
        ({"loss": BRAKED, "stop_gradient": "target"}, "`stop_gradient` must be left out with a user-defined loss"),
    ],
)
def test_options_that_do_not_apply_to_them_are_refused(options, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.Model(**options)


# --- models with them -----------------------------------------------------------------------------------------------

MODELS = [
    dyn.Model(BRAKED, noise=NOISE),
    dyn.Model(BRAKED.replace(beta=[0.1, 0.2]), predictor=dyn.Learned(), target=dyn.EMA(0.9)),
    dyn.Model("euclidean", gain=POWER),
    dyn.Model("cosine", gain="1 / (1 + lambda)", symmetrised=True),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_is_restored_from_plain_data_and_from_a_pickle(model):
    for same in (dyn.Model.from_dict(json.loads(json.dumps(model.to_dict()))), pickle.loads(pickle.dumps(model))):
        assert (same.loss, same.gain) == (model.loss, model.gain) and str(same) == str(model)
    assert ("gain" in model.to_dict()) == (model.gain is not None)


def test_a_model_can_be_sent_to_another_process():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for model in (MODELS[0], MODELS[2]):
            np.testing.assert_array_equal(pool.submit(final, model).result(), final(model))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_trajectory_is_saved_and_loaded(model, tmp_path):
    saved = dyn.iterate(model, S0, 2, 0.1)
    loaded = dyn.load(saved.save(tmp_path / "run"))
    assert (loaded.model.loss, loaded.model.gain) == (model.loss, model.gain)
    np.testing.assert_array_equal(loaded.s, saved.s)
    np.testing.assert_array_equal(dyn.iterate(loaded.model, S0, 2, 0.1).s, saved.s)


def test_parameters_of_an_expression_are_parameters_of_the_model():
    model = dyn.Model(BRAKED)
    assert model.parameter_names[-1] == "beta" and dyn.Model("euclidean", gain=POWER).parameter_names[-1] == "gamma"
    assert model.replace(beta=0.7, alpha=0.5).loss == BRAKED.replace(beta=0.7)
    assert dyn.Model("euclidean", gain=POWER).replace(gamma=0.7).gain == POWER.replace(gamma=0.7)
    with pytest.raises(dyn.ArgumentError, match=r"`parameter` must be one of .*, 'beta', but is 'bata'. Did you mean"):
        model.replace(bata=0.7)
    with pytest.raises(dyn.ArgumentError, match="`beta` must be a finite number"):
        model.replace(beta=np.inf)
    with pytest.raises(
        dyn.ArgumentError, match=r"must have shapes that broadcast, but the shapes are alpha \(3,\), beta \(2,\)"
    ):
        model.replace(alpha=[0.5, 1.0, 2.0], beta=[0.1, 0.2])


# --- parameters that are arrays -------------------------------------------------------------------------------------

ENSEMBLES = [
    (dyn.Model(BRAKED, noise=NOISE), "beta"),
    (dyn.Model("euclidean", gain=POWER, noise=NOISE), "gamma"),
    (dyn.Model(dyn.Loss.parse("-p . sg(z2) / (|p| * |sg(z2)|) + beta * |z1|^2 / (|p| * |z1|)", beta=0.1)), "beta"),
]


@parametrize("level", LEVELS := ["iterate", "scipy", HEYOKA, "jax"], quick=LEVELS[:3])
@pytest.mark.parametrize(("model", "name"), ENSEMBLES[:2], ids=["loss", "gain"])
def test_an_ensemble_is_its_single_runs(model, name, level):
    """To rounding for the map, and for the flow to the solver's tolerance, as steps may be common to all."""
    if level == "heyoka":
        pytest.importorskip("heyoka")
    values = np.array([0.2, 0.4])

    def run(model):
        if level == "iterate":
            return dyn.iterate(model, S0, 6, 0.1).s
        return dyn.solve(model, S0, [0.0, 0.5, 1.0], method=level, rtol=1e-10).s

    whole = run(model.replace(**{name: values}))
    assert whole.shape[0] == 2 and not np.allclose(whole[0, -1], whole[1, -1], rtol=1e-3)
    for value, found in zip(values, whole, strict=True):
        rtol = 1e-14 if level == "iterate" else 1e-8  # 100 tolerances
        np.testing.assert_allclose(found, run(model.replace(**{name: float(value)})), rtol=rtol)


def test_networks_have_one_value_of_each():
    with pytest.raises(dyn.ArgumentError, match="`model` must"):
        dyn.train(dyn.Model(BRAKED.replace(beta=[0.1, 0.2])), np.eye(2, 3) / 2, 2, 0.1, batch_size=4)


@pytest.mark.parametrize(("model", "name"), ENSEMBLES, ids=["loss", "gain", "norms"])
def test_sweeps_over_a_parameter_of_an_expression(model, name, tmp_path):
    values = np.array([0.1, 0.3, 0.5])
    found = dyn.sweep(model, {name: values}, store=tmp_path / "a.zarr", chunk=2, s0=S0, steps=4, learning_rate=0.1)
    direct = dyn.iterate(model.replace(**{name: values}), S0, 4, 0.1)
    # the closure's tolerance of 1e-9, where there is one: blocks have nodes of their own
    np.testing.assert_allclose(found.s, direct.s, rtol=1e-8)
    np.testing.assert_array_equal(found[name], values)


def test_bifurcation_in_a_parameter_of_a_gain():
    """r = h (1 - lambda) of gain h = gamma: it ends at rho = gamma, where s = 0 (noiseless, lambda = s)."""
    model = dyn.Model("euclidean", gain=dyn.Gain.parse("gamma", gamma=0.5), weight_decay=0.3)
    diagram = dyn.bifurcation(model, "gamma", (0.35, 1.0), points=5)
    (alive,) = [branch for branch in diagram.branches if branch.surviving]
    np.testing.assert_allclose(alive.s, 1 - 0.3 / np.asarray(alive.value), rtol=1e-9)  # tolerance of continuation
    assert np.ptp(alive.value) > 0.6
    with pytest.raises(dyn.ArgumentError, match=r"`parameter` must be one of .*'gamma', but is 'gama'"):
        dyn.bifurcation(model, "gama", (0.3, 1.0))


def test_bifurcation_of_a_loss_without_one_is_refused():
    with pytest.raises(dyn.ArgumentError, match="`model` must"):
        dyn.bifurcation(dyn.Model(BELL), "mu", (0.3, 1.0))


# --- the catalogue as user-defined losses ---------------------------------------------------------------------------

WRITTEN = {
    ("euclidean", "target"): "|p - sg(z2)|^2 / 2",
    ("euclidean", "none"): "|p - z2|^2 / 2",
    ("euclidean", "online"): "|sg(p) - z2|^2 / 2",
    ("euclidean", "isotropic"): "|z1 - sg(z2 + z1 - W_P * z1)|^2 / 2",
    ("cosine", "target"): "-dot(p, sg(z2)) / (norm(p) * norm(sg(z2)))",
    ("cosine", "none"): "-p . z2 / (|p| * |z2|)",
    ("cosine", "online"): "-sg(p) . z2 / (|sg(p)| * |z2|)",
    ("cosine", "isotropic"): "-z1 . sg(z2 / (|p| * |z2|)) + sg(p . z2 / (|p|^3 * |z2|)) * (z1 . p) / 2",
}
OTHERS = {
    "closed form": {"predictor": dyn.ClosedForm(0.5, 0.1)},
    "none": {"predictor": dyn.NoPredictor()},
    "learned": {"predictor": dyn.Learned(2.0, 0.7)},
    "average": {"target": dyn.EMA(0.9)},
    "symmetrised": {"symmetrised": True},
}


def twins():
    """(own, of the catalogue): models that say the same."""
    for (loss, stop), text in WRITTEN.items():
        plain = {"isotropic": True} if stop == "isotropic" else {"stop_gradient": stop}
        for name, options in OTHERS.items():
            if (name, stop) in {("none", "isotropic"), ("learned", "isotropic"), ("learned", "online")}:
                continue
            if name == "average" and stop in ("none", "online"):
                continue
            yield pytest.param(
                text, options, dyn.Model(loss, noise=NOISE, **plain, **options), id=f"{loss} {stop} {name}"
            )


TWINS = list(twins())


@parametrize(("text", "options", "twin"), TWINS, quick=TWINS[::5])
def test_a_loss_written_out_has_the_dynamics_of_the_catalogue_loss(text, options, twin):
    found, expected = (
        dyn.iterate(model, S0, 4, 0.1) for model in (dyn.Model(dyn.Loss.parse(text), noise=NOISE, **options), twin)
    )
    for name in ("s", "target", "predictor"):
        # Rounding; with norms by the same quadrature, with sums of a thousand terms of both signs.
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
    assert (found.s[-1] != found.s[0]).any()


@parametrize(("loss", "symmetrised"), LOSSES := list(product(("euclidean", "cosine"), (False, True))), quick=LOSSES[:2])
@pytest.mark.parametrize(("gain", "plain"), [("1", {"isotropic": True}), ("lambda", {}), ("lam", {}), ("λ^2 / λ", {})])
def test_gains_between_which_others_lie(loss, gain, plain, symmetrised):
    options = {"predictor": dyn.ClosedForm(0.5, 0.1), "noise": NOISE, "symmetrised": symmetrised}
    found, expected = (dyn.iterate(dyn.Model(loss, **own, **options), S0, 4, 0.1) for own in ({"gain": gain}, plain))
    np.testing.assert_allclose(found.s, expected.s, rtol=1e-12)  # as above


# --- operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "|W_P^0.5 * z1 - sg(z2)|^2 / 2",
        "-(1 / (1 + W_P) * z1) . z2",
        "-(beta / (beta + W_P^2) * z1) . (exp(-W_P) * sg(z2)) / |tanh(W_P) * z1|",
        "log(1 + |W_P^2 * z1 - W_P^(1/3) * z2|^2) + |max(W_P, beta) * z1|^2",
        "-p . sg(z2) / (|p|^0.5 * |z2|^0.25) + sqrt(beta) * |W_P^-0.5 * z2|^1.5",
        "-(exp(1) * z1) . (log(3) * p) + exp(2) * |tanh(1) * z2|^2",
        "-p . sg(z2) / (|p| * |-beta * sg(z2)|)",
        "-tanh(((W_P - W_P^3) * z1) . (W_P * z2)) + |sqrt(1 + W_P) * z1|^4",
    ],
)
def test_forces_are_the_gradient_with_a_matrix_predictor_in_a_random_basis(text, double_precision):
    parameters = {"beta": 0.7} if "beta" in text else {}
    generated = dyn.Model(dyn.Loss.parse(text, **parameters)).generated
    rng = np.random.default_rng(0)
    z1, z2 = rng.standard_normal((2, 6, 3))
    lam, U = np.array([0.4, 0.8, 1.5]), np.linalg.qr(rng.standard_normal((3, 3)))[0]

    def total(a, b):
        def predict(z, function=lambda lam: lam):
            return U @ (function(lam)[:, None] * (U.T @ z))

        return generated.loss(
            a.T, b.T, a.T, b.T, predict, over_modes, jax.lax.stop_gradient, *parameters.values()
        ).sum()

    slopes = jax.grad(total, (0, 1))(z1 @ U.T, z2 @ U.T)
    for view, slope in enumerate(slopes, 1):
        force = getattr(generated, f"force_on_view{view}")(z1, z2, lam, 1.0, *parameters.values())
        scale = np.abs(force).max()
        np.testing.assert_allclose(force @ U.T, -slope, atol=1e-12 * scale, rtol=1e-12)  # rounding
    assert np.abs(slopes[0]).max() > 0.01


TEXTS = ["-tanh(W_P) * z1 . sg(z2)", "-min(W_P, beta) * z1 . sg(z2) + |z1|^2"]


@parametrize("text", TEXTS, quick=TEXTS[1:])
def test_functions_of_W_P_are_constants_without_a_predictor(text):
    """W_P = 1: against the number written out."""
    parameters = {"beta": 0.7} if "beta" in text else {}
    plain = text.replace("tanh(W_P)", "tanh(1)").replace("min(W_P, beta)", "0.7")
    W0, s0 = np.eye(2, 3) / 2, [0.25, 0.25]
    options = {"predictor": dyn.NoPredictor(), "noise": NOISE}
    one, same = dyn.Model(dyn.Loss.parse(text, **parameters), **options), dyn.Model(dyn.Loss.parse(plain), **options)
    np.testing.assert_allclose(dyn.iterate(one, s0, 3, 0.1).s, dyn.iterate(same, s0, 3, 0.1).s, rtol=1e-14)  # rounding
    found, expected = (dyn.train(model, W0, 3, 0.1, batch_size=10).s for model in (one, same))
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # rounding of float32


def test_an_imminent_overflow_is_reported_without_a_warning():
    """w = 1, 2e50, 4e100 at a rate of 2: s^2 is beyond the largest number before w^2 is."""
    model = dyn.Model(dyn.Loss.parse("-|z1|^2 + 0 * |p|^2"), predictor=dyn.ClosedForm(2.0))
    for method in ("numpy", "jax"):
        found = dyn.iterate(model, [1.0], 2, 1e50, method=method)
        np.testing.assert_allclose(found.s[:, 0], [1.0, 4e100, 1.6e201], rtol=1e-12)  # rounding
        assert np.isposinf(found.predictor[-1]).all() and np.isfinite(found.predictor[:-1]).all()
