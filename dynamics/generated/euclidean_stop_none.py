"""Euclidean loss, no stop-gradient.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.derived_loss import DerivedLoss, Expectation, MatrixExpectation, VectorProduct


def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
    """Return the loss of each sample.

    z1, z2: representations of views 1 and 2 by the encoder. t1, t2: representations of views 1 and 2 by the target
    branch. predict: function that applies the predictor W_P, or a function of W_P, to a representation. over_modes:
    function that sums over modes. stop_gradient: function that returns its argument as a constant.
    """
    p1 = predict(z1)
    norm_p1_minus_t2_squared = over_modes((p1 - t2)**2)
    return norm_p1_minus_t2_squared / 2


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on the representation of view 1.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 1 as t1 = ratio * z1.
    """
    return (-lam * z1 + z2) * lam


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on the representation of view 2.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 2 as t2 = ratio * z2.
    """
    return lam * z1 - z2


def force_on_predictor(z1, z2, lam, ratio):
    """Return the force -dL/dlam of each sample on the eigenvalues lam (..., M) of a learned predictor.

    L is the loss of the sample. z1, z2 (..., M): representations of views 1 and 2 by the encoder. ratio (..., M):
    singular values of the target branch divided by those of the encoder.
    """
    return (-lam * z1 + z2) * z1


def rates(s, lam, ratio, excess1, excess2):
    """Return the rate r_m of each mode m: the exact expectation over Gaussian views.

    s, lam: eigenvalues of the correlation and of the predictor. ratio: singular values of the target branch divided by
    those of the encoder. excess1, excess2: variances of the noise on views 1 and 2.
    """
    n1 = excess1 + 1
    n2 = excess2 + 1
    return -n1 * lam**2 - n2 + 2 * lam


def predictor_force(s, lam, ratio, excess1, excess2):
    """Return the force f_m on the predictor eigenvalue of each mode m: the exact expectation over Gaussian views.

    s, lam: eigenvalues of the correlation and of the predictor. ratio: singular values of the target branch divided by
    those of the encoder. excess1, excess2: variances of the noise on views 1 and 2.
    """
    n1 = excess1 + 1
    return (-n1 * lam + 1) * s


def forces(z1, t2, p1):
    """Return the exact expectations E[f l^T] (M, d) over Gaussian views.

    f: the force on p1, t2 (a matrix is returned for each force). l: d independent standard normals. z1, t2, p1 (M, d):
    matrices that map l to the vectors of these names.
    """
    return -p1 + t2, -t2 + p1


def fixed_points(excess1, excess2, rho):
    """Return the predictor eigenvalues of a mode at which its rate equals the weight decay rho.

    The larger eigenvalue is returned first. A value that is nan, or not above zero, is no fixed point.
    """
    xp = excess1.__array_namespace__()
    n1 = excess1 + 1
    n2 = excess2 + 1
    return (
        (xp.sqrt(-excess1 * excess2 - excess1 * rho - excess1 - excess2 - rho) + 1) / n1,
        (n2 + rho) / (xp.sqrt(-excess1 * excess2 - excess1 * rho - excess1 - excess2 - rho) + 1),
    )


def fold(excess1, excess2):
    """Return the weight decay and the predictor eigenvalue at the fold, where two fixed points meet."""
    return -(excess1 * excess2 + excess1 + excess2) / (excess1 + 1), 1 / (excess1 + 1)


DERIVED = DerivedLoss(
    name="euclidean_stop_none",
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    force_on_predictor=force_on_predictor,
    rates=Expectation(formula=rates),
    predictor_force=Expectation(formula=predictor_force),
    vectors=("z1", "t2", "p1"),
    products=(VectorProduct(name="p1", of="z1"),),
    forces=MatrixExpectation(formula=forces, driven=("p1", "t2")),
    balanced=False,
    independent_modes=True,
    fixed_points=fixed_points,
    fold=fold,
)
