"""Momentum as an argument: numbers, options, and what is refused."""

import numpy as np
import optax
import pytest

import dynamics as dyn
from dynamics.model.momentum import check_momentum


@pytest.mark.parametrize("momentum", [0, 0.0, np.float64(0), dyn.Momentum(0, nesterov=True), {"mu": 0}])
def test_zero_momentum_is_none(momentum):
    assert check_momentum(momentum) is None


@pytest.mark.parametrize(
    "momentum", [dyn.Momentum(0.9), dyn.Momentum(0.5, nesterov=True), dyn.Momentum(0.5, decoupled=True)]
)
def test_momentum_is_restored_from_plain_data(momentum):
    assert check_momentum(momentum.plain) == momentum == check_momentum(momentum)
    assert isinstance(momentum.plain, float) == (momentum.mu == 0.9)


OTHERS = "Adam, LARS and other methods that rescale the gradient are not available"


@pytest.mark.parametrize(
    ("momentum", "message"),
    [
        (1.0, "`momentum` must be a number of at least 0 and below 1, or a Momentum, but is 1.0"),
        (-0.1, "`momentum` must be a number of at least 0 and below 1, or a Momentum, but is -0.1"),
        ([0.9], "`momentum` must be a number of at least 0 and below 1, or a Momentum, but is"),
        ({"momentum": 0.9}, "`momentum` must be a number of at least 0 and below 1, or a Momentum, but is"),
        ("adam", OTHERS),
        ("lars", OTHERS),
        (optax.adam(0.1), OTHERS),
    ],
    ids=["one", "negative", "list", "dictionary", "adam", "lars", "optax.adam"],
)
def test_other_values_are_refused(momentum, message):
    with pytest.raises(dyn.ArgumentError) as error:
        dyn.iterate(dyn.Model("euclidean"), [0.5], 3, 0.1, momentum=momentum)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mu": 1}, "`mu` must be a number of at least 0 and below 1, but is 1"),
        ({"mu": [0.5]}, "`mu` must be a number of at least 0 and below 1"),
        ({"mu": 0.5, "nesterov": 1}, "`nesterov` must be True or False, but is 1"),
        ({"mu": 0.5, "decoupled": "yes"}, "`decoupled` must be True or False, but is 'yes'"),
    ],
    ids=str,
)
def test_options_of_momentum_are_checked(arguments, message):
    with pytest.raises(dyn.ArgumentError) as error:
        dyn.Momentum(**arguments)
    assert message in str(error.value)


def test_other_optimisers_get_the_nearest_name():
    with pytest.raises(AttributeError, match="Did you mean `Momentum`"):
        dyn.SGD  # noqa: B018
    with pytest.raises(TypeError, match="Did you mean `momentum`"):
        dyn.iterate(dyn.Model("euclidean"), [0.5], 3, 0.1, optimizer="adam")
