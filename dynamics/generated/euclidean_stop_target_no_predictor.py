"""Euclidean loss, stop-gradient on the target, no predictor.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.derived_loss import DerivedLoss, ExactSolution, Expectation, MatrixExpectation


def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
    """Return the loss of each sample.

    z1, z2: representations of views 1 and 2 by the encoder. t1, t2: representations of views 1 and 2 by the target
    branch. predict: function that applies the predictor W_P, or a function of W_P, to a representation. over_modes:
    function that sums over modes. stop_gradient: function that returns its argument as a constant.
    """
    norm_z1_minus_t2_squared = over_modes((-stop_gradient(t2) + z1)**2)
    return norm_z1_minus_t2_squared / 2


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on the representation of view 1.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 1 as t1 = ratio * z1.
    """
    return ratio * z2 - z1


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on the representation of view 2.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 2 as t2 = ratio * z2.
    """
    return 0 * z1


def rates(s, lam, ratio, excess1, excess2):
    """Return the rate r_m of each mode m: the exact expectation over Gaussian views.

    s, lam: eigenvalues of the correlation and of the predictor. ratio: singular values of the target branch divided by
    those of the encoder. excess1, excess2: variances of the noise on views 1 and 2.
    """
    n1 = excess1 + 1
    return -n1 + ratio


def forces(z1, t2):
    """Return the exact expectations E[f l^T] (M, d) over Gaussian views.

    f: the force on z1 (a matrix is returned for each force). l: d independent standard normals. z1, t2 (M, d): matrices
    that map l to the vectors of these names.
    """
    return -z1 + t2


def growth(lam0, log_lam0, t, alpha, excess1, excess2, rho):
    """Return log(s(t)/s(0)) of a correlation eigenvalue s, by the exponential solution.

    lam0, log_lam0: initial eigenvalue of the predictor, and its logarithm. alpha: exponent of the predictor.
    """
    n1 = excess1 + 1
    return 2 * t * (-n1 - rho + 1)


def time_to_reach(log_lam0, log_lam1, alpha, excess1, excess2, rho):
    """Return the time that a predictor eigenvalue takes from lam0 to lam1, which are given by their logarithms.

    The time is negative or nan if the flow does not lead from lam0 to lam1. alpha: exponent of the predictor.
    """
    return (-log_lam0 + log_lam1) / (2 * alpha * (-excess1 - rho))


DERIVED = DerivedLoss(
    name="euclidean_stop_target_no_predictor",
    degrees=(0, 0),
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    rates=Expectation(formula=rates),
    vectors=("z1", "t2"),
    forces=MatrixExpectation(formula=forces, driven=("z1",)),
    exact=ExactSolution(name="exponential", growth=growth, time_to_reach=time_to_reach, any_weight_decay=True),
    independent_modes=True,
)
