"""Designs: each wish granted, and its promise kept by flow, descent map and network."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField

matplotlib.use("Agg")

NOISE = (0.5, 0.1)
REST = 1 / (1 + NOISE[0] ** 2)
BETWEEN = (0.01, 0.3)


def euclidean(alpha=1.0, noise=NOISE, **options):
    return dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha), noise=noise, **options)


def granted(wish, model=None, between=BETWEEN):
    return dyn.design(wish, euclidean() if model is None else model, between=between)


def deviation_squared(model, eta=0.005, steps=4000):
    """Variance of s at rest: the descent map's linear noise, past its transient (e^-20 of it is left)."""
    rest = dyn.equilibria(model, [1.0])[0].s
    return float(dyn.iterate(model, rest, steps, eta, batch_size=10_000, record=steps).deviation[-1, 0] ** 2)


# --- wishes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.5, 0.1)])
@pytest.mark.parametrize(
    ("text", "by_hand"),
    [
        ("lambda^2 * (1 - lambda/rest)", lambda x, rest: x * x * (1 - x / rest)),
        ("sqrt(rest/lambda) - 1", lambda x, rest: np.sqrt(rest / x) - 1),
        ("1 - (lambda/rest)^(1/3)", lambda x, rest: 1 - np.cbrt(x / rest)),
    ],
)
def test_rate_function(text, by_hand, alpha, noise):
    """To the rounding of h and q, each of which is within 1e-15; near rest r is small, but so is q."""
    s, rest = np.geomspace(1e-3, 3, 50), 1 / (1 + noise[0] ** 2)
    found = granted(dyn.RateFunction(text), euclidean(alpha, noise))
    expected = by_hand(s**alpha, rest)
    np.testing.assert_allclose(found.rate(s), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        EigenmodeField(found.model).of_eigenvalues(s[:, None])[:, 0], expected, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize(
    ("text", "time"), [("-3 * log(lambda)", lambda x: -3 * np.log(x)), ("lambda^-0.5", lambda x: x**-0.5)]
)
def test_arrival_times(text, time, alpha):
    """T(lambda0) - T(goal); to the tolerance of the integrated flow, 1e-8 a step."""
    s0, goal = np.array([0.01, 0.05, 0.3]), 0.9 * REST
    model = granted(dyn.ArrivalTimes(text), euclidean(alpha), (0.005, 0.3)).model
    found = dyn.convergence_time(model, s0, goal ** (1 / alpha))
    np.testing.assert_allclose(found, time(s0**alpha) - time(goal), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.5, 0.1)])
def test_simultaneous_arrival(alpha, noise):
    between = BETWEEN if alpha == 1 else (0.01, 0.15)
    wish, rest = dyn.SimultaneousArrival(10.0, level=0.9, spread=0.3), 1 / (1 + noise[0] ** 2)
    model = granted(wish, euclidean(alpha, noise), between).model
    s0 = np.geomspace(*between, 5)
    found = dyn.convergence_time(model, s0, (0.9 * rest) ** (1 / alpha))
    assert found[0] == pytest.approx(10, rel=1e-6)  # the flow's tolerance is 1e-8 a step
    assert found[-1] == pytest.approx(7, rel=1e-6)
    assert (np.diff(found) < 0).all()
    plain = dyn.convergence_time(euclidean(alpha, noise), s0, (0.9 * rest) ** (1 / alpha))
    assert plain[0] / plain[-1] > 3  # the standard loss spreads them


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("threshold", [0.02, 0.1])
def test_threshold_recruitment(alpha, threshold):
    model = granted(dyn.ThresholdRecruitment(threshold), euclidean(alpha, weight_decay=0.05)).model
    s0 = threshold * np.array([0.99, 1.01])
    below, above = dyn.solve(model, s0, [0, 300.0]).s[-1]
    found = dyn.equilibria(model, [0.1])
    assert below < 1e-6
    assert above == pytest.approx(found[0].s[0], rel=1e-6)
    assert found.boundary == pytest.approx(threshold, rel=1e-9)  # a root to 1e-14 in log lambda
    assert [e.verdict for e in found] == ["stable", "unstable", "stable"]


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 1.5, 2.0])
def test_fastest_uniform(alpha):
    """w* - w = (w* - w0) e^(-2 t/eta) for all modes; stable below eta, and not above."""
    eta = 0.4
    found = granted(dyn.FastestUniform(eta), euclidean(alpha), (0.05, 0.3))
    s0, times = np.array([0.05, 0.1, 0.25, 2.0]), np.array([0.0, 0.05, 0.2, 0.6])
    rest = REST ** (1 / (2 * alpha))
    expected = rest - (rest - np.sqrt(s0)) * np.exp(-2 * times[:, None] / eta)
    flow = dyn.solve(found.model, s0, times, rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(flow.s), expected, rtol=1e-8)
    assert found.largest_learning_rate == pytest.approx(eta, rel=1e-8)  # differences of sixth order
    assert dyn.equilibria(found.model, [1.0])[0].largest_learning_rate == pytest.approx(eta, rel=1e-8)
    start = np.array([rest * 1.001]) ** 2
    below, above = (np.sqrt(dyn.iterate(found.model, start, 400, x * eta).s[:, 0]) - rest for x in (0.99, 1.01))
    assert np.abs(below[-1]) < 0.01 * np.abs(below[0])  # 0.98^400 = 3e-4
    assert np.abs(above[-1]) > 10 * np.abs(above[0])


