"""Euclidean loss, isotropic, symmetrised.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.derived_loss import DerivedLoss, ExactSolution, Expectation, MatrixExpectation, VectorProduct
from dynamics.numerics.special import linear_growth, linear_time


def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
    """Return the loss of each sample.

    z1, z2: representations of views 1 and 2 by the encoder. t1, t2: representations of views 1 and 2 by the target
    branch. predict: function that applies the predictor W_P, or a function of W_P, to a representation. over_modes:
    function that sums over modes. stop_gradient: function that returns its argument as a constant.
    """
    p1 = predict(z1)
    p2 = predict(z2)
    norm_p1_minus_t2_squared = over_modes((-stop_gradient(-p1 + t2 + z1) + z1)**2)
    norm_p2_minus_t1_squared = over_modes((-stop_gradient(-p2 + t1 + z2) + z2)**2)
    return norm_p1_minus_t2_squared / 4 + norm_p2_minus_t1_squared / 4


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on the representation of view 1.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 1 as t1 = ratio * z1.
    """
    return (-lam * z1 + ratio * z2) / 2


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on the representation of view 2.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 2 as t2 = ratio * z2.
    """
    return (-lam * z2 + ratio * z1) / 2


def rates(s, lam, ratio, excess1, excess2):
    """Return the rate r_m of each mode m: the exact expectation over Gaussian views.

    s, lam: eigenvalues of the correlation and of the predictor. ratio: singular values of the target branch divided by
    those of the encoder. excess1, excess2: variances of the noise on views 1 and 2.
    """
    n1 = excess1 + 1
    n2 = excess2 + 1
    return -n1 * lam / 2 - n2 * lam / 2 + ratio


def forces(z1, z2, t1, t2, p1, p2):
    """Return the exact expectations E[f l^T] (M, d) over Gaussian views.

    f: the force on z1, z2 (a matrix is returned for each force). l: d independent standard normals. z1, z2, t1, t2, p1,
    p2 (M, d): matrices that map l to the vectors of these names.
    """
    return -(1 / 2) * p1 + (1 / 2) * t2, -(1 / 2) * p2 + (1 / 2) * t1


def growth(lam0, log_lam0, t, alpha, excess1, excess2, rho):
    """Return log(s(t)/s(0)) of a correlation eigenvalue s, by the logistic solution.

    lam0, log_lam0: initial eigenvalue of the predictor, and its logarithm. alpha: exponent of the predictor.
    """
    return -linear_growth(-log_lam0, excess1 / 2 + excess2 / 2 + 1, rho - 1, 2 * alpha * t) / alpha


def time_to_reach(log_lam0, log_lam1, alpha, excess1, excess2, rho):
    """Return the time that a predictor eigenvalue takes from lam0 to lam1, which are given by their logarithms.

    The time is negative or nan if the flow does not lead from lam0 to lam1. alpha: exponent of the predictor.
    """
    return linear_time(-log_lam0, -log_lam1, excess1 / 2 + excess2 / 2 + 1, rho - 1) / (2 * alpha)


def fixed_points(excess1, excess2, rho):
    """Return the predictor eigenvalues of a mode at which its rate equals the weight decay rho.

    The larger eigenvalue is returned first. A value that is nan, or not above zero, is no fixed point.
    """
    n1 = excess1 + 1
    n2 = excess2 + 1
    return -2 * (rho - 1) / (n1 + n2)


DERIVED = DerivedLoss(
    name="euclidean_isotropic_symmetrised",
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    rates=Expectation(formula=rates),
    vectors=("z1", "z2", "t1", "t2", "p1", "p2"),
    products=(VectorProduct(name="p1", of="z1"), VectorProduct(name="p2", of="z2")),
    forces=MatrixExpectation(formula=forces, driven=("z1", "z2")),
    exact=ExactSolution(name="logistic", growth=growth, time_to_reach=time_to_reach, any_weight_decay=True),
    independent_modes=True,
    fixed_points=fixed_points,
)
