"""Integrals in compiled code: the same as in NumPy, however the nodes are divided into blocks."""

import jax
import numpy as np
import pytest

import dynamics as dyn
from dynamics.numerics import adaptive_quadrature
from dynamics.numerics.compiled_quadrature import blocked, estimate_by_rules, stacked, values_by_rules
from dynamics.numerics.context import jax_settings
from tests.marks import parametrize

S = np.array([[0.02, 0.3, 1.0], [0.5, 0.6, 2.0], [0.0, 0.4, 1.1]])
COLLAPSED = np.zeros((1, 3))
MODELS = {
    "two norms": dyn.Model("cosine", noise=(0.1, 0.3)),
    "sum of integrals": dyn.Model("cosine", noise=(0.1, 0.3), symmetrised=True),
    "one norm": dyn.Model(dyn.Loss("-p . sg(z2) / |p|"), noise=(0.1, 0.3)),
}


def arguments_of(model, s):
    ones = np.ones((len(s), 1))
    return (s, np.sqrt(s), ones, 0.1 * ones, 0.3 * ones)


def compiled(function, integrals, arguments, rules):
    with jax_settings(x64=True):
        return jax.jit(lambda a, r: function(integrals, a, r))(arguments, rules)


@parametrize("name", MODELS, quick=["two norms"])
@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_blocks_of_any_size_give_the_integrals_and_errors_of_numpy(name, size):
    model = MODELS[name]
    integrals, arguments = model.generated.rates.integrals, arguments_of(model, S)
    adaptive = adaptive_quadrature.Adaptive(integrals, rtol=1e-4)
    adaptive(*arguments)  # chooses the rules
    expected = adaptive(*arguments)  # uses them
    rules = [blocked(rule, size) for rule in adaptive.rules]
    values, estimate = (compiled(f, integrals, arguments, rules) for f in (values_by_rules, estimate_by_rules))
    # At most 1e4 terms, whose sum is rounded in another order: 1e4 eps times the mass is an upper bound.
    np.testing.assert_allclose(values, expected.value, atol=2e-12 * expected.mass.max(), rtol=0)
    np.testing.assert_allclose(estimate.error, expected.error, rtol=1e-3, atol=1e-12 * expected.mass.max())


def test_collapsed_spectra_have_no_rates():
    model = MODELS["two norms"]
    integrals = model.generated.rates.integrals
    adaptive = adaptive_quadrature.Adaptive(integrals, rtol=1e-4)
    adaptive(*arguments_of(model, S))
    rules = [blocked(rule, 64) for rule in adaptive.rules]
    np.testing.assert_array_equal(
        compiled(values_by_rules, integrals, arguments_of(model, COLLAPSED), rules), COLLAPSED
    )


def test_few_capacities_serve_all_numbers_of_nodes():
    """Each capacity is compiled anew: at most one for every factor of 4."""
    model = MODELS["two norms"]
    capacities = set()
    for rtol in np.geomspace(1e-1, 1e-9, 17):
        adaptive = adaptive_quadrature.Adaptive(model.generated.rates.integrals, rtol=rtol)
        adaptive(*arguments_of(model, S))
        rule = blocked(adaptive.rules[0], 16)
        used = rule.rule.weights[:, 0].any(axis=-1).sum()
        assert used == rule.count <= len(rule.rule.x)
        capacities.add(len(rule.rule.x))
    assert capacities <= {1, 4, 16, 64, 256}


def test_stacked_rules_are_the_rules():
    model = MODELS["two norms"]
    integrals, arguments = model.generated.rates.integrals, arguments_of(model, S)
    rules = []
    for rtol in (1e-2, 1e-9):
        adaptive = adaptive_quadrature.Adaptive(integrals, rtol=rtol)
        adaptive(*arguments)
        rules.append(blocked(adaptive.rules[0], 16))
    both = stacked(rules)
    for number, rule in enumerate(rules):
        chosen = jax.tree.map(lambda a, number=number: a[number], both)
        of_chosen, of_rule = (compiled(values_by_rules, integrals, arguments, [one]) for one in (chosen, rule))
        np.testing.assert_array_equal(of_chosen, of_rule)
