"""Write a loss without the predictor W_P: a new vector replaces each product of a function of W_P with a vector.

For example, a vector p1 replaces the prediction W_P z1. The forces on all vectors are then derived. By the chain rule,
a force f on p1 is a force W_P^T f on z1 and a force f z1^T on W_P. Unlike the loss in the eigenbasis of W_P, this form
holds in any basis, also if W_P is not symmetric.
"""

from functools import cache
from typing import NamedTuple

import sympy as sp

from derivations.errors import UnsupportedLossError
from derivations.losses.loss import SymbolicLoss, is_natural
from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient

PREDICTIONS = {n.z1: "p1", n.z2: "p2"}


class Product(NamedTuple):
    """A product v = h(W_P) u of a function of the predictor W_P with a vector u.

    vector: the symbol v. function: h(lambda), where lambda is the eigenvalue of W_P in mode ``k``. of: the symbol u.
    stopped: True if no gradient flows from the product into u. A gradient may still flow into W_P.
    """

    vector: sp.IndexedBase
    function: sp.Expr
    of: sp.IndexedBase
    stopped: bool


class LossInVectors(NamedTuple):
    """A loss as a function of vectors alone: of the representations z1, z2, t1, t2, and of products with W_P.

    products: the products h(W_P) u; if u is a product itself, it stands earlier in the tuple.
    """

    expression: sp.Expr
    products: tuple[Product, ...] = ()


@cache
def in_vectors(loss: SymbolicLoss) -> LossInVectors:
    """Return a loss as a function of vectors alone.

    Raises UnsupportedLossError if a function of W_P is applied to an expression that is not a sum of vectors.
    """
    named = _Products()
    expression = loss.expression(named)
    used = {e.base for e in expression.atoms(sp.Indexed)}
    products: list[Product] = []
    for product in reversed(named.values()):
        if product.vector in used:
            products.insert(0, product)
            used.add(product.of)
    return LossInVectors(expression, tuple(products))


class _Products(dict[tuple[sp.Expr, sp.IndexedBase, bool], Product]):
    """The products of functions of W_P with vectors, with (function, vector, stopped) as keys."""

    def __call__(self, eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
        """Return the component of h(W_P) u. eigenvalue: h(lambda). component: the component of u."""
        coefficient, function = eigenvalue.as_coeff_Mul()
        if not function.has(n.lam):
            return eigenvalue * component
        base, exponent = function.as_base_exp()
        if is_natural(function) and exponent > 1:
            return coefficient * self(base, self(base ** (exponent - 1), component))
        return coefficient * self._linear(function, component, False)

    def _linear(self, function: sp.Expr, component: sp.Expr, stopped: bool) -> sp.Expr:
        """Return the component of h(W_P) u for a sum u of vectors with scalar coefficients."""
        if isinstance(component, StopGradient):
            return self._linear(function, component.args[0], True)
        terms = sp.Add.make_args(sp.expand(component))
        if len(terms) > 1:
            return sp.Add(*(self._linear(function, term, stopped) for term in terms))
        scalar, vector = component.as_independent(n.k, as_Add=False)
        if isinstance(vector, StopGradient):
            return scalar * self._linear(function, vector, stopped)
        if not (isinstance(vector, sp.Indexed) and vector.indices == (n.k,)) or (stopped and scalar.has(sp.Indexed)):
            raise UnsupportedLossError(f"a function of W_P is applied to {component}, which is not a sum of vectors")
        return scalar * self._product(function, vector.base, stopped)[n.k]

    def _product(self, function: sp.Expr, vector: sp.IndexedBase, stopped: bool) -> sp.IndexedBase:
        key = (function, vector, stopped)
        if key not in self:
            plain = function == n.lam[n.k] and not stopped
            name = PREDICTIONS.get(vector, "") if plain else ""
            symbol = sp.IndexedBase(name or f"v{len(self) + 1}", real=True)
            self[key] = Product(symbol, function, vector, stopped)
        return self[key].vector
