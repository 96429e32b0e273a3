"""A loss with named parameters has the same dynamics as the loss with the numbers written into its expression."""

import re

import numpy as np
import pytest

import dynamics as dyn
from dynamics.errors import ArgumentError
from dynamics.model.model import Model
from dynamics.solvers.methods import has_exact_solution
from dynamics.vector_field.base import choose_closure
from dynamics.vector_field.factory import vector_field_of
from tests.marks import parametrize

S0 = np.array([0.2, 0.5, 0.9])
NOISES = ((0.0, 0.0), (0.3, 0.2))
STRUCTURES = {  # expression with names, values of the names
    "softened norm": ("sqrt(delta + |p - sg(z2)|^2)", {"delta": 0.5}),
    "eps": ("-eps * p . sg(z2) / (|p| * |sg(z2)|)", {"eps": 0.5}),  # a name that derivations use for a distance
    "two softened norms": ("-p . sg(z2) / (sqrt(a + |p|^2) * sqrt(b + |sg(z2)|^2))", {"a": 0.1, "b": 0.2}),
    "logarithm": ("log(delta + |p - sg(z2)|^2)", {"delta": 1.0}),
    "denominator": ("1 / (delta + |p|^2) - b * p . sg(z2)", {"delta": 0.7, "b": 0.4}),
    "factors of norms": ("-p . sg(z2) / (b * |p| * |sg(z2)|) + c * |z1|^2", {"b": 2.0, "c": 0.01}),
    "factor in a norm": ("sqrt(a * |p - sg(z2)|^2 + delta)", {"a": 2.0, "delta": 0.3}),
    "factor of a root": ("sqrt((delta + |p - sg(z2)|^2) / e)", {"delta": 0.5, "e": 2.0}),
    "factors in a norm": ("sqrt(delta + |p|^2 + b * |p|^2) - p . sg(z2)", {"delta": 0.7, "b": 0.4}),
    "negative": ("sqrt(-c * |p - sg(z2)|^2 - c)", {"c": -0.5}),
    "difference": ("sqrt(a - b + |p - sg(z2)|^2)", {"a": 2.0, "b": 0.5}),
    "zero": ("sqrt(delta + |p - sg(z2)|^2)", {"delta": 0.0}),
    "stopped": ("|p - sg(z2)| / sqrt(delta + sg(|z1|^2))", {"delta": 0.5}),
    "exponent": ("|p - sg(z2)|^q", {"q": 1.5}),
    "exponent of a softened norm": ("(delta + |p - sg(z2)|^2)^q", {"delta": 0.5, "q": 0.25}),
    "even exponent": ("|p|^q / q - p . sg(z2)", {"q": 4.0}),
    "exponent of a constant": ("|p - sg(z2)|^(2 * q) * b^q", {"b": 0.5, "q": 0.5}),
    "function of a constant": ("sqrt(min(delta, 1) + |p - sg(z2)|^2)", {"delta": 0.5}),
    "polynomial": ("a * |p - sg(z2)|^2 / 2 - b * p . sg(z2)", {"a": 0.8, "b": 0.3}),
    "no closure": ("-exp(-b * |p - sg(z2)|^2)", {"b": 0.5}),
}


def written(text, values):
    """The loss with the numbers in place of the names."""
    for name, value in values.items():
        text = re.sub(rf"\b{name}\b", f"({value!r})", text)
    return dyn.Loss.parse(text)


def field_of(loss, noise=(0.0, 0.0)):
    model = Model(loss, noise=noise)
    return vector_field_of(model, choose_closure(model, None))


@parametrize("name", STRUCTURES, ["softened norm", "difference", "exponent", "no closure"])
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_names_and_numbers_have_the_same_closure_rates_and_errors(name, noise):
    text, values = STRUCTURES[name]
    named, numbers = (field_of(loss, noise) for loss in (dyn.Loss.parse(text, **values), written(text, values)))
    rates = [field(field.start(S0)).rates for field in (named, numbers)]
    assert named.closure == numbers.closure == ("monte_carlo" if name == "no closure" else "gaussian")
    np.testing.assert_allclose(*rates, rtol=1e-14, atol=1e-15)
    assert abs(named.error - numbers.error) <= 1e-14  # an error of 1e-10 is stated with 4 digits
    assert named.model.generated.singularities == numbers.model.generated.singularities
    assert named.model.generated.independent_modes == numbers.model.generated.independent_modes
    assert has_exact_solution(named.model) == has_exact_solution(numbers.model)


MATRICES = {
    "polynomial": ("a * |p - sg(z2)|^2 / 2 - b * p . sg(z2)", {"a": 0.8, "b": 0.3}),
    "norms": ("-c * p . sg(z2) / (|p| * |sg(z2)|)", {"c": 0.7}),
    "exponent": ("-p . sg(z2) / (|p| * |sg(z2)|)^q", {"q": 1.0}),
    "power of W_P": ("|W_P^q * z1 - sg(z2)|^2 / 2", {"q": 2.0}),
}


