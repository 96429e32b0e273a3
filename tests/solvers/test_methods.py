"""Methods state whether they apply to a problem, and "auto" takes the first that does and suits."""

from dataclasses import replace

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.methods import DESCENT_METHODS, FLOW_METHODS, choose
from dynamics.solvers.problem import DescentProblem, FlowProblem

S0, TIMES = [0.2, 0.5], [0.0, 1.0]
BELL = dyn.Model(dyn.Loss.parse("-exp(-|p - sg(z2)|^2 / 2)"))
FLOWS = {  # problem: the method that "auto" takes, and the methods that apply
    "formula": (FlowProblem.of(dyn.Model("euclidean"), S0, TIMES), "exact", {"exact", "heyoka", "jax", "scipy"}),
    "steady": (
        FlowProblem.of(dyn.Model("euclidean"), S0, TIMES, until="steady"),
        "scipy",
        {"scipy"},
    ),
    "integrals": (FlowProblem.of(dyn.Model("cosine"), S0, TIMES), "scipy", {"jax", "scipy"}),
    "mean field": (
        FlowProblem.of(dyn.Model("cosine"), S0, TIMES, closure="mean_field"),
        "scipy",
        {"heyoka", "jax", "scipy"},
    ),
    "ensemble": (FlowProblem.of(dyn.Model("cosine"), np.tile(S0, (64, 1)), TIMES), "jax", {"jax", "scipy"}),
    "samples": (FlowProblem.of(BELL, np.tile(S0, (64, 1)), TIMES), "scipy", {"scipy"}),
    "matrices": (FlowProblem.of(dyn.Model("euclidean", inputs=np.eye(3)), np.eye(2, 3), TIMES), "scipy", {"scipy"}),
}


@pytest.mark.parametrize("case", FLOWS)
def test_auto_takes_the_first_method_that_applies_and_suits(case):
    problem, expected, _ = FLOWS[case]
    assert choose(FLOW_METHODS, "auto", problem).name == expected


@pytest.mark.parametrize("case", FLOWS)
def test_refusals_name_the_methods_that_apply(case):
    pytest.importorskip("heyoka")  # else its own refusal comes first
    problem, _, applicable = FLOWS[case]
    for method in FLOW_METHODS:
        if method.name in applicable:
            assert choose(FLOW_METHODS, method.name, problem) is method
            continue
        with pytest.raises(dyn.ArgumentError) as refused:
            choose(FLOW_METHODS, method.name, problem)
        listed = str(refused.value).partition("must be ")[2]
        assert all(f"'{name}'" in listed for name in applicable)
        assert str(method.refusal(problem)) in listed and listed.endswith(f"but is '{method.name}'.")


def test_unknown_methods_are_refused_by_name():
    problem = FLOWS["formula"][0]
    with pytest.raises(dyn.ArgumentError, match=r"`method` must be one of 'auto', 'exact', 'heyoka', 'jax', 'scipy'"):
        choose(FLOW_METHODS, "euler", problem)


def test_a_long_descent_is_compiled_and_a_short_one_is_not():
    short = DescentProblem.of(dyn.Model("cosine"), S0, 10, 0.1)
    assert choose(DESCENT_METHODS, "auto", short).name == "numpy"
    assert choose(DESCENT_METHODS, "auto", replace(short, steps=1_000_000)).name == "jax"
    fluctuating = DescentProblem.of(dyn.Model("cosine"), S0, 10, 0.1, batch_size=100, input_dimension=4)
    assert choose(DESCENT_METHODS, "auto", replace(fluctuating, steps=1_000_000)).name == "numpy"
