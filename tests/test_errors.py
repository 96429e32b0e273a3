"""Bad input: refused before any work, with the name of the argument, what it must be, and what it was."""

import pickle
import re
from decimal import Decimal

import numpy as np
import pytest

import dynamics as dyn
from dynamics import errors
from dynamics.generated import catalogue
from dynamics.networks import linear as network
from dynamics.numerics.adaptive_quadrature import Adaptive

EUCLIDEAN, COSINE = dyn.Model("euclidean"), dyn.Model("cosine")
WEIGHTS = "be finite weights of shape (M, N) with 1 <= M <= N"
EIGENVALUES = "be finite and non-negative eigenvalues of shape (..., M)"
TIMES = "be ascending, non-negative times of shape (T,)"
POSITIVE = "be a positive number"
PER_STEP = "be a number, an array with one value for each of the 5 steps, or a function of the step"
WHOLE = "be a whole number"
NOISE = "be two non-negative numbers"
NON_NEGATIVE = "be a non-negative number"
MASKED = np.ma.masked_array([0.1, 99.0], mask=[False, True])
GAIN = dyn.Gain.parse("lambda^0.5")


def nested(depth):
    """A number in lists in lists."""
    inner = 0.1
    for _ in range(depth):
        inner = [inner]
    return inner


def model(**given):
    return lambda: dyn.Model(**({"loss": "cosine"} | given))


def solve(**given):
    return lambda: dyn.solve(**({"model": COSINE, "s0": [0.1, 0.2], "times": [0, 1]} | given))


def iterate(**given):
    return lambda: dyn.iterate(**({"model": COSINE, "s0": [0.1, 0.2], "steps": 5, "learning_rate": 0.1} | given))


def train(**given):
    usual = {"model": COSINE, "W0": np.eye(2, 3), "steps": 5, "learning_rate": 0.1, "batch_size": 10}
    return lambda: dyn.train(**(usual | given))


def exponent(alpha):
    return lambda: dyn.ClosedForm(alpha)