def test_no_gain_ends_at_a_higher_rate():
    """Of 20 random smooth gains, stable at least up to eta, none closes in on rest faster than e^(-2 t/eta)."""
    eta, s0 = 0.4, np.array([0.02, 0.2, 0.5])
    times = np.array([0.0, 4.0, 5.0]) * eta
    rest = np.sqrt(REST)

    def end_rates(model):
        left = rest - np.sqrt(dyn.solve(model, s0, times, rtol=1e-11).s)
        return -np.log(left[2] / left[1]) / eta

    # e^-8 is left at the first of the times: it bends the rate by so much, times the gain's relative slope.
    near = 0.02
    np.testing.assert_allclose(end_rates(granted(dyn.FastestUniform(eta)).model), 2 / eta, rtol=1e-5)
    rng, shape = np.random.default_rng(0), "(exp(a * tanh(lambda) + b * lambda^2) * lambda^-0.5 + c)"
    for a, b, c, slack in zip(*rng.normal(0, 0.5, (3, 20)), rng.uniform(1, 2, 20), strict=True):
        peak = float(dyn.Gain.parse(shape, a=a, b=b, c=c * c)(np.array([REST]))[0])
        limit = slack * eta
        other = euclidean(gain=dyn.Gain.parse(f"size * {shape}", a=a, b=b, c=c * c, size=1 / (limit * peak)))
        assert dyn.equilibria(other, [1.0])[0].largest_learning_rate == pytest.approx(limit, rel=1e-6)
        found = end_rates(other).min()
        assert found < 2 / eta * (1 + near)
        assert slack > 1.2 or found > 2 / eta * 0.75  # and those at the limit come near it


# --- what a design says of itself -----------------------------------------------------------------------------------

