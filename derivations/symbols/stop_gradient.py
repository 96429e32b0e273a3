"""The stop-gradient: equal to its argument, with derivative zero."""

import sympy as sp


class StopGradient(sp.Function):
    r"""The stop-gradient SG(x): its value is x, its derivative d SG(x)/dx is zero."""

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
    """Replace every SG(x) by x, which gives the value of the forward pass."""
    return expression.replace(StopGradient, lambda argument: argument)
