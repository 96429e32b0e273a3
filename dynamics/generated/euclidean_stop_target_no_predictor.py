"""Euclidean loss, stop-gradient on the target, no predictor.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.derived_loss import DerivedLoss, ExactSolution, Expectation, MatrixExpectation


def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
    """Return the loss of each sample; predict: applies W_P or a function of W_P; over_modes: sums over modes."""
    norm_z1_minus_t2_squared = over_modes((-stop_gradient(t2) + z1)**2)
    return norm_z1_minus_t2_squared / 2


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on view 1, in the eigenbasis.

    L is the loss of the sample. View 1 is represented as z1 by the encoder, and as t1 = ratio z1
    by the target branch. The eigenbasis consists of the eigenvectors of the correlation.
    """
    return ratio * z2 - z1


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on view 2, in the eigenbasis.

    L is the loss of the sample. View 2 is represented as z2 by the encoder, and as t2 = ratio z2
    by the target branch. The eigenbasis consists of the eigenvectors of the correlation.
    """
    return 0 * z1


def rates(s, lam, ratio, sigma1, sigma2):
    """Return the rate r_m of a mode, exact by Gaussian moments."""
    n1 = sigma1**2 + 1
    return -n1 + ratio


def drive_on_view1(W_P, z1, t2):
    """Return E[g l^T] (M, d), exact by Gaussian moments; g: force on view 1, l (d,): independent normals."""
    return -z1 + t2


def growth(lam0, log_lam0, t, alpha, sigma1, sigma2, rho):
    """Return log(s(t)/s(0)) of a correlation eigenvalue s, by the exponential solution.

    lam0, log_lam0: initial eigenvalue of the predictor, and its logarithm.
    """
    n1 = sigma1**2 + 1
    return 2 * t * (-n1 - rho + 1)


def time_to_reach(log_lam0, log_lam1, alpha, sigma1, sigma2, rho):
    """Return the time that a predictor eigenvalue takes from lam0 to lam1, which are given by their logarithms.

    The time is negative or nan if the flow does not lead from lam0 to lam1.
    """
    return (-log_lam0 + log_lam1) / (2 * alpha * (-rho - sigma1**2))


DERIVED = DerivedLoss(
    name="euclidean_stop_target_no_predictor",
    degrees=(0, 0),
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    rates=Expectation(formula=rates),
    vectors=("z1", "t2"),
    drive_on_view1=MatrixExpectation(formula=drive_on_view1),
    exact=ExactSolution(name="exponential", growth=growth, time_to_reach=time_to_reach, any_weight_decay=True),
    independent_modes=True,
)
