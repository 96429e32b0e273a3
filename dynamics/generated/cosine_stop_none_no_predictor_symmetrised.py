"""Cosine loss, no stop-gradient, no predictor, symmetrised.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""

from dynamics.derived_loss import (
    DerivedLoss,
    Expectation,
    Integral,
    MatrixExpectation,
    MatrixIntegral,
    PowerSum,
    Singularity,
)
from dynamics.numerics.special import tilt


def loss(z1, z2, t1, t2, predict, over_modes, stop_gradient):
    """Return the loss of each sample.

    z1, z2: representations of views 1 and 2 by the encoder. t1, t2: representations of views 1 and 2 by the target
    branch. predict: function that applies the predictor W_P, or a function of W_P, to a representation. over_modes:
    function that sums over modes. stop_gradient: function that returns its argument as a constant.
    """
    xp = z1.__array_namespace__()
    norm_t1_squared = over_modes(t1**2)
    t1_dot_z2 = over_modes(t1 * z2)
    norm_t2_squared = over_modes(t2**2)
    t2_dot_z1 = over_modes(t2 * z1)
    norm_z1_squared = over_modes(z1**2)
    norm_z2_squared = over_modes(z2**2)
    return (
        -t1_dot_z2 / (2 * xp.sqrt(norm_t1_squared) * xp.sqrt(norm_z2_squared))
        - t2_dot_z1 / (2 * xp.sqrt(norm_t2_squared) * xp.sqrt(norm_z1_squared))
    )


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on the representation of view 1.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 1 as t1 = ratio * z1.
    """
    xp = z1.__array_namespace__()
    norm_z1_squared = xp.sum(z1**2, axis=-1, keepdims=True)
    z1_dot_z2 = xp.sum(z1 * z2, axis=-1, keepdims=True)
    norm_z2_squared = xp.sum(z2**2, axis=-1, keepdims=True)
    return (-z1 * z1_dot_z2 / norm_z1_squared + z2) / (xp.sqrt(norm_z1_squared) * xp.sqrt(norm_z2_squared))


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on the representation of view 2.

    L is the loss of the sample. The components of the representations belong to the modes, the eigenvectors of the
    correlation. z1, z2 (..., M): representations of views 1 and 2 by the encoder. lam (..., M): eigenvalues of the
    predictor. ratio (..., M): singular values of the target branch divided by those of the encoder, so that the target
    branch represents view 2 as t2 = ratio * z2.
    """
    xp = z1.__array_namespace__()
    norm_z1_squared = xp.sum(z1**2, axis=-1, keepdims=True)
    z1_dot_z2 = xp.sum(z1 * z2, axis=-1, keepdims=True)
    norm_z2_squared = xp.sum(z2**2, axis=-1, keepdims=True)
    return (z1 - z2 * z1_dot_z2 / norm_z2_squared) / (xp.sqrt(norm_z1_squared) * xp.sqrt(norm_z2_squared))


def mean_squares(s, lam, ratio, excess1, excess2):
    """Return the contribution of each mode to the mean square of each norm in a denominator of the loss gradient.

    The mean square of a norm sets the scale of the integration variable that replaces the norm. s, lam: eigenvalues of
    the correlation and of the predictor. ratio: singular values of the target branch divided by those of the encoder.
    excess1, excess2: variances of the noise on views 1 and 2.
    """
    n1 = excess1 + 1
    n2 = excess2 + 1
    return n1 * s, n2 * s


def rates_mean_field(s, lam, ratio, excess1, excess2):
    """Return the rate r_m of each mode m in the mean-field approximation.

    Every norm and every sum over modes is replaced by its mean. s, lam: eigenvalues of the correlation and of the
    predictor. ratio: singular values of the target branch divided by those of the encoder. excess1, excess2: variances
    of the noise on views 1 and 2.
    """
    xp = s.__array_namespace__()
    n1 = excess1 + 1
    n2 = excess2 + 1
    sum_s = xp.sum(s, axis=-1, keepdims=True)
    sum_n1_s = xp.sum(n1 * s, axis=-1, keepdims=True)
    sum_n2_s = xp.sum(n2 * s, axis=-1, keepdims=True)
    return (-n1 * sum_s / sum_n1_s - n2 * sum_s / sum_n2_s + 2) / (xp.sqrt(sum_n1_s) * xp.sqrt(sum_n2_s))


def rates_integrand(x, y, s, lam, ratio, excess1, excess2):
    """Return the integrand of an integral over x, y in (0, oo).

    The integral is a term of the rate r_m of each mode m. s, lam: eigenvalues of the correlation and of the predictor.
    ratio: singular values of the target branch divided by those of the encoder. excess1, excess2: variances of the
    noise on views 1 and 2.
    """
    xp = x.__array_namespace__()
    n1 = excess1 + 1
    n2 = excess2 + 1
    D = excess1 * excess2 + excess1 + excess2
    Delta = 4 * D * s**2 * (x**2 * y**2) + 2 * n1 * s * x**2 + 2 * n2 * s * y**2 + 1
    inverse_Delta = 1 / Delta
    S11 = (2 * D * s * y**2 + n1) * inverse_Delta
    S12 = inverse_Delta
    S22 = (2 * D * s * x**2 + n2) * inverse_Delta
    Z = 1 / (xp.sqrt(xp.prod(Delta, axis=-2, keepdims=True)))
    sum_s_S12 = xp.sum(s * S12, axis=-2, keepdims=True)
    return 8 / xp.pi * Z * (-x**2 * (2 * s * S12 + sum_s_S12) * S11 - y**2 * (2 * s * S12 + sum_s_S12) * S22 + S12)


def forces_integrand_1(x, y, z1, z2, t1, t2):
    """Return the integrands (M, d) of integrals over x, y in (0, oo).

    The integrals are terms of the expectations E[f l^T] over Gaussian views. f: the force on t1, z2 (a matrix is
    returned for each force). l: d independent standard normals. z1, z2, t1, t2 (M, d): matrices that map l to the
    vectors of these names.
    """
    xp = x.__array_namespace__()
    X, Y, K, Z = tilt(x, t1, y, z2)
    return (
        (
            (2 / xp.pi * Z) * (Y @ K)
            - (4 / xp.pi * (Z * x**2)) * (
                (xp.linalg.trace(Y @ X.mT)[..., None, None] * X + X @ X.mT @ Y + X @ Y.mT @ X) @ K
            )
        ),
        (
            (2 / xp.pi * Z) * (X @ K)
            - (4 / xp.pi * (Z * y**2)) * (
                (xp.linalg.trace(Y @ X.mT)[..., None, None] * Y + Y @ X.mT @ Y + Y @ Y.mT @ X) @ K
            )
        ),
    )


def forces_integrand_2(x, y, z1, z2, t1, t2):
    """Return the integrands (M, d) of integrals over x, y in (0, oo).

    The integrals are terms of the expectations E[f l^T] over Gaussian views. f: the force on t2, z1 (a matrix is
    returned for each force). l: d independent standard normals. z1, z2, t1, t2 (M, d): matrices that map l to the
    vectors of these names.
    """
    xp = x.__array_namespace__()
    X, Y, K, Z = tilt(x, t2, y, z1)
    return (
        (
            (2 / xp.pi * Z) * (Y @ K)
            - (4 / xp.pi * (Z * x**2)) * (
                (xp.linalg.trace(Y @ X.mT)[..., None, None] * X + X @ X.mT @ Y + X @ Y.mT @ X) @ K
            )
        ),
        (
            (2 / xp.pi * Z) * (X @ K)
            - (4 / xp.pi * (Z * y**2)) * (
                (xp.linalg.trace(Y @ X.mT)[..., None, None] * Y + Y @ X.mT @ Y + Y @ Y.mT @ X) @ K
            )
        ),
    )


def conserved(s, alpha, epsilon, cross):
    """Return a sum over modes that the flow without weight decay conserves, (..., 1).

    The sum is Sum_j[s[j]/cross[j]]. s: eigenvalues of the correlation. alpha, epsilon: parameters of the predictor (s +
    epsilon)^alpha. cross: second moments that the views share.
    """
    xp = s.__array_namespace__()
    return xp.sum(s / cross, axis=-1, keepdims=True)


def conserved_decay(alpha, rho):
    """Return k >= 0: under weight decay rho, the sum ``conserved`` over modes falls as exp(-k t).

    t is the time of the flow, and alpha is the exponent of the predictor. The formula holds for predictors with epsilon
    = 0.
    """
    return 2 * rho


DERIVED = DerivedLoss(
    name="cosine_stop_none_no_predictor_symmetrised",
    degrees=(-1, 0),
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    rates=Expectation(mean_field=rates_mean_field, integrals=(Integral(mean_squares, rates_integrand),)),
    vectors=("z1", "z2", "t1", "t2"),
    forces=MatrixExpectation(
        integrals=(
            MatrixIntegral(("t1", "z2"), forces_integrand_1, ("t1", "z2")),
            MatrixIntegral(("t2", "z1"), forces_integrand_2, ("t2", "z1")),
        )
    ),
    singularities=(
        Singularity(quantity="weights", at="z1 = 0", noiseless=False, conditions=1, order=-1, order_alone=None),
        Singularity(quantity="weights", at="z2 = 0", noiseless=False, conditions=1, order=-1, order_alone=None),
        Singularity(quantity="weights", at="z1 = z2 = 0", noiseless=False, conditions=2, order=-1, order_alone=None),
    ),
    conserved=PowerSum(
        formula="Sum_j[s[j]]", of_views="Sum_j[s[j]/cross[j]]", exponent=0, value=conserved, decay=conserved_decay
    ),
    independent_modes=False,
)
