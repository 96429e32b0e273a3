"""Design targets: the flow has the desired dynamics, and impossible targets are refused with the reason."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.analysis.designs import BETWEEN, REST, decaying, designed, euclidean, refused


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
def test_a_designed_rate_is_the_function(text, by_hand, alpha, noise):
    """To the rounding of h and q, each of which is within 1e-15; near rest r is small, but so is q."""
    s, rest = np.geomspace(1e-3, 3, 50), 1 / (1 + noise[0] ** 2)
    design = designed(dyn.RateFunction(text), euclidean(alpha, noise))
    expected = by_hand(s**alpha, rest)
    np.testing.assert_allclose(design.rate(s), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        EigenmodeField(design.model).of_eigenvalues(s[:, None])[:, 0], expected, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize(
    ("text", "time"), [("-3 * log(lambda)", lambda x: -3 * np.log(x)), ("lambda^-0.5", lambda x: x**-0.5)]
)
def test_modes_arrive_at_the_designed_times(text, time, alpha):
    """T(lambda0) - T(goal); to the tolerance of the integrated flow, 1e-8 a step."""
    s0, goal = np.array([0.01, 0.05, 0.3]), 0.9 * REST
    model = designed(dyn.ArrivalTimes(text), euclidean(alpha), (0.005, 0.3)).model
    times = dyn.convergence_time(model, s0, goal ** (1 / alpha))
    np.testing.assert_allclose(times, time(s0**alpha) - time(goal), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.5, 0.1)])
def test_modes_arrive_within_the_designed_spread(alpha, noise):
    between = BETWEEN if alpha == 1 else (0.01, 0.15)
    target, rest = dyn.SimultaneousArrival(10.0, level=0.9, spread=0.3), 1 / (1 + noise[0] ** 2)
    model = designed(target, euclidean(alpha, noise), between).model
    s0 = np.geomspace(*between, 5)
    times = dyn.convergence_time(model, s0, (0.9 * rest) ** (1 / alpha))
    assert times[0] == pytest.approx(10, rel=1e-6)  # the flow's tolerance is 1e-8 a step
    assert times[-1] == pytest.approx(7, rel=1e-6)
    assert (np.diff(times) < 0).all()
    plain = dyn.convergence_time(euclidean(alpha, noise), s0, (0.9 * rest) ** (1 / alpha))
    assert plain[0] / plain[-1] > 3  # the standard loss spreads them


@pytest.mark.parametrize(
    ("spread", "between", "steepness"),
    [(0.1, (0.02, 0.5), 48), (0.05, (0.02, 0.7), 384), (0.6, (0.02, 0.5), 24), (0.95, (0.02, 0.5), 12)],
)
def test_steeper_or_rising_rates_meet_other_spreads(spread, between, steepness):
    """Up to lambda = high the rate is constant; above it falls, or rises where a constant rate takes too long."""
    model, goal = euclidean(0.5, (0.2, 0.2)), (0.9 / 1.04) ** 2
    result = dyn.design(dyn.SimultaneousArrival(4.0, 0.9, spread), model, between=between)
    assert result.gain.parameters.get("steepness", 12) == steepness
    assert (result.gain.parameters["slow"] > result.gain.parameters["fast"]) == (spread == 0.95)
    times = dyn.convergence_time(result.model, between, goal)
    np.testing.assert_allclose(times, [4.0, 4.0 * (1 - spread)], rtol=1e-6)  # the flow's tolerance is 1e-8 a step


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("threshold", [0.02, 0.1])
def test_modes_above_the_threshold_grow_and_others_vanish(alpha, threshold):
    model = designed(dyn.ThresholdRecruitment(threshold), euclidean(alpha, weight_decay=0.05)).model
    s0 = threshold * np.array([0.99, 1.01])
    below, above = dyn.solve(model, s0, [0, 300.0]).s[-1]
    points = dyn.equilibria(model, [0.1])
    assert below < 1e-6
    assert above == pytest.approx(points[0].s[0], rel=1e-6)
    assert points.boundary == pytest.approx(threshold, rel=1e-9)  # a root to 1e-14 in log lambda
    assert [e.verdict for e in points] == ["stable", "unstable", "stable"]


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 1.5, 2.0])
def test_all_modes_converge_alike_and_stably(alpha):
    """w* - w = (w* - w0) e^(-2 t/eta) for all modes; stable below eta, and not above."""
    eta = 0.4
    design = designed(dyn.FastestUniform(eta), euclidean(alpha), (0.05, 0.3))
    s0, times = np.array([0.05, 0.1, 0.25, 2.0]), np.array([0.0, 0.05, 0.2, 0.6])
    rest = REST ** (1 / (2 * alpha))
    expected = rest - (rest - np.sqrt(s0)) * np.exp(-2 * times[:, None] / eta)
    flow = dyn.solve(design.model, s0, times, rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(flow.s), expected, rtol=1e-8)
    assert design.largest_learning_rate == pytest.approx(eta, rel=1e-8)  # differences of sixth order
    assert dyn.equilibria(design.model, [1.0])[0].largest_learning_rate == pytest.approx(eta, rel=1e-8)
    start = np.array([rest * 1.001]) ** 2
    below, above = (np.sqrt(dyn.iterate(design.model, start, 400, x * eta).s[:, 0]) - rest for x in (0.99, 1.01))
    assert np.abs(below[-1]) < 0.01 * np.abs(below[0])  # 0.98^400 = 3e-4
    assert np.abs(above[-1]) > 10 * np.abs(above[0])


def test_no_gain_ends_at_a_higher_rate():
    """None of 20 random smooth gains, stable at least up to eta, converges faster than e^(-2 t/eta)."""
    eta, s0 = 0.4, np.array([0.02, 0.2, 0.5])
    times = np.array([0.0, 4.0, 5.0]) * eta
    rest = np.sqrt(REST)

    def end_rates(model):
        left = rest - np.sqrt(dyn.solve(model, s0, times, rtol=1e-11).s)
        return -np.log(left[2] / left[1]) / eta

    # e^-8 is left at the first of the times: it bends the rate by so much, times the gain's relative slope.
    near = 0.02
    np.testing.assert_allclose(end_rates(designed(dyn.FastestUniform(eta)).model), 2 / eta, rtol=1e-5)
    rng, shape = np.random.default_rng(0), "(exp(a * tanh(lambda) + b * lambda^2) * lambda^-0.5 + c)"
    for a, b, c, slack in zip(*rng.normal(0, 0.5, (3, 20)), rng.uniform(1, 2, 20), strict=True):
        peak = float(dyn.Gain.parse(shape, a=a, b=b, c=c * c)(np.array([REST]))[0])
        limit = slack * eta
        other = euclidean(gain=dyn.Gain.parse(f"size * {shape}", a=a, b=b, c=c * c, size=1 / (limit * peak)))
        assert dyn.equilibria(other, [1.0])[0].largest_learning_rate == pytest.approx(limit, rel=1e-6)
        rate = end_rates(other).min()
        assert rate < 2 / eta * (1 + near)
        assert slack > 1.2 or rate > 2 / eta * 0.75  # and those at the limit come near it


# --- refused --------------------------------------------------------------------------------------------------------

POSITIVE, SHARE = "be a positive number", "be a number between 0 and 1"
UNIFORM = dyn.FastestUniform(0.1)

CASES = {
    "rate that is not zero at the fixed point": (
        refused(dyn.RateFunction("1")),
        "target",
        "be a rate that is zero at lambda = 0.8",
    ),
    "rate that is zero elsewhere": (refused(dyn.RateFunction("1 - 2*lambda")), "target", "be a rate that is zero at"),
    "rate with a singular gain": (
        refused(dyn.RateFunction("log(rest/lambda)")),
        "target",
        "contain the factor 1 - lambda/rest",
    ),
    "rest as a number": (refused(dyn.RateFunction("0.8 - lambda")), "target", "contain the factor 1 - lambda/rest"),
    "no rate at all": (
        refused(dyn.RateFunction("0")),
        "target",
        "be a rate that is finite for all initial eigenvalues, and nonzero",
    ),
    "rate that is no number": (refused(dyn.RateFunction("log(lambda - rest)")), "target", "be a rate that is finite"),
    "rate no text": (refused(dyn.RateFunction(3)), "target", "be text in lambda, such as"),
    "unknown name": (
        refused(dyn.RateFunction("1 - mu")),
        "target",
        "be an expression in lambda and rest, but has an error at position 5 of",
    ),
    "unfinished": (
        refused(dyn.RateFunction("1 +")),
        "target",
        "be an expression in lambda and rest, but has an error at position 4 of",
    ),
    "times that rise": (refused(dyn.ArrivalTimes("lambda")), "target", "be finite times that decrease with lambda"),
    "times that are equal": (refused(dyn.ArrivalTimes("1")), "target", "be finite times that decrease with lambda"),
    "times that are no number": (
        refused(dyn.ArrivalTimes("-sqrt(lambda - 0.1)")),
        "target",
        "be finite times that decrease with lambda",
    ),
    "times with a kink": (refused(dyn.ArrivalTimes("-min(lambda, 0.1)")), "target", "contain no min or max"),
    "times with another": (refused(dyn.ArrivalTimes("-max(lambda, 0.1)")), "target", "contain no min or max"),
    "times no text": (refused(dyn.ArrivalTimes(None)), "target", "be text in lambda, such as"),
    "times, bad text": (
        refused(dyn.ArrivalTimes("log(")),
        "target",
        "be an expression in lambda and rest, but has an error at position 5",
    ),
    "level text": (refused(dyn.ArrivalTimes("-lambda", level="a")), "level", SHARE),
    "level above 1": (refused(dyn.SimultaneousArrival(1.0, level=1.5)), "level", SHARE),
    "level of 0": (refused(dyn.SimultaneousArrival(1.0, level=0)), "level", SHARE),
    "level too low": (
        refused(dyn.SimultaneousArrival(1.0, level=0.2)),
        "level",
        "be above 0.",
    ),
    "level of times too low": (
        refused(dyn.ArrivalTimes("-lambda", level=0.2)),
        "level",
        "be above 0.",
    ),
    "spread of 1": (refused(dyn.SimultaneousArrival(1.0, spread=1)), "spread", SHARE),
    "spread of 0": (refused(dyn.SimultaneousArrival(1.0, spread=0)), "spread", SHARE),
    "spread text": (refused(dyn.SimultaneousArrival(1.0, spread="a")), "spread", SHARE),
    "spread an array": (refused(dyn.SimultaneousArrival(1.0, spread=[0.1, 0.2])), "spread", SHARE),
    "spread too small": (
        refused(dyn.SimultaneousArrival(1.0, spread=1e-3), between=(0.01, 0.719)),
        "spread",
        "be larger, because the fast modes cannot slow down enough before they arrive",
    ),
    "spread too large": (
        refused(dyn.SimultaneousArrival(1.0, spread=0.9999)),
        "spread",
        "be smaller, because the fast modes cannot accelerate enough before they arrive",
    ),
    "time text": (refused(dyn.SimultaneousArrival("1")), "time", POSITIVE),
    "time negative": (refused(dyn.SimultaneousArrival(-1.0)), "time", POSITIVE),
    "threshold without decay": (
        refused(dyn.ThresholdRecruitment(0.1)),
        "target",
        "be used with a model that has weight decay",
    ),
    "speed below decay": (
        refused(dyn.ThresholdRecruitment(0.1, 0.05), decaying),
        "target",
        "have a threshold below the fixed point, and so large a speed",
    ),
    "threshold above the fixed point": (
        refused(dyn.ThresholdRecruitment(2.0), decaying),
        "target",
        "have a threshold below the fixed point, and so large a speed",
    ),
    "threshold near the fixed point": (
        refused(dyn.ThresholdRecruitment(0.7), decaying),
        "target",
        "have a smaller threshold or a larger sharpness",
    ),
    "threshold text": (refused(dyn.ThresholdRecruitment("a"), decaying), "threshold", POSITIVE),
    "speed text": (refused(dyn.ThresholdRecruitment(0.1, "a"), decaying), "speed", POSITIVE),
    "sharpness a fraction": (refused(dyn.ThresholdRecruitment(0.1, 1.0, 2.5), decaying), "sharpness", "be a whole"),
    "sharpness zero": (refused(dyn.ThresholdRecruitment(0.1, 1.0, 0), decaying), "sharpness", "be a whole"),
    "learning rate text": (refused(dyn.FastestUniform("a")), "learning_rate", POSITIVE),
    "learning rate zero": (refused(dyn.FastestUniform(0)), "learning_rate", POSITIVE),
    "no small fraction": (
        refused(UNIFORM, lambda: euclidean(0.37)),
        "model",
        "have an exponent alpha for which 1/(2 alpha) is",
    ),
    "too small an exponent": (refused(UNIFORM, lambda: euclidean(1 / 26)), "model", "have an exponent alpha for which"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_arguments_and_impossible_targets_are_refused(case):
    call, name, requirement = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value).startswith(f"Argument `{name}` must {requirement}")


def test_a_design_as_plain_values_states_the_kind_of_its_target():
    design = dyn.design(dyn.FastestUniform(learning_rate=0.1))
    assert design.to_dict()["target"] == {"kind": "FastestUniform", "learning_rate": 0.1}
