r"""Compute mean and derivatives of the eigenvalues of C = W Sigma_x W^T over networks whose weights W fluctuate.

X = W Sigma_x^(1/2) belongs to the mean weights, and dX is the fluctuation of X over networks. Along a given vector u,
with X_u = u^T X, the mean over networks is, to first order in the covariance of the weights,

    E[u . C u] = |X_u|^2 + E[|dX_u|^2]

The eigenvalues s_m of a network are not u_m . C u_m along the eigenvectors u_m of the mean: the off-diagonal entries
c_mk of C in the basis u_m repel the eigenvalues:

    E[s_m] = E[u_m . C u_m] + sum over k of E[c_mk^2]/(s_m - s_k)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.numerics.axes import NEGLIGIBLE
from dynamics.solvers.finite_batch.expansion import variances

FloatArray = npt.NDArray[np.float64]

SEPARATE = 4.0  # gap between eigenvalues that are separate, in standard deviations


class EigenvalueLaw(NamedTuple):
    """Mean and derivatives of eigenvalues, or of u_m . C u_m, over networks.

    mean: mean over networks, (M,). slopes: derivatives with respect to the mean weights, (M, MN). direct: part of
    ``mean`` that is due to the variance of the weights, (M,). repelled: part of ``mean`` that is due to the repulsion
    of eigenvalues, (M,). separate: False if eigenvalues are so close that first order does not suffice for their
    repulsion.
    """

    mean: FloatArray
    slopes: FloatArray
    direct: FloatArray
    repelled: FloatArray
    separate: bool = True


def along(U: FloatArray, W: FloatArray, covariance: FloatArray, root: FloatArray) -> EigenvalueLaw:
    """Return the law of u_m . C u_m along the vectors u_m, the columns of U (M, M).

    W: mean weights (M, N). covariance: covariance of the entries of the weights, (MN, MN). root: Sigma_x^(1/2), (N, N).
    """
    X = U.T @ W @ root
    entries = np.einsum("im,nj->mjin", U, root).reshape(X.size, W.size)  # derivatives of the entries of X
    direct = variances(entries, covariance).reshape(X.shape).sum(axis=-1)
    slopes = 2 * np.einsum("im,mn->min", U, X @ root).reshape(len(X), -1)
    return EigenvalueLaw((X**2).sum(axis=-1) + direct, slopes, direct, np.zeros(len(X)))


def of_eigenvalues(W: FloatArray, covariance: FloatArray, root: FloatArray) -> EigenvalueLaw:
    """Return the law of the eigenvalues in ascending order; the arguments are those of ``along``."""
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
    repelled = np.where(s > NEGLIGIBLE * s.max(), (order * size).sum(axis=-1), 0.0)  # for collapsed modes only rounding
    return law._replace(mean=law.mean + repelled, repelled=repelled, separate=bool(separate.all()))
