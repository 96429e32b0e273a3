r"""Find where the gradient F of one sample is infinite, and how fast F grows there; this decides which moments exist.

A gradient that is divided by norms is infinite where a norm is zero. M is the number of modes. With noise, the views
zeta1 and zeta2 have a density. Each norm |a zeta1 + b zeta2| is then zero on a set of codimension M, and the origin
zeta1 = zeta2 = 0 has codimension 2M. Without noise the views are equal, zeta1 = zeta2 = zeta. All norms are then zero
only at zeta = 0, a set of codimension M. If F grows as eps^o at the distance eps from a set of codimension c, then

    E|F|^p ~ int eps^(c - 1) eps^(p o) d eps   is finite at the set if and only if   c + p o > 0.

To find the order o, the distance from the set is multiplied by eps in F. Each sum over modes becomes a separate symbol
times a power of eps, so that terms of F cancel only if they cancel for any number of modes. If there is only one
mode, sums have one term, and more terms of F cancel; so the order for M = 1 is computed separately.

F may also be divided by sums that are no norms. Such a sum is zero on a hypersurface, of codimension 1 for any M.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.losses import gradients
from derivations.losses.reader import tanh
from derivations.symbols import notation as n
from derivations.symbols.modes import per_mode
from derivations.theory import rates

ESSENTIAL = sp.Integer(-(10**6))  # stands for the order of exp(1/|v|), which grows faster than any power of eps

# Dummies differ from parameters of a loss that have the same name.
eps = sp.Dummy("eps", positive=True)
near = sp.Dummy("near", positive=True)  # distance from the set, in units of eps
far = sp.Dummy("far", positive=True)  # position along the set

Substitution = Callable[[sp.Expr], sp.Expr]  # replaces the views of each mode by expressions in eps, near and far


class SingularSet(NamedTuple):
    """A set of views on which a gradient F is infinite.

    At a small distance eps from the set, F is proportional to eps^o with an exponent o < 0.

    at: equation of the set. conditions: number of linear equations per mode that define the set; 0 for a hypersurface.
    order: the exponent o if there are several modes. order_alone: the exponent o if there is a single mode.
    """

    at: str
    conditions: int
    order: sp.Expr
    order_alone: sp.Expr


@cache
def singularities(loss: sp.Expr, noiseless: bool) -> dict[str, list[SingularSet]]:
    """Return the sets of views on which gradients of a loss are infinite, in a dictionary with three keys.

    "rates": sets on which the force on a singular value is infinite. "weights": sets on which the force on a
    representation is infinite; the gradient with respect to the weights is this force times an independent input.
    "predictor": sets on which the force on an eigenvalue of the predictor is infinite. noiseless: True if both views
    are equal, False for views with noise. Sets of order o >= 0 are left out (see ``SingularSet``), because the gradient
    is finite on them.
    """
    forces = [gradients.force(loss, view) for view in gradients.VIEWS]
    quantities = {
        "rates": [rates.drive(loss)],
        "weights": [rates.in_views(force) for force in forces],
        "predictor": [rates.in_views(gradients.force_on_predictor(loss))],
    }
    return {name: _of_quantity(members, noiseless) for name, members in quantities.items()}


def _of_quantity(members: list[sp.Expr], noiseless: bool) -> list[SingularSet]:
    members = [_without_noise(member) if noiseless else member for member in members]
    if any(member.has(sp.zoo, sp.nan) for member in members):
        return [SingularSet("all views", 0, ESSENTIAL, ESSENTIAL)]  # F is divided by a difference of two equal views
    bases = set().union(*(_divisors(member) for member in members))
    found = []
    for at, conditions, scaled in _sets(bases, noiseless):
        orders = [min(_order(member, scaled, alone) for member in members) for alone in (False, True)]
        if min(orders) < 0:
            found.append(SingularSet(at, conditions, *orders))
    hypersurface = [_lowest_power(member, base) for base in bases if _may_vanish(base) for member in members]
    if min(hypersurface, default=0) < 0:
        found.append(
            SingularSet(
                "the views for which a divisor of the gradient is zero", 0, min(hypersurface), min(hypersurface)
            )
        )
    return found


def _without_noise(expression: sp.Expr) -> sp.Expr:
    """Return the expression that results if both views are equal; sums over differences of the views become zero."""
    equal = expression.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == n.zeta2, lambda e: n.zeta1[e.indices[0]]
    )
    return equal.replace(sp.Sum, lambda f, limits: sp.Sum(f, limits) if sp.expand(f) != 0 else sp.Integer(0))


# --- the sets -------------------------------------------------------------------------------------------------------


def _divisors(expression: sp.Expr) -> set[sp.Expr]:
    """Return the sums over modes that contain a view and occur in a negative or fractional power or in a logarithm."""
    powers = (e.base for e in expression.atoms(sp.Pow) if not (e.exp.is_Integer and e.exp > 0))
    arguments = (e.args[0] for e in expression.atoms(sp.log))
    return {base for base in (*powers, *arguments) if base.has(n.zeta1, n.zeta2) and base.has(sp.Sum)}


def _form(base: sp.Expr) -> tuple[sp.Expr, sp.Matrix] | None:
    """Return the constant and the matrix Q if ``base`` = constant + sum_k zeta_k^T Q zeta_k; otherwise return None.

    zeta_k = (zeta1_k, zeta2_k) are the two views in mode k.
    """
    constant, summed = base.as_independent(sp.Sum, as_Add=True)
    pair, square = (n.zeta1[n.k], n.zeta2[n.k]), sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(summed)):
        coefficient, last = term.as_independent(sp.Sum, as_Add=False)
        if not isinstance(last, sp.Sum) or coefficient.has(n.zeta1, n.zeta2) or constant.has(n.zeta1, n.zeta2):
            return None
        square += coefficient * per_mode(last)
    polynomial = sp.Poly(sp.expand(square), *pair)
    if not polynomial.is_homogeneous or polynomial.total_degree() != 2:
        return None
    return constant, sp.hessian(square, pair) / 2


def _is_norm(base: sp.Expr) -> bool:
    form = _form(base)
    if form is None or form[0] != 0:
        return False
    return bool(form[1][0, 0].is_nonnegative and form[1][1, 1].is_nonnegative and _determinant(form[1]).is_nonnegative)


def _determinant(Q: sp.Matrix) -> sp.Expr:
    return sp.factor(sp.expand(Q.det()))


def _may_vanish(base: sp.Expr) -> bool:
    """Return True if ``base`` is a quadratic form that takes both signs, such as z1 . z2.

    Such a form is zero on a hypersurface.
    """
    form = _form(base)
    if form is None or not form[0].is_nonpositive:
        return False
    (a, b), (_, c) = form[1].tolist()
    return not _is_norm(base) and bool(a == c == 0 != b or _determinant(form[1]).is_negative)


def _sets(bases: set[sp.Expr], noiseless: bool) -> Iterator[tuple[str, int, Substitution]]:
    """Yield a tuple (equation, conditions, near) for each set of views on which a norm is zero.

    equation: the equation of the set. conditions: the number of linear equations per mode that define the set. near:
    a function that replaces the views in an expression by views at the distance eps from the set. bases: sums over
    modes; a gradient is divided by powers of these sums. Only sums that are squares of norms are used.
    """
    norms = [form[1] for base in sorted(bases, key=sp.default_sort_key) if _is_norm(base) and (form := _form(base))]
    if not norms:
        return
    if noiseless:
        yield "z = 0", 1, _scaled(eps * near, eps * near)
        return
    lines: list[sp.Matrix] = []
    for Q in norms:
        if _determinant(Q) == 0 and not any(_parallel(Q, other) for other in lines):
            lines.append(Q)
            yield _equation(Q), 1, _near_line(Q)
    yield "z1 = z2 = 0", 2, _scaled(eps * near, eps * far)


def _parallel(Q: sp.Matrix, other: sp.Matrix) -> bool:
    """Return True if two squares (a zeta1 + b zeta2)^2, given by their matrices, are zero at the same views."""
    return sp.expand(Q[0, 0] * other[1, 1] + Q[1, 1] * other[0, 0] - 2 * Q[0, 1] * other[0, 1]) == 0


def _equation(Q: sp.Matrix) -> str:
    if Q[1, 1] == 0:
        return "z1 = 0"
    return "z2 = 0" if Q[0, 0] == 0 else "a z1 + b z2 = 0"


def _near_line(Q: sp.Matrix) -> Substitution:
    """Return a function that replaces the views by views at the distance eps from the set a zeta1 + b zeta2 = 0.

    Q: the matrix (a, b)^T (a, b) of the square (a zeta1 + b zeta2)^2, which is zero on this set.
    """
    if Q[1, 1] == 0:
        return _scaled(eps * near, far)
    ratio = sp.factor(Q[0, 1] / Q[1, 1])  # a/b
    return _scaled(far, eps * near - ratio * far)


def _scaled(zeta1: sp.Expr, zeta2: sp.Expr) -> Substitution:
    """Return a function that replaces the views of each mode by the given expressions, which are written in mode k."""

    def scaled(expression: sp.Expr) -> sp.Expr:
        def view(indexed: sp.Indexed) -> sp.Expr:
            value = {n.zeta1: zeta1, n.zeta2: zeta2}.get(indexed.base)
            return indexed if value is None else value.subs(n.k, indexed.indices[0])

        return expression.replace(lambda e: isinstance(e, sp.Indexed), view)

    return scaled


# --- orders ---------------------------------------------------------------------------------------------------------


def _order(expression: sp.Expr, scaled: Substitution, alone: bool) -> sp.Expr:
    """Return the order o of an expression F ~ eps^o near a set; return oo if F is zero.

    scaled: function that replaces the views by views at the distance eps from the set. alone: True for a single mode,
    where each sum over modes has one term.
    """
    symbols: dict[sp.Expr, sp.Symbol] = {}

    def symbol(key: sp.Expr, positive: bool = True) -> sp.Symbol:
        return symbols.setdefault(key, sp.Dummy(positive=True) if positive else sp.Dummy(real=True))

    def of_sum(function: sp.Expr, limits: sp.Tuple) -> sp.Expr:
        summand = sp.expand(scaled(function.subs(limits[0], n.k)))
        power = _lowest(summand)
        summation = sp.Sum(function, limits)
        return symbol(summation, _is_norm(summation)) * eps**power

    def of_power(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        base = sp.factor(sp.expand(base))
        if not base.has(eps) or (exponent.is_Integer and exponent > 0):
            return base**exponent
        lowest = _lowest(sp.expand(base))
        rest = sp.factor(base / eps**lowest)
        return eps ** (lowest * exponent) * (symbol(rest) if rest.has(eps, sp.Add) else rest) ** exponent

    def of_absolute(argument: sp.Expr) -> sp.Expr:
        lowest = _lowest(sp.expand(argument))
        return symbol(sp.Abs(argument)) * eps**lowest

    def of_function(function: sp.Expr) -> sp.Expr:
        argument = sp.expand(function.args[0])
        power = _lowest(argument)
        if power >= 0 or isinstance(function, sp.log):
            return symbol(function) * eps ** (power if isinstance(function, tanh) and power != sp.oo else 0)
        sign = sum(term.as_independent(eps)[0] for term in sp.Add.make_args(argument) if _lowest(term) == power)
        if not (sign.is_positive or sign.is_negative):
            raise UnsupportedLossError(
                f"the growth of {function} is not defined where its argument is infinite, because the argument can be "
                "positive or negative there"
            )
        if isinstance(function, tanh):
            return sp.Integer(1 if sign.is_positive else -1)
        return eps**ESSENTIAL if sign.is_positive else sp.Integer(0)

    if alone:
        expression = expression.replace(sp.Sum, lambda f, limits: f.subs(limits[0], n.m))
    else:
        expression = expression.replace(sp.Sum, of_sum)
    expression = scaled(expression).replace(sp.Abs, of_absolute).replace(sp.Pow, of_power)
    expression = expression.replace(lambda e: isinstance(e, sp.exp | sp.log | tanh) and e.has(eps), of_function)
    return _lowest(sp.expand(expression))


def _lowest(expanded: sp.Expr) -> sp.Expr:
    """Return the lowest power of eps that has a nonzero coefficient in a sum of products; return oo if the sum is 0."""
    coefficients: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(expanded):
        coefficient, power = term.as_independent(eps, as_Add=False)
        exponent = power.as_base_exp()[1] if power != 1 else sp.Integer(0)
        coefficients[exponent] = coefficients.get(exponent, sp.Integer(0)) + coefficient
    present = [power for power, coefficient in coefficients.items() if sp.expand(coefficient) != 0]
    if not all(power.is_number for power in present):
        raise UnsupportedLossError(f"{expanded} contains a power whose exponent is a parameter")
    return min(present, default=sp.oo)


def _lowest_power(expression: sp.Expr, base: sp.Expr) -> sp.Expr:
    """Return the lowest exponent of all powers of the sum ``base`` in an expression; return 0 if there is no power."""
    return min((e.exp for e in expression.atoms(sp.Pow) if e.base == base and e.exp.is_number), default=sp.Integer(0))