@parametrize("name", MATRICES, ["norms"])
def test_names_and_numbers_have_the_same_dynamics_of_weights(name):
    text, values = MATRICES[name]
    W0, times, flows = np.random.default_rng(1).standard_normal((2, 3)) / 2, [0.0, 0.5], []
    for loss in (dyn.Loss.parse(text, **values), written(text, values)):
        flows.append(dyn.solve(Model(loss, inputs=np.diag([1.0, 0.6, 0.3]), noise=(0.1, 0.1)), W0, times))
    np.testing.assert_allclose(flows[0].s, flows[1].s, rtol=1e-14)
    assert flows[0].error == pytest.approx(flows[1].error, abs=1e-14)


def test_an_ensemble_of_weights_has_the_dynamics_of_its_members():
    W0, times = np.random.default_rng(1).standard_normal((2, 3)) / 2, [0.0, 0.5]
    model = Model(dyn.Loss.parse(MATRICES["norms"][0], c=0.7), inputs=np.diag([1.0, 0.6, 0.3]))
    ensemble = dyn.solve(model.replace(c=[0.7, 0.2]), W0, times)
    for member, c in zip(ensemble.s, (0.7, 0.2), strict=True):
        np.testing.assert_allclose(member, dyn.solve(model.replace(c=c), W0, times).s, rtol=1e-7)


SOFTENED = dyn.Loss.parse("sqrt(delta + |p - sg(z2)|^2)", delta=0.5)
POWER = dyn.Loss.parse("|p - sg(z2)|^q", q=1.5)


@pytest.mark.parametrize(
    ("loss", "closure"),
    [
        (SOFTENED.replace(delta=[0.5, 2.0]), "gaussian"),
        (SOFTENED.replace(delta=[0.0, 2.0]), "monte_carlo"),  # a norm in one member only
        (SOFTENED.replace(delta=[0.0, 0.0]), "gaussian"),
        (POWER.replace(q=[1.5, 1.5]), "gaussian"),
        (POWER.replace(q=[1.5, 1.2]), "monte_carlo"),  # each member would need its own integral
    ],
    ids=["positive", "zero and positive", "zero", "one exponent", "two exponents"],
)
def test_an_ensemble_has_a_closure_that_all_its_members_have(loss, closure):
    field = field_of(loss)
    rates = field(field.start(np.broadcast_to(S0, (2, 3)))).rates
    assert field.closure == closure
    for i in range(2):
        member = field_of(loss.replace(**{name: values[i] for name, values in loss.parameters.items()}))
        expected = member(member.start(S0)).rates
        np.testing.assert_allclose(rates[i], expected, rtol=1e-8 if closure == "gaussian" else 1e-2)


def test_a_new_value_gets_a_closure_of_its_own():
    loss = dyn.Loss.parse("sqrt(c^2 + |p - c * sg(z2)|^2) / c", c=0.5)  # c > 0 simplifies to other terms than c < 0
    for c in (0.5, -0.5):
        named, numbers = field_of(loss.replace(c=c)), field_of(written(loss.text, {"c": c}))
        np.testing.assert_allclose(*(f(f.start(S0)).rates for f in (named, numbers)), rtol=1e-14)


def test_a_sweep_uses_a_closure_that_all_its_points_have(tmp_path):
    """With delta > 0 at the first point and delta = 0 later, exact expectations are not available at all points."""
    model, deltas = Model(SOFTENED, noise=(0.1, 0.1)), [0.5, 0.0]
    run = {"s0": [0.2, 0.6], "learning_rate": 0.1, "steps": 2}
    found = dyn.sweep(model, {"delta": deltas}, store=tmp_path / "zero", chunk=1, progress=False, **run)
    for s, delta in zip(found.s.values, deltas, strict=True):
        expected = dyn.iterate(model.replace(delta=delta), **run, closure="monte_carlo")
        np.testing.assert_allclose(s, expected.s, rtol=1e-12)


def test_exported_losses_take_any_value_of_a_parameter():
    assert "delta=0.5" in Model(SOFTENED).to_jax()
    assert "q=1.5" in Model(POWER).to_jax()  # although its rates hold for this value alone


@pytest.mark.long
def test_equilibria_are_followed_across_a_sign_of_a_parameter():
    """For L = |p - sg(z2)|^2/2 + b |z1|^2: lambda - lambda^2 - 2 b = 0, with a fold at b = 1/8."""
    model = Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2 + b * |z1|^2", b=-0.1))
    found = dyn.bifurcation(model, "b", (-0.05, 0.2), points=5)
    (fold,) = (point for point in found.points if point.kind == "fold")
    assert fold.value == pytest.approx(0.125, rel=1e-9)
    upper = max(found.branches, key=lambda branch: branch.s.max())
    np.testing.assert_allclose(upper.s, (1 + np.sqrt(1 - 8 * np.minimum(upper.value, 0.125))) / 2, rtol=1e-6)


def test_an_exponent_that_couples_modes_ends_no_range_of_equilibria():
    model = Model(dyn.Loss.parse("|p - sg(z2)|^q / 2", q=2.0))
    with pytest.raises(ArgumentError, match=r"independent modes.*q=2\.5"):
        dyn.bifurcation(model, "q", (2.0, 2.5))
