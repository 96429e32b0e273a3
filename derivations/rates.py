r"""The rates r_m of the linear network, and the flow and descent map of its eigenvalues.

With dW/dt = E[g x1^T] + E[h x2^T] - rho W the singular vectors stay put, and the singular value of a mode obeys
dw_m/dt = w_m (r_m - rho), w_m r_m = E[g_m zeta1_m + h_m zeta2_m]. Eigenvalues of the correlation are s = w^2.
"""

import sympy as sp

from derivations import closures, gradients
from derivations import notation as n

CLOSURES = {"gaussian": closures.gaussian, "mean_field": closures.mean_field}


def force(loss: sp.Expr) -> sp.Expr:
    """g_m zeta1_m + h_m zeta2_m, divided by w_m, with both branches sharing weights: z = sqrt(s) zeta."""
    drive = gradients.online(loss) * n.zeta1[n.m] + gradients.target(loss) * n.zeta2[n.m]
    return sp.expand(share_weights(drive) / sp.sqrt(n.s[n.m]))


def share_weights(expression: sp.Expr) -> sp.Expr:
    """z1 = w zeta1, z2 = v zeta2 with v = w = sqrt(s)."""

    def view(indexed: sp.Indexed) -> sp.Expr:
        zeta = {n.z1: n.zeta1, n.z2: n.zeta2}.get(indexed.base)
        return indexed if zeta is None else sp.sqrt(n.s[indexed.indices[0]]) * zeta[indexed.indices[0]]

    return expression.replace(lambda e: isinstance(e, sp.Indexed), view)


def rates(loss: sp.Expr, closure: str = "gaussian") -> sp.Expr | tuple[closures.TiltedIntegral, ...]:
    """r_m of a loss given in the eigenbasis: an expression, or tilted integrals (see ``closures``)."""
    return CLOSURES[closure](force(loss))


# --- from rates to eigenvalues --------------------------------------------------------------------------------------

rate = sp.Function("r")(n.t)
_w = sp.Function("w", positive=True)(n.t)


def predictor() -> sp.Expr:
    """lambda = s^alpha: the closed-form predictor W_P = C^alpha."""
    return n.s[n.m] ** n.alpha


def velocity() -> sp.Expr:
    """ds/dt = 2 s (r - rho), from dw/dt = w (r - rho) and s = w^2."""
    flow = (_w**2).diff(n.t).subs(_w.diff(n.t), _w * (rate - n.rho))
    return sp.factor(flow.subs(_w, sp.sqrt(n.s[n.m])))


def step() -> sp.Expr:
    """One step of gradient descent, w <- w (1 + eta (r - rho)), as a map of s = w^2."""
    return ((_w + n.eta * _w * (rate - n.rho)) ** 2).subs(_w, sp.sqrt(n.s[n.m])).factor()
