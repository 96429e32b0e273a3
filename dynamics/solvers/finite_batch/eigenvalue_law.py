r"""Compute mean and derivatives of the eigenvalues of C = W Sigma_x W^T over networks whose weights W fluctuate.

Sigma_x is the covariance of the inputs. The weights of a network are W = W0 + dW, with the mean weights W0 and a
fluctuation dW. Let X = W0 Sigma_x^(1/2) and dX = dW Sigma_x^(1/2). For a fixed vector u, the mean of u . C u over
networks is, with X_u = u^T X and dX_u = u^T dX,

    E[u . C u] = |X_u|^2 + E[|dX_u|^2]

Let u_m now be the eigenvectors of C at the mean weights W0. The eigenvalues s_m of C in a network differ from
u_m . C u_m, because C has off-diagonal entries c_mk = u_m . C u_k, which repel the eigenvalues. To first order in the
covariance of the weights,

    E[s_m] = E[u_m . C u_m] + sum over k != m of E[c_mk^2]/(s_m - s_k)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.solvers.finite_batch.expansion import variances

FloatArray = npt.NDArray[np.float64]

SEPARATE = 4.0  # smallest gap, in standard deviations, between eigenvalues that count as separate


class EigenvalueLaw(NamedTuple):
    """Mean over networks, and derivatives, of M quantities: the eigenvalues of C, or u_m . C u_m for fixed vectors u_m.

    C = W Sigma_x W^T is the correlation of a network with weights W, and Sigma_x is the covariance of the inputs. mean:
    mean of the quantities over networks, (M,). slopes: derivatives of the quantities with respect to the mean weights,
    (M, MN). direct: part of ``mean`` that the variance of the weights adds, (M,). repelled: part of ``mean`` that the
    repulsion of eigenvalues adds, (M,); zero for u_m . C u_m. separate: False if eigenvalues are so close that their
    repulsion cannot be computed to first order in the covariance of the weights.
    """

    mean: FloatArray
    slopes: FloatArray
    direct: FloatArray
    repelled: FloatArray
    separate: bool = True


def along(U: FloatArray, W: FloatArray, covariance: FloatArray, root: FloatArray) -> EigenvalueLaw:
    """Return the mean over networks of u_m . C u_m, and its derivatives with respect to the mean weights.

    C is the correlation of a network, and u_m are the columns of U (M, M). W: mean weights over networks, (M, N).
    covariance: covariance of the entries of the weights over networks, (MN, MN). root: square root of the covariance of
    the inputs, (N, N).
    """
    X = U.T @ W @ root
    entries = np.einsum("im,nj->mjin", U, root).reshape(X.size, W.size)  # derivatives of the entries of X
    direct = variances(entries, covariance).reshape(X.shape).sum(axis=-1)
    slopes = 2 * np.einsum("im,mn->min", U, X @ root).reshape(len(X), -1)
    return EigenvalueLaw((X**2).sum(axis=-1) + direct, slopes, direct, np.zeros(len(X)))


def of_eigenvalues(W: FloatArray, covariance: FloatArray, root: FloatArray) -> EigenvalueLaw:
    """Return the mean over networks of the eigenvalues of C, and their derivatives with respect to the mean weights.

    C is the correlation of a network. The eigenvalues are in ascending order. W: mean weights over networks, (M, N).
    covariance: covariance of the entries of the weights over networks, (MN, MN). root: square root of the covariance of
    the inputs, (N, N).
    """
    U, w, _ = np.linalg.svd(W @ root, full_matrices=False)
    U, s = U[:, ::-1], w[::-1] ** 2
    law = along(U, W, covariance, root)
    products = np.einsum("im,kn->mkin", U, U.T @ W @ root @ root)
    off_diagonal = (products + products.swapaxes(0, 1)).reshape(len(s), len(s), -1)  # derivatives of c_mk
    gap, c_square = s[:, None] - s, variances(off_diagonal, covariance)
    of_gap = variances(law.slopes[:, None] - law.slopes, covariance)
    separate = np.abs(gap) >= SEPARATE * np.sqrt(np.maximum(c_square, of_gap))
    np.fill_diagonal(separate, True)
    # The repulsion in a 2 x 2 matrix: c^2/gap to first order, and finite for any gap.
    size = (np.sqrt(gap**2 + 4 * c_square) - np.abs(gap)) / 2
    order = np.sign(np.arange(len(s))[:, None] - np.arange(len(s)))
    # For collapsed modes, the sum would consist of rounding errors.
    repelled = np.where(s > NEGLIGIBLE * s.max(), (order * size).sum(axis=-1), 0.0)
    return law._replace(mean=law.mean + repelled, repelled=repelled, separate=bool(separate.all()))
