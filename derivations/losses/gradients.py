"""Derive forces: the negative gradients of the loss of one sample with respect to representations and predictor."""

import sympy as sp

from derivations.symbols import notation as n
from derivations.symbols.modes import derivative
from derivations.symbols.stop_gradient import release

VIEWS = {1: (n.z1, n.t1), 2: (n.z2, n.t2)}  # for each view its representations by the encoder and by the target branch


def force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on view 1, g_m = -dL/dz1_m - dL/dt1_m, or on view 2, h_m = -dL/dz2_m - dL/dt2_m.

    L is the loss of one sample, z1 and z2 are the representations by the encoder, t1 and t2 those by the target branch.
    In the result, ``target`` has replaced t1 and t2 by expressions in z1 and z2.
    """
    return target(loss, free_force(loss, view))


def free_force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on a view, for a target branch with arbitrary weights.

    The force is a function of the representations z1, z2 by the encoder and t1, t2 by the target branch.
    """
    return release(-sum(derivative(loss, branch) for branch in VIEWS[view]))


def force_on_predictor(loss: sp.Expr) -> sp.Expr:
    """Return the force -dL/dlambda_m on the eigenvalue lambda_m of a learned predictor; L is the loss of one sample."""
    return target(loss, release(-derivative(loss, n.lam)))


def has_free_target(loss: sp.Expr) -> bool:
    """Return True if no gradient reaches the target branch, so that the target branch may have separate weights."""
    return all(derivative(loss, t) == 0 for _, t in VIEWS.values())


def target(loss: sp.Expr, expression: sp.Expr) -> sp.Expr:
    """Replace the representations t by the target branch by (v/w) z, where z are the representations by the encoder.

    v and w are the singular values of the target branch and of the encoder. If a gradient reaches the target branch,
    the branch shares the weights of the encoder, and t is replaced by z.
    """
    separate_weights = has_free_target(loss)

    def from_encoder(indexed: sp.Indexed) -> sp.Expr:
        z = {t: z for z, t in VIEWS.values()}.get(indexed.base)
        k = indexed.indices[0]
        return indexed if z is None else z[k] * (n.ratio[k] if separate_weights else 1)

    return expression.replace(lambda e: isinstance(e, sp.Indexed), from_encoder)


def representation(loss: sp.Expr) -> sp.Expr:
    r"""Return g_m of the representation model dz_m/dt = g_m, in which the representation z itself is trained.

    g is the force on view 1 for equal views, z1 = z2 = t1 = t2 = z. See Halvagal, Laborieux and Zenke (2023), Theorems
    1 and 2.
    """

    def same(indexed: sp.Indexed) -> sp.Expr:
        k = indexed.indices[0]
        return {n.z2: n.z1[k], n.ratio: sp.Integer(1)}.get(indexed.base, indexed)

    return force(loss, 1).replace(lambda e: isinstance(e, sp.Indexed), same)
