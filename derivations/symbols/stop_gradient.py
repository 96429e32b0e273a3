"""Define the stop-gradient, a function that equals its argument but has the derivative zero."""

import sympy as sp


class StopGradient(sp.Function):
    r"""The stop-gradient SG(x): its value is x, but its derivative d SG(x)/dx is zero."""

    nargs = 1

    @classmethod
    def eval(cls, argument: sp.Expr) -> sp.Expr | None:
        if argument.is_number or isinstance(argument, cls):
            return argument
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real


def release(expression: sp.Expr) -> sp.Expr:
    """Replace every SG(x) by x; the result has the same value, but its derivatives are not stopped."""
    return expression.replace(StopGradient, lambda argument: argument)