# case: (call, argument, what it must be, what it was)
CASES = {
    # parameters of a model
    "alpha zero": (exponent(0), "alpha", POSITIVE, "0"),
    "alpha negative": (exponent(-0.5), "alpha", POSITIVE, "-0.5"),
    "alpha infinite": (exponent(np.inf), "alpha", POSITIVE, "inf"),
    "alpha nan": (exponent(np.nan), "alpha", POSITIVE, "nan"),
    "alpha, one of an array negative": (exponent([1.0, -1.0]), "alpha", POSITIVE, "[ 1., -1.]"),
    "alpha text": (exponent("1"), "alpha", POSITIVE, "'1'"),
    "alpha complex": (exponent(1j), "alpha", POSITIVE, "1j"),
    "alpha bool": (exponent(True), "alpha", POSITIVE, "True"),
    "alpha None": (exponent(None), "alpha", POSITIVE, "None"),
    "noise negative": (model(noise=(-0.1, 0.2)), "noise", NOISE, "(-0.1, 0.2)"),
    "noise nan": (model(noise=(0.1, np.nan)), "noise", NOISE, "(0.1, nan)"),
    "noise of length 3": (model(noise=(0.1, 0.2, 0.3)), "noise", NOISE, "(0.1, 0.2, 0.3)"),
    "noise a number": (model(noise=0.1), "noise", NOISE, "0.1"),
    "noise text": (model(noise="ab"), "noise", NOISE, "'ab'"),
    "noise texts": (model(noise=("0.1", "0.2")), "noise", NOISE, "('0.1', '0.2')"),
    "noise complex": (model(noise=(0.1, 1j)), "noise", NOISE, "(0.1, 1j)"),
    "noise None": (model(noise=None), "noise", NOISE, "None"),
    "weight decay negative": (model(weight_decay=-1e-3), "weight_decay", NON_NEGATIVE, "-0.001"),
    "weight decay nan": (model(weight_decay=np.nan), "weight_decay", NON_NEGATIVE, "nan"),
    "weight decay text": (model(weight_decay="0.1"), "weight_decay", NON_NEGATIVE, "'0.1'"),
    "weight decay bool": (model(weight_decay=True), "weight_decay", NON_NEGATIVE, "True"),
    "weight decay complex": (model(weight_decay=1j), "weight_decay", NON_NEGATIVE, "1j"),
    # options of a model
    "isotropic text": (model(isotropic="yes"), "isotropic", "be True or False", "'yes'"),
    "symmetrised number": (model(symmetrised=1), "symmetrised", "be True or False", "1"),
    "predictor text": (
        model(predictor="none"),
        "predictor",
        "be ClosedForm(...), Learned(...) or NoPredictor()",
        "'none'",
    ),
    "predictor a class": (
        model(predictor=dyn.NoPredictor),
        "predictor",
        "be ClosedForm(...), Learned(...) or NoPredictor()",
        "<class 'dynamics.model.components.NoPredictor'>",
    ),
    "isotropic, no stop-gradient": (
        model(isotropic=True, stop_gradient="none"),
        "stop_gradient",
        "be 'target' for an isotropic loss",
        "'none'",
    ),
    "isotropic, wrong side": (
        model(isotropic=True, stop_gradient="online"),
        "stop_gradient",
        "be 'target' for an isotropic loss",
        "'online'",
    ),
    "isotropic, no predictor": (
        model(isotropic=True, predictor=dyn.NoPredictor()),
        "isotropic",
        "be False without a predictor",
        "True",
    ),
    "isotropic, learned": (
        model(isotropic=True, predictor=dyn.Learned()),
        "predictor",
        "be ClosedForm(...) for an isotropic loss, because no gradient of this loss reaches the predictor",
        "Learned(rate=1.0, init=1.0)",
    ),
    "wrong side, learned": (
        model(stop_gradient="online", predictor=dyn.Learned()),
        "stop_gradient",
        "be 'target' or 'none' for a learned predictor, because no gradient reaches the predictor with 'online'",
        "'online'",
    ),
    "no stop-gradient, own target": (
        model(stop_gradient="none", target=dyn.EMA(0.9)),
        "target",
        "be Shared() unless `stop_gradient` is 'target'",
        "EMA(decay=0.9)",
    ),
    "target text": (model(target="ema"), "target", "be Shared(), EMA(decay) or Reconstruction()", "'ema'"),
    "decay above one": (lambda: dyn.EMA(1.1), "decay", "be a decay per step, between 0 and 1", "1.1"),
    "decay negative": (lambda: dyn.EMA([0.5, -0.1]), "decay", "be a decay per step, between 0 and 1", "[ 0.5, -0.1]"),
    "tracking one": (
        lambda: dyn.ClosedForm(tracking=1),
        "tracking",
        "be a decay per step that is at least 0 and below 1",
        "1",
    ),
    "epsilon negative": (lambda: dyn.ClosedForm(epsilon=-0.1), "epsilon", NON_NEGATIVE, "-0.1"),
    "normalize number": (lambda: dyn.ClosedForm(normalize=1), "normalize", "be True or False", "1"),
    "rate zero": (lambda: dyn.Learned(rate=0), "rate", POSITIVE, "0"),
    "init nan": (lambda: dyn.Learned(init=np.nan), "init", "be eigenvalues of the predictor", "nan"),
    "init of other modes": (
        iterate(model=dyn.Model("cosine", predictor=dyn.Learned(init=[1.0, 2.0, 3.0])), s0=[0.1, 0.2]),
        "init",
        "be one number, or one number for each of the 2 modes",
        "[1., 2., 3.]",
    ),
    "init nothing, cosine": (
        solve(model=dyn.Model("cosine", predictor=dyn.Learned(init=0.0))),
        "init",
        "contain a nonzero predictor eigenvalue, because the cosine loss divides by the norm of the prediction",
        "[0.]",
    ),
    "normalized by nothing": (
        solve(model=dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True)), s0=[0.0, 0.0]),
        "s0",
        "have an eigenvalue above zero, because a normalized predictor divides",
        "[0., 0.]",
    ),
    "learning rate missing": (
        solve(model=dyn.Model("cosine", target=dyn.EMA(0.9))),
        "learning_rate",
        "be given, because the flow of Model(loss='cosine', target=EMA(decay=0.9)) depends on the learning rate",
        "None",
    ),
    "learning rate of nothing": (
        solve(learning_rate=0.1),
        "learning_rate",
        "be left out, because the flow of this model does not depend on the learning rate",
        "0.1",
    ),
    "fluctuations of an ensemble": (
        iterate(s0=np.ones((2, 2)), batch_size=10, input_dimension=3),
        "batch_size",
        "be left out for an ensemble",
        "10",
    ),
    "inputs missing": (
        iterate(batch_size=10),
        "input_dimension",
        "be the number N of inputs of the networks if `batch_size` is given: the gradient has noise along every input",
        "None",
    ),
    "inputs without a batch": (iterate(input_dimension=3), "input_dimension", "be left out without `batch_size`", "3"),
    "fewer inputs than modes": (iterate(batch_size=10, input_dimension=1), "input_dimension", f"{WHOLE} >= 2", "1"),
    "initial predictor of a closed form": (
        train(W_P0=np.eye(2)),
        "W_P0",
        "be left out, because the predictor of Model(loss='cosine') is not learned",
        "[[1., 0.]",
    ),
    "initial predictor of other modes": (
        train(model=dyn.Model("cosine", predictor=dyn.Learned()), W_P0=np.eye(3)),
        "W_P0",
        "be finite weights of shape (2, 2)",
        "(3, 3)",
    ),
    # eigenvalues
    "s0 negative": (solve(s0=[0.1, -0.2]), "s0", EIGENVALUES, "[ 0.1, -0.2]"),
    "s0 nan": (solve(s0=[0.1, np.nan]), "s0", EIGENVALUES, "[0.1, nan]"),
    "s0 infinite": (iterate(s0=[0.1, np.inf]), "s0", EIGENVALUES, "[0.1, inf]"),
    "s0 a number": (solve(s0=0.1), "s0", EIGENVALUES, "0.1"),
    "s0 empty": (solve(s0=[]), "s0", EIGENVALUES, "[]"),
    "s0 of no members": (solve(s0=np.ones((0, 3))), "s0", EIGENVALUES, "(0, 3)"),
    "noise empty": (model(noise=(0.1, [])), "noise", NOISE, "(0.1, [])"),
    "weight decay empty": (model(weight_decay=[]), "weight_decay", NON_NEGATIVE, "[]"),
    "s0 of no modes": (iterate(s0=np.ones((3, 0))), "s0", EIGENVALUES, "(3, 0)"),
    "s0 ragged": (solve(s0=[[0.1, 0.2], [0.1]]), "s0", EIGENVALUES, "[[0.1, 0.2], [0.1]]"),
    "s0 text": (solve(s0="0.1"), "s0", EIGENVALUES, "'0.1'"),
    "s0 texts": (solve(s0=["0.1", "0.2"]), "s0", EIGENVALUES, "['0.1', '0.2']"),
    "s0 bools": (solve(s0=[True, False]), "s0", EIGENVALUES, "[ True, False]"),
    "s0 complex": (solve(s0=[0.1, 1j]), "s0", EIGENVALUES, "[0.1+0.j, 0. +1.j]"),
    "s0 complex array": (solve(s0=np.array([0.1, 1j])), "s0", EIGENVALUES, "[0.1+0.j, 0. +1.j]"),
    "s0 None": (iterate(s0=None), "s0", EIGENVALUES, "None"),
    "s0 long": (iterate(s0=-np.ones(1000)), "s0", EIGENVALUES, "[-1., -1., -1., ..., -1., -1., -1.]"),
    # times, tolerances, methods
    "times unsorted": (solve(times=[0, 2, 1]), "times", TIMES, "[0., 2., 1.]"),
    "times negative": (solve(times=[-1, 0]), "times", TIMES, "[-1,  0]"),
    "times nan": (solve(times=[0, np.nan]), "times", TIMES, "[ 0., nan]"),
    "times a number": (solve(times=3.0), "times", TIMES, "3."),
    "times empty": (solve(times=[]), "times", TIMES, "[]"),
    "times a matrix": (solve(times=[[0, 1]]), "times", TIMES, "[[0., 1.]]"),
    "times text": (solve(times="late"), "times", TIMES, "'late'"),
    "rtol zero": (solve(rtol=0), "rtol", POSITIVE, "0"),
    "rtol negative, map": (iterate(rtol=-1e-9), "rtol", POSITIVE, "-1e-09"),
    "rtol an array": (solve(rtol=[1e-3, 1e-6]), "rtol", POSITIVE, "[1.e-03, 1.e-06]"),
    "atol nan": (solve(atol=np.nan), "atol", POSITIVE, "nan"),
    "exact where there is none": (
        solve(method="exact"),
        "method",
        "be 'auto', 'jax' or 'scipy' for Model(loss='cosine'), which has no exact solution",
        "'exact'",
    ),
    "exact with weight decay": (
        solve(model=dyn.Model("euclidean", weight_decay=0.1), method="exact"),
        "method",
        "be 'auto', ",
        "'exact'",
    ),
    "mean field, Euclidean": (
        solve(model=EUCLIDEAN, closure="mean_field"),
        "closure",
        "be 'gaussian' for the euclidean loss",
        "'mean_field'",
    ),
    "mean field, Euclidean map": (
        iterate(model=EUCLIDEAN, closure="mean_field"),
        "closure",
        "be 'gaussian' for the euclidean loss",
        "'mean_field'",
    ),
    # descent map and network
    **{
        f"{name}, {call.__name__}": (call(**{argument: value}), argument, must, was)
        for call in (iterate, train)
        for name, argument, value, must, was in (
            ("steps fractional", "steps", 1.5, WHOLE, "1.5"),
            ("steps negative", "steps", -1, WHOLE, "-1"),
            ("steps text", "steps", "5", WHOLE, "'5'"),
            ("steps bool", "steps", True, WHOLE, "True"),
            ("learning rate zero", "learning_rate", 0, POSITIVE, "0"),
            ("learning rate negative", "learning_rate", -0.1, POSITIVE, "-0.1"),
            ("learning rate nan", "learning_rate", np.nan, POSITIVE, "nan"),
            ("learning rate text", "learning_rate", "0.1", POSITIVE, "'0.1'"),
            ("learning rate bool", "learning_rate", True, POSITIVE, "True"),
            ("learning rate array", "learning_rate", [0.1, 0.2], PER_STEP, "(2,)"),
            ("learning rate ragged", "learning_rate", [[0.1], [0.1, 0.2]], "be a non-negative number", "[[0.1], [0."),
            ("learning rate function", "learning_rate", len, "be a function that returns a finite number", ""),
            ("momentum of 1", "momentum", 1, "be a number of at least 0 and below 1, or a Momentum", "1"),
            ("schedules of nothing", "schedules", 0.1, "be a dictionary, such as {'weight_decay': values}", "0.1"),
        )
    },
    "descent record zero": (iterate(record=0), "record", f"{WHOLE} >= 1", "0"),
    "more modes than inputs": (train(W0=np.ones((3, 2))), "W0", WEIGHTS, "(3, 2)"),
    "weights a vector": (train(W0=np.ones(3)), "W0", WEIGHTS, "(3,)"),
    "weights of no modes": (train(W0=np.ones((0, 3))), "W0", WEIGHTS, "(0, 3)"),
    "weights nan": (train(W0=np.full((1, 2), np.nan)), "W0", WEIGHTS, "[[nan, nan]]"),
    "weights text": (train(W0="eye"), "W0", WEIGHTS, "'eye'"),
    "batch of nothing": (train(batch_size=0), "batch_size", f"{WHOLE} >= 1", "0"),
    "batch fractional": (train(batch_size=1e3), "batch_size", f"{WHOLE} >= 1", "1000.0"),
    "seed negative": (train(seed=-1), "seed", f"{WHOLE} >= 0 and below 2^32, or a sequence of such numbers", "-1"),
    "seed fractional": (train(seed=0.5), "seed", f"{WHOLE} >= 0 and below 2^32, or a sequence of such numbers", "0.5"),
    "seed of more than 32 bits": (train(seed=1 + 2**32), "seed", WHOLE, "4294967297"),
    "seed none": (train(seed=[]), "seed", f"{WHOLE} >= 0 and below 2^32, or a sequence of such numbers", "[]"),
    "seed text": (
        train(seed="lucky"),
        "seed",
        f"{WHOLE} >= 0 and below 2^32, or a sequence of such numbers",
        "'lucky'",
    ),
    "record without entries": (train(record=np.zeros((0, 3))), "record", WHOLE, "(0, 3)"),
    "record zero": (train(record=0), "record", f"{WHOLE} >= 1", "0"),
    "record beyond": (
        train(record=[2, 9]),
        "record",
        "be a whole number >= 1, or a sequence of steps between 0 and 5",
        "[2, 9]",
    ),
    "record text": (train(record="all"), "record", WHOLE, "'all'"),
    "probes of other inputs": (
        train(probes=np.ones((4, 2))),
        "probes",
        "be finite inputs of shape (P, N) with N = 3",
        "(4, 2)",
    ),
    "probes nan": (
        train(probes=[[0, 0, np.nan]]),
        "probes",
        "be finite inputs of shape (P, N) with N = 3",
        "[[ 0.,  0., nan]]",
    ),
    "ensemble in training": (
        train(model=dyn.Model("cosine", weight_decay=[0.0, 0.1])),
        "model",
        "have plain numbers as parameters",
        "Model(",
    ),
    "progress text": (train(progress="yes"), "progress", "be True, False or None", "'yes'"),
    "progress an array": (solve(progress=np.ones(2)), "progress", "be True, False or None", "[1., 1.]"),
    # arrays that are not what they seem, and numbers that double precision does not hold
    "s0 masked": (solve(s0=MASKED), "s0", f"{EIGENVALUES}, without masked entries", "masked [0.1 --]"),
    "s0 masked in a list": (solve(s0=[[0.1, 0.2], MASKED]), "s0", f"{EIGENVALUES}, without masked entries", "--"),
    "s0 of extended precision": (solve(s0=[np.longdouble("1e400"), 1]), "s0", EIGENVALUES, "1.e+400"),
    "s0 a huge integer": (solve(s0=10**5000), "s0", EIGENVALUES, "an integer of 16610 bits"),
    "s0 a decimal": (solve(s0=[Decimal("0.1")]), "s0", EIGENVALUES, "[Decimal('0.1')]"),
    "s0 deep": (solve(s0=nested(2000)), "s0", EIGENVALUES, "[[[[[...]]]]]"),
    "times a duration": (solve(times=[np.timedelta64(3, "s")]), "times", TIMES, "[3]"),
    "times masked": (solve(times=MASKED), "times", f"{TIMES}, without masked entries", "--"),
    "weight decay masked": (
        model(weight_decay=MASKED),
        "weight_decay",
        f"{NON_NEGATIVE}, or an array of them, without masked entries",
        "--",
    ),
    "noise an array without axes": (model(noise=np.array(0.1)), "noise", NOISE, "0.1"),
    "noise masked": (model(noise=MASKED), "noise", NOISE, "masked"),
    "inputs masked": (
        model(inputs=np.ma.masked_less(np.eye(2), 0.5)),
        "inputs",
        "be a covariance of shape (N, N): finite, symmetric, positive semidefinite and not zero, without masked",
        "--",
    ),
    "steps a duration": (iterate(steps=np.timedelta64(3, "s")), "steps", f"{WHOLE} >= 0", "np.timedelta64(3,'s')"),
    "steps huge": (iterate(steps=10**5000), "steps", f"{WHOLE} >= 0 and below 2^63", "an integer of 16610 bits"),
    "learning rate of extended precision": (
        lambda: dyn.design(dyn.FastestUniform(np.longdouble("1e400"))),
        "learning_rate",
        POSITIVE,
        "1e+400",
    ),
    "seeds ragged": (train(seed=[[1], [1, 2]]), "seed", f"{WHOLE} >= 0 and below 2^32", "[[1], [1, 2]]"),
    "seeds masked": (train(seed=np.ma.masked_equal([1, 2], 2)), "seed", WHOLE, "masked [1 --]"),
    "record ragged": (train(record=[[1], [1, 2]]), "record", WHOLE, "[[1], [1, 2]]"),
    "side a duration": (lambda: dyn.gaussian_images(np.timedelta64(3, "s")), "side", WHOLE, "np.timedelta64(3,'s')"),
    # expressions and their parameters
    "parameters numbered": (
        lambda: dyn.Loss("|p - sg(z2)|^2", {1: 2}),
        "parameters",
        "have strings as keys",
        "1",
    ),
    "parameters None": (
        lambda: dyn.Loss("|p - sg(z2)|^2", None),
        "parameters",
        "map the name of each parameter to its value",
        "None",
    ),
    "gain of text": (lambda: GAIN("x"), "lam", "be finite eigenvalues of the predictor", "'x'"),
    "gain undefined": (lambda: GAIN([-0.1]), "lam", "be eigenvalues at which the gain lambda^0.5 is defined", "[-0.1]"),
    "no table": (lambda: dyn.Model.from_dict([1]), "description", "be a table that describes the model", "[1]"),
    # paths
    "path a number": (lambda: dyn.load(3), "path", "be a path", "3"),
    "path with a zero byte": (lambda: dyn.load("a\0b"), "path", "be a path", "'a\\x00b'"),
    # what is no model at all
    **{
        f"model text, {call.__name__}": (call(model="cosine"), "model", "be a Model", "'cosine'")
        for call in (solve, iterate, train)
    },
}


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Whoever starts to compute fails."""

    def fail(*_, **__):
        raise AssertionError("work was done before the arguments were checked")

    monkeypatch.setattr(Adaptive, "__call__", fail)
    monkeypatch.setattr(network, "_compiled", fail)


@pytest.mark.parametrize("case", CASES)
def test_message_names_argument_requirement_and_value(case):
    call, argument, must, was = CASES[case]
    with pytest.raises(dyn.ArgumentError) as raised:
        call()
    message = str(raised.value)
    assert message.startswith(f"Argument `{argument}` must {must}")
    assert was in re.split(" but is | but has shape | but has the key ", message)[-1]
    assert message.endswith(".")


def test_message_of_negative_noise_word_for_word():
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.Model("cosine", noise=(-0.1, 0.2))
    assert str(raised.value) == (
        "Argument `noise` must be two non-negative numbers, or, for an ensemble, two arrays of non-negative numbers, "
        "but is (-0.1, 0.2)."
    )


LOSSES = ", ".join(f"'{name}'" for name in catalogue.LOSSES)
EXAMPLE = "'|p - sg(z2)|^2 / 2'"
UNKNOWN_NAMES = {
    "loss": (model(loss="cosin"), f"{LOSSES}, or an expression, such as {EXAMPLE}", "cosine"),
    "stop_gradient": (model(stop_gradient="targt"), "'none', 'online', 'target'", "target"),
    "closure": (solve(closure="gausian"), "'gaussian', 'mean_field', 'monte_carlo', 'samples'", "gaussian"),
    "closure of a map": (
        iterate(closure="meanfield"),
        "'gaussian', 'mean_field', 'monte_carlo', 'samples'",
        "mean_field",
    ),
    "method": (solve(method="scypi"), "'auto', 'exact', 'heyoka', 'jax', 'scipy'", "scipy"),
    "units": (train(units="ReLU"), "'linear', 'relu'", "relu"),
    "dtype": (train(dtype="float46"), "'float32', 'float64'", "float64"),
    "device": (train(device="gqu"), "'cpu', 'gpu', 'tpu'", "gpu"),
}


@pytest.mark.parametrize("name", UNKNOWN_NAMES)
def test_unknown_name_is_answered_with_the_nearest(name):
    call, allowed, nearest = UNKNOWN_NAMES[name]
    with pytest.raises(dyn.ArgumentError) as raised:
        call()
    message = str(raised.value)
    assert message.startswith(f"Argument `{name.split()[0]}` must be one of {allowed}, but is '")
    assert message.endswith(f" Did you mean '{nearest}'?")


@pytest.mark.parametrize("value", ["zzzz", 3, None, ["cosine", "euclidean"]], ids=str)
def test_a_value_that_resembles_no_name_is_answered_with_the_list_alone(value):
    with pytest.raises(dyn.ArgumentError, match=r"`loss` must be one of 'euclidean', 'cosine'.*, but is ") as raised:
        dyn.Model(value)
    assert "Did you mean" not in str(raised.value) and repr(value) in str(raised.value)


@pytest.mark.parametrize("call", [solve, iterate])
def test_eigenvalues_that_do_not_broadcast_with_the_model_are_refused(call):
    ensemble = dyn.Model("cosine", weight_decay=[0.0, 0.1])
    with pytest.raises(dyn.ArgumentError) as raised:
        call(model=ensemble, s0=np.ones((3, 2)))()
    assert str(raised.value) == (
        "Argument `s0` must have leading dimensions that broadcast with the shape (2,) of the parameters of the model, "
        "but its leading dimensions are (3,)."
    )


def test_argument_errors_are_value_errors():
    assert issubclass(dyn.ArgumentError, ValueError)


def test_the_guard_against_work_guards():
    """Valid arguments reach the work, so that the cases above show that nothing was computed."""
    for call in (iterate, train):
        with pytest.raises(AssertionError, match="work was done"):
            call()()


def test_a_model_copies_its_parameters():
    alpha = np.array([1.0, 2.0])
    kept = dyn.Model("cosine", predictor=dyn.ClosedForm(alpha), noise=[0, np.float32(0.5)])
    alpha[0] = -1
    assert kept.predictor.alpha.tolist() == [1, 2] and kept.noise == (0.0, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        kept.predictor.alpha[0] = -1


def test_masked_arrays_without_masked_entries_are_data():
    assert dyn.solve(EUCLIDEAN, np.ma.masked_array([0.1, 0.5]), [0.0]).s.tolist() == [[0.1, 0.5]]


def test_integers_beyond_64_bits_are_numbers():
    assert dyn.Model("cosine", weight_decay=10**20).weight_decay == 1e20


def test_arrays_of_noise_are_an_ensemble():
    sigmas = [0.1, 0.2, 0.3]
    members = dyn.solve(dyn.Model("euclidean", noise=(sigmas, 0.5)), [0.2], [0.0, 1.0])
    alone = [dyn.solve(dyn.Model("euclidean", noise=(sigma, 0.5)), [0.2], [0.0, 1.0]).s for sigma in sigmas]
    assert members.s.shape == (3, 2, 1) and np.allclose(members.s, alone, rtol=1e-12)


LONG = "x" * 100_000
ECHOES = {
    "text": solve(times=LONG),
    "name": solve(method=LONG),
    "list": solve(s0=[LONG] * 1000),
    "table": model(noise={LONG: LONG}),
    "parameter": lambda: dyn.Loss("|p - sg(z2)|^2", {LONG: 2}),
    "path": lambda: dyn.sweep(EUCLIDEAN, {"weight_decay": [0.1]}, store=LONG, s0=[0.1], times=[0.0]),
    "axis": lambda: dyn.sweep(EUCLIDEAN, {LONG: [0.1]}, store="new", s0=[0.1], times=[0.0]),
}


@pytest.mark.parametrize("name", ECHOES)
def test_messages_shorten_what_was_given(name):
    with pytest.raises(dyn.ArgumentError) as raised:
        ECHOES[name]()
    assert len(str(raised.value)) <= errors.LONGEST_MESSAGE and "..." in str(raised.value)


@pytest.mark.parametrize("kind", [dyn.ArgumentError, dyn.SweepError])
def test_errors_pickle_with_their_message(kind):
    assert str(pickle.loads(pickle.dumps(kind("reason")))) == "reason"


def test_a_name_that_is_too_long_for_a_file_is_no_file():
    with pytest.raises(FileNotFoundError, match="No such file"):
        dyn.load(LONG)


ANY = {
    "object": object(),
    "integer": 10**5000,
    "nested": nested(5000),
    "table": {1: "a", "b": nested(3)},
    "masked": np.ma.masked,
    "bytes": b"a",
    "lines": "a\nb",
}


@pytest.mark.parametrize("kind", ANY)
def test_any_value_has_an_excerpt_on_one_line(kind):
    text = errors.excerpt(ANY[kind])
    assert "\n" not in text and 0 < len(text) <= errors.LONGEST_VALUE
