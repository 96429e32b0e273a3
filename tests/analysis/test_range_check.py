"""Models and eigenvalues at the ends of double precision: results are finite, or an argument is refused."""

import random
import re

import numpy as np
import pytest

import dynamics as dyn
from tests.marks import parametrize

REFUSED = "within the range of double precision"


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: dyn.collapse(dyn.Model("cosine", predictor=dyn.ClosedForm(100.0), noise=(0, 1)), [1e-4]), "s0"),
        (lambda: dyn.effective_rates(dyn.Model("cosine", predictor=dyn.ClosedForm(1000.0)), [0.5, 1e-12]), "s"),
        (
            lambda: dyn.equilibria(
                dyn.Model("cosine", isotropic=True, predictor=dyn.ClosedForm(1000.0, 1e-6)), [1e-12, 0.001]
            ),
            "s0",
        ),
        (
            lambda: dyn.equilibria(dyn.Model("cosine", predictor=dyn.ClosedForm(2.0), noise=(1e154, 0.001)), [0.001]),
            "noise",
        ),
        (lambda: dyn.equilibria(dyn.Model("cosine", isotropic=True, predictor=dyn.ClosedForm(700.0)), [1e227]), "s0"),
        (lambda: dyn.effective_rates(dyn.Model("euclidean"), [1e300]), "s"),
        (lambda: dyn.effective_rates(dyn.Model("cosine", noise=(0.1, 0.2)), [1e99, 3e98]), "s"),
        (lambda: dyn.convergence_time(dyn.Model("cosine", noise=(0.1, 0.2)), [1e99, 3e98], 9e98), "s0"),
        (
            lambda: dyn.bifurcation(
                dyn.Model("cosine", predictor=dyn.ClosedForm(100.0)), "sigma2", (0.1, 0.2), s0=[1e-4], points=2
            ),
            "s0",
        ),
    ],
)
def test_an_argument_is_refused_where_rates_overflow(call, argument):
    with pytest.raises(dyn.ArgumentError, match=rf"`{argument}` must have values for which .* {REFUSED}") as raised:
        call()
    assert "NaN" not in str(raised.value)  # a message of the library that failed


