"""From a loss to the per-sample dynamics of each branch."""

import sympy as sp

from derivations import notation as n
from derivations.modes import derivative
from derivations.stop_gradient import release


def online(loss: sp.Expr) -> sp.Expr:
    """g_m = -dL/dz1_m: the force on the online branch, what each stop-gradient blocks removed."""
    return release(-derivative(loss, n.z1))


def target(loss: sp.Expr) -> sp.Expr:
    """h_m = -dL/dz2_m: the force on the target branch; zero where the stop-gradient blocks it."""
    return release(-derivative(loss, n.z2))


def representation(loss: sp.Expr) -> sp.Expr:
    r"""dz_m/dt = g_m at z1 = z2 = z: the representation model of the paper (Theorems 1 and 2)."""

    def is_target(e):
        return isinstance(e, sp.Indexed) and e.base == n.z2

    return online(loss).replace(is_target, lambda e: n.z1[e.indices[0]])
