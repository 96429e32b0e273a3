"""Write code that multiplies vectors by the predictor W_P and by functions of W_P, and name the products."""

import sympy as sp

from derivations.losses.loss import SymbolicLoss, is_power
from derivations.printers.array_code import ArrayPrinter
from derivations.symbols import notation as n


class Predictions:
    """Names for the products of vectors with the predictor W_P, or with functions of W_P.

    ``lines`` contains the code that computes the products.
    """

    def __init__(self, loss: SymbolicLoss, printer: ArrayPrinter):
        self.loss, self.printer = loss, printer
        self.names: dict[tuple[sp.Expr, sp.Expr], sp.Indexed] = {}
        self.lines: list[str] = []

    def __call__(self, eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
        """Return the component of the product h(W_P) u, in any basis, and add the code of the product to ``lines``.

        u is a vector, and h a function of the predictor. eigenvalue: h(lambda), where lambda is an eigenvalue of W_P.
        component: the component of u.
        """
        coefficient, function = eigenvalue.as_coeff_Mul()
        base, exponent = function.as_base_exp()
        if not function.has(n.lam):
            return coefficient * function * component
        if base == n.lam[n.k] and exponent.is_Integer and exponent > 1:
            return coefficient * self(base, self(base ** (exponent - 1), component))
        return coefficient * self._named(function, component)

    def _named(self, function: sp.Expr, component: sp.Expr) -> sp.Expr:
        key = (function, component)
        if key not in self.names:
            view = {n.z1[n.k]: 1, n.z2[n.k]: 2}.get(component)
            name = f"p{view}" if view and function == n.lam[n.k] else f"v{len(self.lines) + 1}"
            self.names[key] = sp.IndexedBase(name, real=True)[n.k]
            arguments = [self.printer.doprint(component), *self._function(function)]
            self.lines.append(f"{name} = predict({', '.join(arguments)})")
        return self.names[key]

    def _function(self, function: sp.Expr) -> list[str]:
        """Return a list with the code of the second argument of ``predict``, or an empty list.

        ``predict(u)`` multiplies the vector u by W_P, and ``predict(u, h)`` multiplies u by h(W_P). The argument h is a
        function of the eigenvalues lambda of W_P. The list is empty if h(lambda) = lambda, because h(W_P) is then W_P.
        """
        if function == n.lam[n.k]:
            return []
        if is_power(function):
            return [f"lambda lam: {self.printer.doprint(function)}"]
        name = next(name for name, meaning in self.loss.operators.items() if meaning == function)
        return [f"lambda lam: operator_{name.base}({', '.join(('lam', *self.loss.parameters))})"]