COSINE, EUCLIDEAN = dyn.Model("cosine"), dyn.Model("euclidean", weight_decay=0.05)
S0 = [0.5, 1.2]
CAUSES = {  # a model, the argument that takes its rates out of range at moderate eigenvalues, and its value in messages
    "alpha": (dyn.Model("cosine", predictor=dyn.ClosedForm(1e300)), "alpha", "1e+300"),
    "normalized": (dyn.Model("cosine", predictor=dyn.ClosedForm(500.0, normalize=True)), "alpha", "500.0"),
    "epsilon": (dyn.Model("cosine", predictor=dyn.ClosedForm(1.0, 1e200)), "epsilon", "1e+200"),
    "noise": (dyn.Model("cosine", noise=(1e200, 0.0)), "noise", "(1e+200, 0.0)"),
    "noise of the target": (dyn.Model("cosine", noise=(0.0, 1e200)), "noise", "(0.0, 1e+200)"),
    "init": (dyn.Model("cosine", predictor=dyn.Learned(1.0, 1e200)), "init", "1e+200"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_argument_that_must_change_is_named(cause):
    """Eigenvalues of 0.5 and 1.2 are moderate; another argument takes the rates out of range."""
    model, argument, value = CAUSES[cause]
    message = rf"`{argument}` must have values for which .* {REFUSED} .*, but is {re.escape(value)}\."
    with pytest.raises(dyn.ArgumentError, match=message):
        (dyn.convergence_time if cause == "init" else dyn.equilibria)(model, S0, *([0.6] if cause == "init" else []))
    if cause != "normalized":  # which overflows for equal modes only, beside a collapsed one
        ended = f"the closure's integrals overflow at eigenvalues 0.5 ... 1.2, because `{argument}` is {value}"
        assert dyn.solve(model, S0, [0.0, 1.0]).status == f"stopped at t = 0: {ended}"
        if cause != "init":
            assert dyn.iterate(model, S0, 2, 0.1).status == f"stopped before step 1: {ended}"


def test_a_learning_rate_that_must_change_is_named():
    model = dyn.Model("cosine", target=dyn.EMA(0.9))
    assert dyn.solve(model, S0, [0.0, 1.0], learning_rate=1e-300).status.endswith("because `learning_rate` is 1e-300")
    with pytest.raises(dyn.ArgumentError, match="`learning_rate` must have values for which"):
        dyn.convergence_time(model, S0, 0.6, learning_rate=1e-300)


@pytest.mark.parametrize(
    ("model", "parameter", "between"),
    [
        (EUCLIDEAN, "weight_decay", (0.0, 1e300)),
        (EUCLIDEAN, "sigma2", (1.0, 1e308)),
        (EUCLIDEAN, "alpha", (1e-300, 1e300)),
        (EUCLIDEAN, "learning_rate", (1.0, 1e308)),
        (COSINE, "sigma2", (0.0, 1e300)),
    ],
)
def test_a_range_that_must_change_is_named(model, parameter, between):
    s0 = {"s0": S0} if model is COSINE else {}
    with pytest.raises(dyn.ArgumentError, match="`between` must have values for which"):
        dyn.bifurcation(model, parameter, between, points=3, **s0)


@pytest.mark.parametrize("parameter", ["alpha", "learning_rate"])
def test_a_range_with_values_that_a_parameter_cannot_have_is_named(parameter):
    with pytest.raises(dyn.ArgumentError, match=rf"Argument `between` must contain .* \(`{parameter}` must be a posi"):
        dyn.bifurcation(EUCLIDEAN, parameter, (0.0, 1.0))
    wrong, right = (parameter, (0.0, 1.0)), ("sigma2", (0.0, 0.1))
    for name, x, y in (("x", wrong, right), ("y", right, wrong)):
        with pytest.raises(dyn.ArgumentError, match=f"Argument `{name}` must contain only values that `{parameter}`"):
            dyn.phase_diagram(EUCLIDEAN, S0, x, y)


def test_a_phase_diagram_has_the_points_beside_those_that_overflow():
    """Points with noise of 1e300 overflow; the others are those of a diagram without noise."""
    decays = ("weight_decay", (0.0, 0.1))
    some, all_of = (
        dyn.phase_diagram(COSINE, S0, ("sigma2", values), decays, learning_rate=0.1, points=2, steps=640)
        for values in ([0.0, 0.1, 1e300], [0.0, 0.05, 0.1])
    )
    reason = "the closure's integrals overflow at eigenvalues 0.5 ... 1.2"
    assert all_of.status == "complete" and some.status == f"stopped at 2 of 6 points: {reason}"
    assert (some.outcome[:, 2] == "undecided").all() and (some.steps[:, 2] == 0).all()
    np.testing.assert_array_equal(some.outcome[:, :2], all_of.outcome[:, [0, 2]])
    np.testing.assert_array_equal(some.steps[:, :2], all_of.steps[:, [0, 2]])
    np.testing.assert_allclose(some.s[:, :2], all_of.s[:, [0, 2]], rtol=1e-4)  # rtol is 1e-5 of each step


def test_a_flow_that_overflows_late_keeps_the_times_before():
    """Without stop-gradient and with alpha = 100 modes overflow at t > 0; the level 0.6 is passed before."""
    model = dyn.Model("cosine", stop_gradient="none", predictor=dyn.ClosedForm(100.0))
    with (
        pytest.warns(dyn.AccuracyWarning, match="quadrature reached"),
        pytest.warns(
            dyn.AccuracyWarning, match=r"The flow is followed to t = .* only: the closure's integrals overflow"
        ),
    ):
        times = dyn.convergence_time(model, S0, [0.4, 2.0])
    assert 0 < times[0] < 1 and np.isnan(times[1])


def test_a_normalized_predictor_does_not_overflow_at_large_eigenvalues():
    """A single mode has lambda = 1 then: it is stationary without noise."""
    model = dyn.Model("euclidean", predictor=dyn.ClosedForm(150.0, normalize=True))
    flow = dyn.solve(model, [1000.0], [0.0, 1.0], method="scipy")
    np.testing.assert_allclose(flow.s[-1], 1000.0, rtol=1e-12)
    assert flow.status == "complete"


def test_collapsed_modes_with_a_separate_target_stay_collapsed():
    model = dyn.Model("cosine", weight_decay=0.1, target=dyn.EMA(0.0))
    flow = dyn.solve(model, [0.0, 0.0], [0.0, 1.0], learning_rate=0.1)
    assert flow.status == "complete" and not flow.s.any() and flow.s.shape == (2, 2)


# --- random models --------------------------------------------------------------------------------------------------


def drawn(seed):
    """A model and a spectrum, often at the ends of double precision."""
    draw = random.Random(seed)
    options = {"isotropic": True} if draw.random() < 0.2 else {"stop_gradient": draw.choice(["target", "none"])}
    extreme = (10 ** draw.uniform(-160, 154), 10 ** draw.uniform(-160, 154))
    alpha = draw.choice([1.0, 10 ** draw.uniform(-2, 3)])
    model = dyn.Model(
        draw.choice(["euclidean", "cosine"]),
        predictor=dyn.ClosedForm(alpha, draw.choice([0, 1e-6, 0.3, 1e8]), draw.random() < 0.3),
        noise=draw.choice([(0, 0), (0.3, 0.1), extreme]),
        weight_decay=draw.choice([0, 0.1]),
        **options,
    )
    scale, spread = draw.choice([(0, 300), (0, 6), (300, 1)])
    shift = draw.uniform(-scale, scale) * 0.98
    return model, [10 ** np.clip(shift + draw.uniform(-spread, spread), -300, 300) for _ in range(draw.randint(1, 3))]


def bifurcation(model, s):
    given = {} if model.loss == "euclidean" else {"s0": s}
    return dyn.bifurcation(model, "sigma2", (0.1, 0.3), points=2, **given)


CALLS = {
    "effective_rates": dyn.effective_rates,
    "equilibria": dyn.equilibria,
    "collapse": dyn.collapse,
    "bifurcation": bifurcation,
    "iterate": lambda model, s: dyn.iterate(model, s, 2, 0.1, method="numpy"),
}
SEEDS = range(150)


@pytest.mark.filterwarnings("ignore::dynamics.errors.AccuracyWarning")
@parametrize("seed", SEEDS, quick=SEEDS[:12])
def test_nothing_else_is_raised(seed):
    model, s = drawn(seed)
    for name, call in CALLS.items():
        try:
            result = call(model, s)
        except dyn.ArgumentError as error:
            assert "`" in str(error)
            continue
        if name == "effective_rates":
            assert np.isfinite(result).all()
        elif name == "iterate":
            assert not np.isnan(result.s).any() and re.match("complete|not finite: |.*step", result.status)
        elif name != "bifurcation":
            assert str(result)