DESIGNS = {
    "uniform": lambda: granted(dyn.FastestUniform(0.4)),
    "uniform, DirectPred": lambda: granted(dyn.FastestUniform(0.4), euclidean(0.5)),
    "rate": lambda: granted(dyn.RateFunction("lambda^2 * (1 - lambda/rest)")),
    "simultaneous": lambda: granted(dyn.SimultaneousArrival(10.0, spread=0.3)),
    "threshold": lambda: granted(dyn.ThresholdRecruitment(0.1), euclidean(weight_decay=0.05)),
    "threshold, strong decay": lambda: granted(dyn.ThresholdRecruitment(0.1), euclidean(weight_decay=0.15)),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_noise_at_rest(name):
    """Ratio of the variances of the descent map's linear noise: each by 20 000 samples, 2 %; and eta/2 of the edge."""
    found = DESIGNS[name]()
    ratio = deviation_squared(found.model) / deviation_squared(euclidean_of(found))
    assert found.noise == pytest.approx(ratio, rel=0.04)


def euclidean_of(found):
    p = found.model
    return dyn.Model("euclidean", predictor=p.predictor, noise=p.noise, weight_decay=p.weight_decay)


@pytest.mark.parametrize("name", DESIGNS)
def test_limits(name):
    found = DESIGNS[name]()
    s = np.geomspace(*found.between, 3001)
    alpha = found.model.predictor.alpha
    rates = EigenmodeField(found.model).of_eigenvalues(s[:, None])[:, 0]
    gains = rates / (1 - s**alpha / REST)
    assert found.fastest == pytest.approx(np.abs(rates).max(), rel=1e-3)  # on grids of 400 and of 3 001 points
    assert found.smallest_gain == pytest.approx(gains.min(), rel=1e-3)
    rest = dyn.equilibria(found.model, [1.0])[0]
    for share, stable in ((0.999, True), (1.001, False)):
        assert (np.abs(rest.multipliers(share * found.largest_learning_rate)).max() < 1) == stable


@pytest.mark.parametrize("name", DESIGNS)
def test_the_sentence_has_the_same_dynamics(name):
    found = DESIGNS[name]()
    plain = euclidean_of(found)
    own = dyn.Model(found.loss, predictor=plain.predictor, noise=plain.noise, weight_decay=plain.weight_decay)
    s = np.geomspace(0.01, 2, 20)
    np.testing.assert_allclose(
        EigenmodeField(own).of_eigenvalues(s[:, None]),
        EigenmodeField(found.model).of_eigenvalues(s[:, None]),
        rtol=1e-12,
        atol=1e-13,
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_prints_and_plots(name):
    found = DESIGNS[name]()
    lines = str(found).splitlines()
    assert len(lines) < 24
    assert lines[0].startswith(f"Design for {type(found.wish).__name__}(")
    assert f"{found.largest_learning_rate:.4g}" in str(found) and f"{found.noise:.3g} times" in str(found)
    assert repr(found).startswith("<Design for ")
    ax = found.plot()
    assert [line.get_label() for line in ax.lines][:3] == ["standard", "isotropic", "designed"]
    s, drawn = ax.lines[2].get_data()
    np.testing.assert_allclose(drawn, found.rate(s) - found.model.weight_decay, rtol=1e-12)
    plt.close(ax.figure)


def test_a_gain_that_climbs_is_remarked_upon():
    found = granted(dyn.RateFunction("(lambda - rest/10) * (1 - lambda/rest)"))
    assert found.smallest_gain == pytest.approx(0.01 - REST / 10, rel=1e-9)
    assert any("climb the loss" in remark for remark in found.remarks)
    assert "climb the loss" in str(found)


def test_nothing_holds_modes_that_are_pushed_away():
    found = granted(dyn.RateFunction("lambda/rest - 1"))
    assert found.largest_learning_rate == 0
    assert np.isnan(found.noise)
    assert "nothing holds modes at rest" in found.remarks


# --- what is refused ------------------------------------------------------------------------------------------------

UNIFORM = dyn.FastestUniform(0.1)
PLAIN = "have the plain Euclidean loss"
PARTS = "have a predictor ClosedForm(alpha), a shared target and white inputs"
SINGLE = "be a single one, with the stop-gradient on the target, and not isotropic"
ENDS = "be two ascending eigenvalues above zero, (low, high)"
POSITIVE = "be a positive number"
SHARE = "be a number above 0 and below 1"


def decaying():
    return euclidean(weight_decay=0.05)


def refused(wish, model=euclidean, between=BETWEEN):
    return lambda: dyn.design(wish, model(), between=between)


CASES = {
    "rate that is not zero at rest": (refused(dyn.RateFunction("1")), "wish", "be a rate that is zero at lambda = 0.8"),
    "rate that is zero elsewhere": (refused(dyn.RateFunction("1 - 2*lambda")), "wish", "be a rate that is zero at"),
    "rate with a hole": (refused(dyn.RateFunction("log(rest/lambda)")), "wish", "have the factor 1 - lambda/rest"),
    "rest as a number": (refused(dyn.RateFunction("0.8 - lambda")), "wish", "have the factor 1 - lambda/rest"),
    "no rate at all": (refused(dyn.RateFunction("0")), "wish", "be a rate that is a number, and not zero throughout"),
    "rate that is no number": (refused(dyn.RateFunction("log(lambda - rest)")), "wish", "be a rate that is a number"),
    "rate no text": (refused(dyn.RateFunction(3)), "wish", "be text in lambda, such as"),
    "unknown name": (refused(dyn.RateFunction("1 - mu")), "wish", "be text in lambda and rest, but at position 5 of"),
    "unfinished": (refused(dyn.RateFunction("1 +")), "wish", "be text in lambda and rest, but at position 4 of"),
    "times that rise": (refused(dyn.ArrivalTimes("lambda")), "wish", "be times that fall with lambda"),
    "times that are equal": (refused(dyn.ArrivalTimes("1")), "wish", "be times that fall with lambda"),
    "times that are no number": (
        refused(dyn.ArrivalTimes("-sqrt(lambda - 0.1)")),
        "wish",
        "be times that fall with lambda",
    ),
    "times with a kink": (refused(dyn.ArrivalTimes("-min(lambda, 0.1)")), "wish", "be smooth, without min and max"),
    "times with another": (refused(dyn.ArrivalTimes("-max(lambda, 0.1)")), "wish", "be smooth, without min and max"),
    "times no text": (refused(dyn.ArrivalTimes(None)), "wish", "be text in lambda, such as"),
    "times, bad text": (refused(dyn.ArrivalTimes("log(")), "wish", "be text in lambda and rest, but at position 5"),
    "level text": (refused(dyn.ArrivalTimes("-lambda", level="a")), "level", SHARE),
    "level above 1": (refused(dyn.SimultaneousArrival(1.0, level=1.5)), "level", SHARE),
    "level of 0": (refused(dyn.SimultaneousArrival(1.0, level=0)), "level", SHARE),
    "level too low": (refused(dyn.SimultaneousArrival(1.0, level=0.2)), "level", "be above where the largest mode"),
    "level of times too low": (refused(dyn.ArrivalTimes("-lambda", level=0.2)), "level", "be above where the largest"),
    "spread of 1": (refused(dyn.SimultaneousArrival(1.0, spread=1)), "spread", SHARE),
    "spread of 0": (refused(dyn.SimultaneousArrival(1.0, spread=0)), "spread", SHARE),
    "spread text": (refused(dyn.SimultaneousArrival(1.0, spread="a")), "spread", SHARE),
    "spread an array": (refused(dyn.SimultaneousArrival(1.0, spread=[0.1, 0.2])), "spread", SHARE),
    "spread too small": (
        refused(dyn.SimultaneousArrival(1.0), between=(0.01, 0.6)),
        "spread",
        "be larger: so near the goal",
    ),
    "spread too large": (
        refused(dyn.SimultaneousArrival(1.0, spread=0.9)),
        "spread",
        "be smaller: modes come closer together than that where all have one rate throughout",
    ),
    "time text": (refused(dyn.SimultaneousArrival("1")), "time", POSITIVE),
    "time negative": (refused(dyn.SimultaneousArrival(-1.0)), "time", POSITIVE),
    "threshold without decay": (refused(dyn.ThresholdRecruitment(0.1)), "wish", "stand beside a model with weight"),
    "speed below decay": (refused(dyn.ThresholdRecruitment(0.1, 0.05), decaying), "wish", "have a speed with which"),
    "threshold above rest": (refused(dyn.ThresholdRecruitment(2.0), decaying), "wish", "have a speed with which"),
    "threshold near rest": (refused(dyn.ThresholdRecruitment(0.7), decaying), "wish", "have a threshold further below"),
    "threshold text": (refused(dyn.ThresholdRecruitment("a"), decaying), "threshold", POSITIVE),
    "speed text": (refused(dyn.ThresholdRecruitment(0.1, "a"), decaying), "speed", POSITIVE),
    "sharpness a fraction": (refused(dyn.ThresholdRecruitment(0.1, 1.0, 2.5), decaying), "sharpness", "be a whole"),
    "sharpness zero": (refused(dyn.ThresholdRecruitment(0.1, 1.0, 0), decaying), "sharpness", "be a whole"),
    "learning rate text": (refused(dyn.FastestUniform("a")), "learning_rate", POSITIVE),
    "learning rate zero": (refused(dyn.FastestUniform(0)), "learning_rate", POSITIVE),
    "no small fraction": (
        refused(UNIFORM, lambda: euclidean(0.37)),
        "model",
        "have an exponent alpha with 1/(2 alpha)",
    ),
    "too small an exponent": (refused(UNIFORM, lambda: euclidean(1 / 26)), "model", "have an exponent alpha with"),
    "decay for another wish": (refused(UNIFORM, decaying), "model", "have no weight decay for FastestUniform"),
    "no wish": (refused("fast"), "wish", "be one of RateFunction, ArrivalTimes"),
    "no model": (refused(UNIFORM, lambda: "euclidean"), "model", "be a Model"),
    "cosine": (refused(UNIFORM, lambda: dyn.Model("cosine")), "model", PLAIN),
    "gained": (refused(UNIFORM, lambda: dyn.Model("euclidean", gain="1")), "model", PLAIN),
    "loss of one's own": (refused(UNIFORM, lambda: dyn.Model(dyn.Loss.parse("|p - z2|^2 / 2"))), "model", PLAIN),
    "symmetrised": (refused(UNIFORM, lambda: euclidean(symmetrised=True)), "model", PLAIN),
    "isotropic": (refused(UNIFORM, lambda: euclidean(isotropic=True)), "model", SINGLE),
    "no stop-gradient": (refused(UNIFORM, lambda: euclidean(stop_gradient="none")), "model", SINGLE),
    "ensemble": (refused(UNIFORM, lambda: euclidean(noise=([0.1, 0.2], 0.0))), "model", SINGLE),
    "tracked": (
        refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(tracking=0.5))),
        "model",
        PARTS,
    ),
    "epsilon": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(1, 0.5))), "model", PARTS),
    "no predictor": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.NoPredictor())), "model", PARTS),
    "normalized": (
        refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True))),
        "model",
        PARTS,
    ),
    "learned": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.Learned())), "model", PARTS),
    "EMA": (refused(UNIFORM, lambda: euclidean(target=dyn.EMA(0.5))), "model", PARTS),
    "inputs": (refused(UNIFORM, lambda: euclidean(inputs=np.eye(3))), "model", PARTS),
    "ends descend": (refused(UNIFORM, between=(0.5, 0.1)), "between", ENDS),
    "ends text": (refused(UNIFORM, between="ab"), "between", ENDS),
    "from zero": (refused(UNIFORM, between=(0.0, 0.1)), "between", ENDS),
    "three ends": (refused(UNIFORM, between=(0.1, 0.2, 0.3)), "between", ENDS),
    "one end": (refused(UNIFORM, between=0.1), "between", ENDS),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_is_named(case):
    call, name, must = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value).startswith(f"Argument `{name}` must {must}")


