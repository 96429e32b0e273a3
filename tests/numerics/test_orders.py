"""Orders of magnitude: arithmetic against numbers, and scalings of integrals that are known in closed form."""

import numpy as np
import pytest

from dynamics.derived_loss import Expectation, Integral
from dynamics.numerics.orders import Orders, PowerLaw, SignedOrder, scalings

ONE = SignedOrder.of(np.ones(1))


def test_arithmetic_keeps_the_leading_term_of_each_sign():
    w, number = SignedOrder.power([1.0]), SignedOrder.of([-2.0])
    value = (1 - w) ** 2 * number / w + 3 * w**0.5
    assert (value.positive, value.negative) == (0, -1)  # 4 from -2 (-2 w)/w, and -2/w
    assert (number + 0 * w).positive == np.inf
    root = 1 / Orders.sqrt(Orders.prod(w**2))
    assert (root.positive, root.negative) == (-1, np.inf)


def test_an_exponential_that_diverges_is_refused():
    decays = Orders.exp(-1 / SignedOrder.power([1.0]))
    assert decays.positive == np.inf
    with pytest.raises(NotImplementedError, match="exponential that diverges"):
        Orders.exp(1 / SignedOrder.power([1.0]))


@pytest.mark.parametrize(
    ("power", "scaling"),
    [(1, PowerLaw(0.0, -1)), (2, PowerLaw(-1.0, 0)), (0.5, PowerLaw(0.0, 0))],
    ids=["logarithm", "power", "finite"],
)
def test_the_scaling_of_an_integral_over_one_norm(power, scaling):
    """int_0^oo x^(q-1)/sqrt((1 + x^2)(1 + w^2 x^2)) dx is log(1/w), pi/(2 w) and a constant for q = 1, 2, 1/2."""
    w = SignedOrder.power([0.0, 2.0])

    def integrand(x, y, s):
        xp = x.__array_namespace__()
        return x ** (power - 1) * 1 / xp.sqrt(xp.prod(1 + s * x**2, axis=-2, keepdims=True)) + 0 * s

    integral = Integral(lambda s: s, integrand, (power,))
    assert scalings(Expectation(integrals=(integral,)), (w,), 1) == (scaling, PowerLaw(np.inf, 0))


def test_scalings_sort_by_size():
    assert sorted([PowerLaw(0.0, 0), PowerLaw(-1.0, 0), PowerLaw(0.0, -2), PowerLaw(1.0, -1)]) == [
        PowerLaw(-1.0, 0),
        PowerLaw(0.0, -2),
        PowerLaw(0.0, 0),
        PowerLaw(1.0, -1),
    ]
    assert PowerLaw(0.0, -1).diverges and not PowerLaw(0.0, 0).diverges and PowerLaw(0.5, -1).vanishes
