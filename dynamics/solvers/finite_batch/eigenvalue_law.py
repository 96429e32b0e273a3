r"""Mean and standard deviation of the eigenvalues of C = W Sigma_x W^T over networks whose weights W fluctuate.

With the mean weights and their covariance, to first order in the covariance:

    E[u . C u] = |X_u|^2 + E[|dX_u|^2],    X = W Sigma_x^(1/2)

along a given vector u, where X_u = u^T X and dX is the fluctuation of X. The eigenvalues of networks are those of the
matrix C, whose off-diagonal entries c_mk repel them:

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
    """Eigenvalues over networks.

    mean: (M,). slopes: derivatives of the eigenvalues with respect to the mean weights, (M, MN). direct: part of the
    mean that is the variance of the weights, (M,). repelled: part that is the repulsion of eigenvalues. separate: False
    if eigenvalues are so close that first order does not suffice for their repulsion.
    """

    mean: FloatArray
    slopes: FloatArray
    direct: FloatArray
    repelled: FloatArray
    separate: bool = True


def along(U: FloatArray, W: FloatArray, covariance: FloatArray, root: FloatArray) -> EigenvalueLaw:
    """Return the law of u_m . C u_m along vectors u_m, columns of U (M, M).

    W: mean weights (M, N). covariance: of their entries, (MN, MN). root: Sigma_x^(1/2), (N, N).
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
    # Eigenvalues of 2 x 2 matrices: c^2/gap to first order, and finite for any gap.
    size = (np.sqrt(gap**2 + 4 * c_square) - np.abs(gap)) / 2
    order = np.sign(np.arange(len(s))[:, None] - np.arange(len(s)))
    repelled = np.where(s > NEGLIGIBLE * s.max(), (order * size).sum(axis=-1), 0.0)  # of collapsed modes: rounding
    return law._replace(mean=law.mean + repelled, repelled=repelled, separate=bool(separate.all()))
