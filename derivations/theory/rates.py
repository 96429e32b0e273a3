r"""Derive the rates of the linear network, and one step of gradient descent for every dynamical variable.

The weights obey dW/dt = E[g x1^T] + E[h x2^T] - rho W, with the two views x1 and x2 of an input, the forces g and h on
their representations, and weight decay rho. The singular vectors of W do not change. The singular value w_m of mode m
obeys dw_m/dt = w_m (r_m - rho), which defines the rate r_m. The rate satisfies
w_m r_m = E[g_m zeta1_m + h_m zeta2_m], where zeta1_m and zeta2_m are the components of the views along the input
direction of mode m. The eigenvalues of the correlation are s_m = w_m^2.

The target branch may have separate singular values v_m, which are an exponential average of w_m. The predictor may be
learned, with a_P times the learning rate of the encoder. Then its eigenvalues lambda_m obey
dlambda_m/dt = a_P f_m - rho lambda_m with the force f_m = E[-dL/dlambda_m].
"""

from functools import lru_cache
from typing import Any

import sympy as sp

from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import Largest, expanded
from derivations.theory import expectations, moments

CLOSURES = {"gaussian": expectations.gaussian, "mean_field": expectations.mean_field}


def drive(loss: sp.Expr) -> sp.Expr:
    """Return (g_m zeta1_m + h_m zeta2_m)/w_m of one sample; the expectation of this quantity is the rate r_m.

    g and h are the forces on the representations. zeta1_m and zeta2_m are the components of the two views along the
    input direction of mode m. The forces are evaluated at the representations z = w zeta, where w = sqrt(s) is the
    singular value of the mode.
    """
    total = gradients.force(loss, 1) * n.zeta1[n.m] + gradients.force(loss, 2) * n.zeta2[n.m]
    return expanded(in_views(total) / sp.sqrt(n.s[n.m]))


def in_views(expression: sp.Expr) -> sp.Expr:
    """Replace the representations z1 by w zeta1 and z2 by w zeta2, where w = sqrt(s) is the singular value of a mode.

    zeta1 and zeta2 are the components of the two views along the input direction of the mode.
    """

    def view(indexed: sp.Indexed) -> sp.Expr:
        zeta = {n.z1: n.zeta1, n.z2: n.zeta2}.get(indexed.base)
        return indexed if zeta is None else sp.sqrt(n.s[indexed.indices[0]]) * zeta[indexed.indices[0]]

    return expression.replace(lambda e: isinstance(e, sp.Indexed), view)


def shared_weights(expression: sp.Expr) -> sp.Expr:
    """Return the expression for a target branch that shares the weights of the encoder.

    In each mode, the ratio of the singular values of target and encoder is then 1.
    """
    return expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base == n.ratio, lambda e: sp.Integer(1))


@lru_cache(maxsize=256)
def rates(loss: sp.Expr, closure: str = "gaussian") -> sp.Expr | tuple[expectations.TiltedIntegral, ...]:
    """Return the rate r_m of mode m, as an expression or as integrals.

    loss: the loss of one sample in the eigenbasis of W_P. closure: "gaussian" for the exact expectation, or
    "mean_field". The integrals replace norms in a denominator (see the module ``expectations``).
    """
    return _of_mode(CLOSURES[closure](drive(loss)))


@lru_cache(maxsize=256)
def predictor_force(loss: sp.Expr, closure: str = "gaussian") -> sp.Expr | tuple[expectations.TiltedIntegral, ...]:
    """Return the force f_m = E[-dL/dlambda_m] on the predictor eigenvalue lambda_m; L is the loss of one sample.

    The loss is given in the eigenbasis of W_P. The force is zero if no gradient reaches the predictor.
    """
    return _of_mode(CLOSURES[closure](in_views(gradients.force_on_predictor(loss))))


def _of_mode(expectation: Any) -> Any:
    """Return a formula in which the statistics n1 and n2 of mode ``m`` have no index; integrals stay as they are."""
    return moments.without_index(expectation, n.m) if isinstance(expectation, sp.Expr) else expectation


# --- one step of each dynamical variable ----------------------------------------------------------------------------

rate, force, average, buffer, x, w = sp.symbols("r force average buffer x w", real=True)


def encoder_step() -> sp.Expr:
    """Return the gradient step w <- w (1 + eta (r - rho)) of a singular value w.

    eta is the learning rate, r the rate of the mode, and rho the weight decay.
    """
    return w * (1 + n.eta * (rate - n.rho))


def predictor_step() -> sp.Expr:
    """Return the gradient step lambda <- lambda + eta (a_P f - rho lambda) of an eigenvalue of a learned predictor.

    f is the force on lambda, eta is the learning rate of the encoder, and a_P eta that of the predictor.
    """
    return n.lam[n.m] + n.eta * (n.rate_ratio * force - n.rho * n.lam[n.m])


def average_step() -> sp.Expr:
    """Return the step a <- tau a + (1 - tau) x of an exponential average a of x, with decay tau per step.

    x is a singular value of the encoder, or an eigenvalue of the correlation.
    """
    return n.decay * average + (1 - n.decay) * x


def momentum_step() -> sp.Expr:
    """Return the step b <- mu b + x of a momentum buffer b, which adds up gradients x with the momentum mu.

    Gradient descent with momentum (heavy ball) changes weights by eta b, with Nesterov's momentum by eta (mu b + x).
    Here b is the new buffer, and eta the learning rate.
    """
    return n.momentum * buffer + x


def flow(step: sp.Expr) -> sp.Expr:
    """Return the velocity of the flow that gradient descent follows for a small learning rate eta.

    step: the value of a variable after one step of gradient descent, as a function of eta. The velocity is the
    derivative of ``step`` with respect to eta, at eta = 0.
    """
    return sp.factor(step.diff(n.eta).subs(n.eta, 0))


def average_velocity() -> sp.Expr:
    """Return da/dt = beta (x - a), the flow of an exponential average a of x, with beta = (1 - tau)/eta.

    tau is the decay of the average per step, and eta is the learning rate.
    """
    beta = sp.Symbol("beta")
    return flow(average_step().subs(n.decay, 1 - beta * n.eta)).subs(beta, (1 - n.decay) / n.eta)


def step() -> sp.Expr:
    """Return s (1 + eta (r - rho))^2, the descent map of a correlation eigenvalue s with learning rate eta.

    r is the rate of the mode, and rho the weight decay.
    """
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
