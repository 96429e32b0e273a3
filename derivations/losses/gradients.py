"""Forces: negative gradients of the loss of one sample, on the representation of each view and on the predictor."""

import sympy as sp

from derivations.symbols import notation as n
from derivations.symbols.modes import derivative
from derivations.symbols.stop_gradient import release

VIEWS = {1: (n.z1, n.t1), 2: (n.z2, n.t2)}  # view: its representation by the encoder, and by the target branch


def force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on view 1, g_m = -dL/dz1_m - dL/dt1_m, or on view 2, h_m = -dL/dz2_m - dL/dt2_m.

    L is the loss of one sample. The target branch's representations t are written in the encoder's, z, by ``target``.
    """
    return target(loss, free_force(loss, view))


def free_force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on a view in the representations z1, z2 (encoder) and t1, t2 (target branch, of any weights)."""
    return release(-sum(derivative(loss, branch) for branch in VIEWS[view]))


def force_on_predictor(loss: sp.Expr) -> sp.Expr:
    """Return -dL/dlambda_m, the force of one sample with the loss L on an eigenvalue of a learned predictor."""
    return target(loss, release(-derivative(loss, n.lam)))


def has_free_target(loss: sp.Expr) -> bool:
    """Return True if no gradient reaches the target branch, so that it may have separate weights."""
    return all(derivative(loss, t) == 0 for _, t in VIEWS.values())


def target(loss: sp.Expr, expression: sp.Expr) -> sp.Expr:
    """Replace the representations t by the target branch with (v/w) z.

    z are the representations by the encoder; v and w are the singular values of target and encoder. If a gradient
    reaches the target branch, the branch shares the weights of the encoder, and t is replaced with z.
    """
    separate_weights = has_free_target(loss)

    def from_encoder(indexed: sp.Indexed) -> sp.Expr:
        z = {t: z for z, t in VIEWS.values()}.get(indexed.base)
        k = indexed.indices[0]
        return indexed if z is None else z[k] * (n.ratio[k] if separate_weights else 1)

    return expression.replace(lambda e: isinstance(e, sp.Indexed), from_encoder)


def representation(loss: sp.Expr) -> sp.Expr:
    r"""Return the representation model dz_m/dt = g_m: the force on view 1 at equal views, z1 = z2 = t1 = t2 = z.

    Halvagal, Laborieux and Zenke (2023), Theorems 1 and 2.
    """

    def same(indexed: sp.Indexed) -> sp.Expr:
        k = indexed.indices[0]
        return {n.z2: n.z1[k], n.ratio: sp.Integer(1)}.get(indexed.base, indexed)

    return force(loss, 1).replace(lambda e: isinstance(e, sp.Indexed), same)
