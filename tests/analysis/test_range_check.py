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
            "s0",
        ),
        (lambda: dyn.equilibria(dyn.Model("cosine", isotropic=True, predictor=dyn.ClosedForm(700.0)), [1e227]), "s0"),
        (lambda: dyn.effective_rates(dyn.Model("euclidean"), [1e300]), "s"),
        (
            lambda: dyn.bifurcation(
                dyn.Model("cosine", predictor=dyn.ClosedForm(100.0)), "sigma2", (0.1, 0.2), s0=[1e-4], points=2
            ),
            "s0",
        ),
    ],
)
def test_an_argument_is_refused_where_rates_overflow(call, argument):
    with pytest.raises(dyn.ArgumentError, match=rf"`{argument}` must have values for which .* {REFUSED}"):
        call()


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