# --- networks -------------------------------------------------------------------------------------------------------


def weights(s, inputs, seed=0):
    """With eigenvalues s, in a basis of its own."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (len(s), inputs))
    return (U * np.sqrt(s)) @ V[: len(s)]


TRAINED = {  # starts, learning rate, steps
    "simultaneous": ([0.02, 0.05, 0.12, 0.3], 0.05, 200),
    "threshold": ([0.04, 0.06, 0.2, 0.4], 0.05, 300),  # not next to the threshold, 0.1
    "uniform": ([0.05, 0.1, 0.2, 0.4], 0.04, 80),  # its first steps are large: at 0.1 sampling alone is 0.8 %
}


@pytest.mark.full
@pytest.mark.parametrize("name", TRAINED)
def test_network_within_one_percent_of_the_map(name, record_property):
    s0, eta, steps = TRAINED[name]
    model = DESIGNS[name]().model
    map_ = dyn.iterate(model, s0, steps, eta)
    net = dyn.train(model, weights(s0, 6), steps, eta, batch_size=50_000)
    worst = dyn.compare(map_, net).max_relative(above=1e-3)
    record_property("worst", worst)
    assert worst < 0.01


def test_small_network_follows_the_map():
    """Within five of the sampling errors that theory predicts."""
    s0, eta, _ = TRAINED["threshold"]
    model = DESIGNS["threshold"]().model
    map_ = dyn.iterate(model, s0, 40, eta)
    found = dyn.compare(map_, dyn.train(model, weights(s0, 6), 40, eta, batch_size=5_000))
    assert map_.s[-1][0] < 0.9 * s0[0] and map_.s[-1][2] > 1.5 * s0[2]
    assert np.abs(found.z).max() < 5
