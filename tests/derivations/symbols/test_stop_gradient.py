"""StopGradient: a value that passes, a derivative that does not."""

import sympy as sp

from derivations.symbols.stop_gradient import StopGradient, release

a, b = sp.symbols("a b", real=True)


def test_derivative_is_zero():
    assert StopGradient(a**2 * b).diff(a) == 0


def test_only_what_is_outside_is_differentiated():
    assert sp.expand((a**2 * StopGradient(a * b)).diff(a) - 2 * a * StopGradient(a * b)) == 0


def test_release_gives_the_value_of_the_forward_pass():
    assert release(StopGradient(a + StopGradient(b)) * a) == (a + b) * a


def test_numbers_and_stopped_expressions_stay_what_they_are():
    assert StopGradient(sp.Rational(3, 7)) == sp.Rational(3, 7)
    assert StopGradient(StopGradient(a)) == StopGradient(a)


def test_real_where_its_argument_is():
    assert StopGradient(a).is_real
    assert StopGradient(sp.I * a).is_real is not True
