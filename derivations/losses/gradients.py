"""Derive forces: the negative gradients of the loss of one sample with respect to representations and predictor."""

from functools import lru_cache

import sympy as sp

from derivations.symbols import notation as n
from derivations.symbols.modes import derivative
from derivations.symbols.stop_gradient import release

VIEWS = {1: (n.z1, n.t1), 2: (n.z2, n.t2)}  # each view, as represented by the encoder and by the target branch


@lru_cache(maxsize=256)
def force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on view 1, g_m = -dL/dz1_m - dL/dt1_m, or on view 2, h_m = -dL/dz2_m - dL/dt2_m.

    L is the loss of one sample, and m is a mode. The encoder maps the two views to the representations z1 and z2, and
    the target branch maps them to t1 and t2. In the returned force, t1 and t2 are replaced by expressions in z1 and z2
    (see ``target``).
    """
    return target(loss, free_force(loss, view))


def free_force(loss: sp.Expr, view: int) -> sp.Expr:
    """Return the force on a view, for a target branch with arbitrary weights.

    The force contains the representations z1, z2 of the encoder and t1, t2 of the target branch.
    """
    return release(-sum(derivative(loss, branch) for branch in VIEWS[view]))


def force_on_predictor(loss: sp.Expr) -> sp.Expr:
    """Return the force -dL/dlambda_m on the eigenvalue lambda_m of a learned predictor; L is the loss of one sample."""
    return target(loss, release(-derivative(loss, n.lam)))


def has_free_target(loss: sp.Expr) -> bool:
    """Return True if no gradient reaches the target branch, so that the target branch may have separate weights."""
    return all(derivative(loss, t) == 0 for _, t in VIEWS.values())


def target(loss: sp.Expr, expression: sp.Expr) -> sp.Expr:
    """Return an expression in which (v/w) z replaces each representation t of the target branch.

    z is the representation of the same view by the encoder. v and w are the singular values of the target branch and of
    the encoder. If a gradient of the loss reaches the target branch, the branch shares the weights of the encoder, and
    z replaces t.
    """
    separate_weights = has_free_target(loss)

    def from_encoder(indexed: sp.Indexed) -> sp.Expr:
        z = {t: z for z, t in VIEWS.values()}.get(indexed.base)
        k = indexed.indices[0]
        return indexed if z is None else z[k] * (n.ratio[k] if separate_weights else 1)

    return expression.replace(lambda e: isinstance(e, sp.Indexed), from_encoder)


def representation(loss: sp.Expr) -> sp.Expr:
    r"""Return the velocity g_m = dz_m/dt of the representation model; m is a mode.

    In this model, gradient descent moves a representation z directly, without weights. Both views are represented by
    the same z, in the encoder and in the target branch. g is the force on view 1. See Halvagal, Laborieux and Zenke
    (2023), Theorems 1 and 2.
    """

    def same(indexed: sp.Indexed) -> sp.Expr:
        k = indexed.indices[0]
        return {n.z2: n.z1[k], n.ratio: sp.Integer(1)}.get(indexed.base, indexed)

    return force(loss, 1).replace(lambda e: isinstance(e, sp.Indexed), same)
