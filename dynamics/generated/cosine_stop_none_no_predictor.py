"""Cosine loss, no stop-gradient, no predictor.

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
    """Return the loss of each sample; predict: applies W_P or a function of W_P; over_modes: sums over modes."""
    xp = z1.__array_namespace__()
    norm_t2_squared = over_modes(t2**2)
    t2_dot_z1 = over_modes(t2 * z1)
    norm_z1_squared = over_modes(z1**2)
    return -t2_dot_z1 / (xp.sqrt(norm_t2_squared) * xp.sqrt(norm_z1_squared))


def force_on_view1(z1, z2, lam, ratio):
    """Return the force g = -dL/dz1 - dL/dt1 of each sample on view 1, in the eigenbasis.

    L is the loss of the sample. View 1 is represented as z1 by the encoder, and as t1 = ratio z1
    by the target branch. The eigenbasis consists of the eigenvectors of the correlation.
    """
    xp = z1.__array_namespace__()
    norm_z1_squared = xp.sum(z1**2, axis=-1, keepdims=True)
    z1_dot_z2 = xp.sum(z1 * z2, axis=-1, keepdims=True)
    norm_z2_squared = xp.sum(z2**2, axis=-1, keepdims=True)
    return (-z1 * z1_dot_z2 / norm_z1_squared + z2) / (xp.sqrt(norm_z1_squared) * xp.sqrt(norm_z2_squared))


def force_on_view2(z1, z2, lam, ratio):
    """Return the force h = -dL/dz2 - dL/dt2 of each sample on view 2, in the eigenbasis.

    L is the loss of the sample. View 2 is represented as z2 by the encoder, and as t2 = ratio z2
    by the target branch. The eigenbasis consists of the eigenvectors of the correlation.
    """
    xp = z1.__array_namespace__()
    norm_z1_squared = xp.sum(z1**2, axis=-1, keepdims=True)
    z1_dot_z2 = xp.sum(z1 * z2, axis=-1, keepdims=True)
    norm_z2_squared = xp.sum(z2**2, axis=-1, keepdims=True)
    return (z1 - z2 * z1_dot_z2 / norm_z2_squared) / (xp.sqrt(norm_z1_squared) * xp.sqrt(norm_z2_squared))


def mean_squares(s, lam, ratio, sigma1, sigma2):
    """Return the contribution of each mode to the mean square of each norm.

    The mean square of a norm sets the scale of the integration variable that replaces the norm.
    """
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    return n1 * s, n2 * s


def rates_mean_field(s, lam, ratio, sigma1, sigma2):
    """Return the rate r_m of a mode in mean field: every norm and sum is replaced by its mean."""
    return 0


def rates_integrand(x, y, s, lam, ratio, sigma1, sigma2):
    """Return an integrand of the rate r_m of a mode; the integral is over x, y in (0, oo)."""
    xp = x.__array_namespace__()
    n1 = sigma1**2 + 1
    n2 = sigma2**2 + 1
    D = sigma1**2 * sigma2**2 + sigma1**2 + sigma2**2
    Delta = 4 * D * s**2 * (x**2 * y**2) + 2 * n1 * s * x**2 + 2 * n2 * s * y**2 + 1
    inverse_Delta = 1 / Delta
    S11 = (2 * D * s * y**2 + n1) * inverse_Delta
    S12 = inverse_Delta
    S22 = (2 * D * s * x**2 + n2) * inverse_Delta
    Z = 1 / (xp.sqrt(xp.prod(Delta, axis=-2, keepdims=True)))
    sum_s_S12 = xp.sum(s * S12, axis=-2, keepdims=True)
    return 8 / xp.pi * Z * (-x**2 * (2 * s * S12 + sum_s_S12) * S11 - y**2 * (2 * s * S12 + sum_s_S12) * S22 + S12)


def norm_vectors(W_P, z1, t2):
    """Return the matrix X of each norm ||X l||, where l are independent normals.

    The squared singular values of X set the scale of the integration variable that replaces the norm.
    """
    return z1, t2


def drive_on_view1_integrand(x, y, W_P, z1, t2):
    """Return an integrand over x, y in (0, oo) of E[g l^T] (M, d); g: force on view 1, l (d,): independent normals."""
    xp = x.__array_namespace__()
    X, Y, K, Z = tilt(x, z1, y, t2)
    return (
        (4 / xp.pi * Z) * (Y @ K)
        - (8 / xp.pi * (Z * x**2)) * (
            (xp.linalg.trace(X @ Y.mT)[..., None, None] * X + X @ X.mT @ Y + X @ Y.mT @ X) @ K
        )
    )


def drive_on_view2_integrand(x, y, W_P, z1, t2):
    """Return an integrand over x, y in (0, oo) of E[h l^T] (M, d); h: force on view 2, l (d,): independent normals."""
    xp = x.__array_namespace__()
    X, Y, K, Z = tilt(x, z1, y, t2)
    return (
        (4 / xp.pi * Z) * (X @ K)
        - (8 / xp.pi * (Z * y**2)) * (
            (xp.linalg.trace(X @ Y.mT)[..., None, None] * Y + Y @ X.mT @ Y + Y @ Y.mT @ X) @ K
        )
    )


def conserved(s, alpha, epsilon):
    """Return the conserved sum over modes, Sum_j[s[j]], in shape (..., 1)."""
    xp = s.__array_namespace__()
    return xp.sum(s, axis=-1, keepdims=True)


def conserved_decay(alpha, rho):
    """Return the decay rate of the conserved sum over modes under weight decay rho; epsilon must be 0."""
    return 2 * rho


DERIVED = DerivedLoss(
    name="cosine_stop_none_no_predictor",
    degrees=(-1, 0),
    loss=loss,
    force_on_view1=force_on_view1,
    force_on_view2=force_on_view2,
    rates=Expectation(mean_field=rates_mean_field, integrals=(Integral(mean_squares, rates_integrand),)),
    vectors=("z1", "t2"),
    drive_on_view1=MatrixExpectation(integrals=(MatrixIntegral(norm_vectors, drive_on_view1_integrand),)),
    drive_on_view2=MatrixExpectation(integrals=(MatrixIntegral(norm_vectors, drive_on_view2_integrand),)),
    singularities=(
        Singularity(quantity="weights", at="z1 = 0", noiseless=False, conditions=1, order=-1, order_alone=None),
        Singularity(quantity="weights", at="z2 = 0", noiseless=False, conditions=1, order=-1, order_alone=None),
        Singularity(quantity="weights", at="z1 = z2 = 0", noiseless=False, conditions=2, order=-1, order_alone=None),
    ),
    conserved=PowerSum(formula="Sum_j[s[j]]", exponent=0, value=conserved, decay=conserved_decay),
    independent_modes=False,
)
