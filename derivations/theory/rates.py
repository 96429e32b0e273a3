r"""The rates r_m of the linear network, and one step of gradient descent for every dynamical variable.

The weights obey dW/dt = E[g x1^T] + E[h x2^T] - rho W, with the forces g and h on the views x1 and x2, and weight decay
rho. Their singular vectors do not change, and the singular value of a mode obeys dw_m/dt = w_m (r_m - rho) with
w_m r_m = E[g_m zeta1_m + h_m zeta2_m], where zeta is a view along the mode's input direction. Eigenvalues of the
correlation are s = w^2. The target branch may have separate singular values v (an exponential average of w). The
predictor may be learned at a_P times the encoder's learning rate; then its eigenvalues obey
dlambda_m/dt = a_P f_m - rho lambda_m, f_m = E[-dL/dlambda_m].
"""

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import Largest, expanded
from derivations.theory import expectations

CLOSURES = {"gaussian": expectations.gaussian, "mean_field": expectations.mean_field}


def drive(loss: sp.Expr) -> sp.Expr:
    """Return (g_m zeta1_m + h_m zeta2_m)/w_m of one sample, whose expectation is the rate r_m.

    g and h are the forces on the views, zeta1 and zeta2 the views along the input direction of a mode. The forces are
    taken at the representations z = w zeta, with the singular value w = sqrt(s).
    """
    total = gradients.force(loss, 1) * n.zeta1[n.m] + gradients.force(loss, 2) * n.zeta2[n.m]
    return expanded(in_views(total) / sp.sqrt(n.s[n.m]))


def in_views(expression: sp.Expr) -> sp.Expr:
    """Replace the representations z1 by w zeta1 and z2 by w zeta2, with the singular values w = sqrt(s)."""

    def view(indexed: sp.Indexed) -> sp.Expr:
        zeta = {n.z1: n.zeta1, n.z2: n.zeta2}.get(indexed.base)
        return indexed if zeta is None else sp.sqrt(n.s[indexed.indices[0]]) * zeta[indexed.indices[0]]

    return expression.replace(lambda e: isinstance(e, sp.Indexed), view)


def shared_weights(expression: sp.Expr) -> sp.Expr:
    """Return the expression for a target branch that shares the encoder's weights: all ratios v/w are 1."""
    return expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base == n.ratio, lambda e: sp.Integer(1))


def rates(loss: sp.Expr, closure: str = "gaussian") -> sp.Expr | tuple[expectations.TiltedIntegral, ...]:
    """Return the rate r_m of a loss given in the eigenbasis: an expression, or integrals.

    The integrals are over a Gaussian that norms tilt (see ``expectations``).
    """
    return CLOSURES[closure](drive(loss))


def predictor_force(loss: sp.Expr, closure: str = "gaussian") -> sp.Expr | tuple[expectations.TiltedIntegral, ...]:
    """Return the force f_m = E[-dL/dlambda_m] on a predictor eigenvalue, of a loss given in the eigenbasis.

    The force is zero if no gradient reaches the predictor.
    """
    return CLOSURES[closure](in_views(gradients.force_on_predictor(loss)))


# --- one step of each dynamical variable; the flow is the derivative of the step by the learning rate -----------------

rate, force, average, x, w = sp.symbols("r force average x w", real=True)


def encoder_step() -> sp.Expr:
    """Return a gradient step of a singular value with rate r and weight decay rho: w <- w (1 + eta (r - rho))."""
    return w * (1 + n.eta * (rate - n.rho))


def predictor_step() -> sp.Expr:
    """Return a gradient step of a learned predictor under the force f: lambda <- lambda + eta (a_P f - rho lambda)."""
    return n.lam[n.m] + n.eta * (n.rate_ratio * force - n.rho * n.lam[n.m])


def average_step() -> sp.Expr:
    """Return the step a <- tau a + (1 - tau) x of an exponential average, of target weights or the correlation."""
    return n.decay * average + (1 - n.decay) * x


def flow(step: sp.Expr) -> sp.Expr:
    """Return the velocity whose Euler step of size eta is the given descent step."""
    return sp.factor(step.diff(n.eta).subs(n.eta, 0))


def average_velocity() -> sp.Expr:
    """Return the flow beta (x - a) of an exponential average a of x with decay tau = 1 - beta eta per step."""
    beta = sp.Symbol("beta")
    return flow(average_step().subs(n.decay, 1 - beta * n.eta)).subs(beta, (1 - n.decay) / n.eta)


def step() -> sp.Expr:
    """Return s (1 + eta (r - rho))^2, the descent map of a correlation eigenvalue s at learning rate eta."""
    return (encoder_step() ** 2).subs(w, sp.sqrt(n.s[n.m])).factor()


def velocity() -> sp.Expr:
    """Return ds/dt = 2 s (r - rho), the flow of a correlation eigenvalue s with rate r and weight decay rho."""
    return flow(step())


# --- closed-form predictors -----------------------------------------------------------------------------------------


def predictor() -> sp.Expr:
    """Return the eigenvalues lambda = (s + epsilon)^alpha of the closed-form predictor W_P = (C + epsilon)^alpha."""
    return (n.s[n.m] + n.epsilon) ** n.alpha


def normalized_predictor() -> sp.Expr:
    """Return the eigenvalues lambda = (s/max s + epsilon)^alpha of the normalised closed-form predictor."""
    return (n.s[n.m] / Largest(n.s[n.k]) + n.epsilon) ** n.alpha
