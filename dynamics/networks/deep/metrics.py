"""Measure a deep network at a recorded step: spectra, alignment, effective ranks, and accuracies of readouts.

For n images, h (n, H) is the output of the encoder, z (n, M) is the output of the projector, and C = E[z z^T] is the
correlation of z.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters
from dynamics.networks.deep.images import Images
from dynamics.networks.deep.step import DeepSpec, TrainingState, correlation
from dynamics.vector_field.eigenmode_state import closed_form
from dynamics.vector_field.weight_state import closed_form as closed_form_matrix

NEIGHBOURS = 20  # number of nearest neighbours, by cosine similarity, that vote on a label
RIDGE = 1.0  # penalty of the linear readout, which is fitted to standardised features
MEASURED = 5_000  # metrics are computed on at most this number of training images, and of test images
SMALLEST = 1e-12  # normalised singular values below this value count as zero
LARGEST = 1e38  # larger numbers count as diverged; the eighth power of this number fits into double precision
SPECTRA = ("s", "target", "predictor", "tracked", "modes")  # metrics that are inf for a network that has diverged

Array = Any  # an array of JAX, traced or not
Vector = npt.NDArray[np.float64]  # (M,)


class Representations(NamedTuple):
    """The data from which the metrics of a network are computed, such as the representations of n images.

    The images have no augmentation and no noise. Batch norm uses the statistics of the training images.
    """

    h: Any  # output of the encoder for training images (n, H)
    h_test: Any  # output of the encoder for test images (n, H)
    z: Any  # output of the projector for training images (n, M)
    target: Any  # output z of a separate target branch (n, M); None if there is no separate target
    W_P: Any  # learned predictor (M, M), or its best linear approximation; None if the predictor is not learned
    tracked: Any  # tracked correlation (M, M); None if the model tracks no correlation
    loss: Any  # sum, or mean, of the losses of all steps since the preceding record
    directions: Any  # eigenvectors (M, M) of the correlation at step 0


def represent(spec: DeepSpec, state: TrainingState, train: Array, test: Array) -> Representations:
    """Return the data from which the metrics are computed, for training and test images (n, H, W, C).

    The data are computed on the device. The field ``loss`` of the result is the sum of the losses of all steps since
    the preceding record.
    """
    network = spec.architecture
    h, z, statistics = network.represent(state.layers.branch, train)
    h_test = network.encode(state.layers.branch, test, statistics)
    target = network.represent(state.target, train)[1] if spec.structure.separate_target else None
    W_P = _matrix(spec, state, z)
    return Representations(h, h_test, z, target, W_P, state.tracked, state.loss, state.directions)


def _matrix(spec: DeepSpec, state: TrainingState, z: Array) -> Array | None:
    """Return the matrix W_P of a learned predictor; return None if the predictor is not learned.

    For a predictor with hidden layers, W_P is the linear map that approximates the predictions by least squares.
    """
    if spec.structure.predictor != "learned":
        return None
    if not spec.shape.predictor:
        return spec.architecture.predict(state.layers.predictor, jnp.eye(z.shape[1], dtype=z.dtype)).T
    predicted = spec.architecture.predict(state.layers.predictor, z)
    C = correlation(z)
    finite = jnp.isfinite(C).all()
    inverse = jnp.linalg.pinv(jnp.where(finite, C, jnp.eye(len(C), dtype=C.dtype)), rtol=1e-5, hermitian=True)
    return jnp.where(finite, (predicted.T @ z / len(z)) @ inverse, jnp.nan)


class Record(NamedTuple):
    """Metrics of one deep network at one recorded step.

    u_m are the eigenvectors of the correlation C = E[z z^T] at the recorded step. The first six fields have the shape
    (M,). The entries of ``modes`` are in ascending order of the eigenvalues s at step 0; the entries of the other five
    fields are in ascending order of s at the recorded step. All other fields are numbers.
    """

    s: Any  # eigenvalues of C
    target: Any  # eigenvalues of the correlation of the target branch
    predictor: Any  # u_m . W_P u_m of the predictor W_P
    tracked: Any  # eigenvalues of the tracked correlation; equal to s if the model tracks no correlation
    modes: Any  # variances u . C u along the eigenvectors u of C at step 0
    alignment: Any  # |u_m . W_P u_m|/|W_P u_m|, which is 1 if u_m is also an eigenvector of W_P
    loss: Any  # mean of the training loss over all steps since the preceding record; nan at step 0
    participation_ratio: Any  # (sum s)^2/sum s^2, an effective number of modes
    rankme: Any  # exp of the entropy of the normalised singular values of z (Garrido et al. 2023)
    channel_std: Any  # sqrt(M) x mean over channels of std(z/|z|): 1 if z is spread evenly, 0 at a point (SimSiam)
    line: Any  # fraction of the variance of z along its first principal axis; 1 if z lies on a line
    linear_accuracy: Any  # test accuracy of a ridge classifier on h; nan if images have no labels
    knn_accuracy: Any  # test accuracy of nearest neighbours in h; nan if images have no labels


def blank(modes: int) -> Record:
    """Return the metrics of a network that has diverged: spectra are inf, and all other metrics are nan."""
    values = dict.fromkeys(Record._fields, np.nan) | dict.fromkeys(SPECTRA, np.full(modes, np.inf))
    return Record(**values | {"alignment": np.full(modes, np.nan)})


def measure(spec: DeepSpec, p: Parameters, seen: Representations, images: Images) -> Record:
    """Return the metrics of one network at one step.

    seen: data of the network, such as its representations. If a number in ``seen`` is not finite or exceeds LARGEST,
    matrix decompositions would fail; then the network counts as diverged, and the metrics are those of ``blank``.
    """
    modes = seen.z.shape[1]
    if not all((np.abs(a) <= LARGEST).all() for a in seen if a is not None):  # False for nan as well
        return blank(modes)
    h, h_test, z = (np.asarray(a, float) for a in (seen.h, seen.h_test, seen.z))
    target, W_P, tracked = (None if a is None else np.asarray(a, float) for a in (seen.target, seen.W_P, seen.tracked))
    C = correlation(z)
    s, U = np.linalg.eigh(C)
    s = np.maximum(s, 0.0)
    along, alignment = _predictor(spec, p, s, U, tracked, W_P)
    return Record(
        s,
        s if target is None else _eigenvalues(correlation(target)),
        along,
        s if tracked is None else _eigenvalues(tracked),
        np.einsum("im,ij,jm->m", seen.directions, C, seen.directions),
        alignment,
        float(seen.loss),
        _ratio(s.sum() ** 2, (s**2).sum()),
        _rankme(np.sqrt(s)),
        np.sqrt(modes) * (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), np.finfo(float).tiny)).std(0).mean(),
        _line(z),
        *(_accuracies(h, h_test, images) if images.train_labels is not None else (np.nan, np.nan)),
    )


def _predictor(
    spec: DeepSpec,
    p: Parameters,
    s: Vector,
    U: npt.NDArray[np.float64],
    tracked: npt.NDArray[np.float64] | None,
    W_P: npt.NDArray[np.float64] | None,
) -> tuple[Vector, Vector]:
    """Return two arrays (M,): u_m . W_P u_m for the predictor W_P, and the alignment |u_m . W_P u_m|/|W_P u_m|.

    s, U: eigenvalues and eigenvectors u_m of the correlation. tracked: tracked correlation; None if the model has none.
    W_P: matrix of a learned predictor; None if the predictor is not learned.
    """
    if spec.structure.predictor == "none":
        return np.ones_like(s), np.ones_like(s)
    if W_P is None and spec.structure.predictor == "normalized" and not np.any(s if tracked is None else tracked):
        return np.full_like(s, np.nan), np.full_like(s, np.nan)  # normalization would divide by zero
    if W_P is None and tracked is None:
        return closed_form(spec.structure, p, s), np.ones_like(s)
    W_P = closed_form_matrix(spec.structure, p, tracked) if W_P is None else W_P
    turned = W_P @ U
    along = (U * turned).sum(axis=0)
    return along, np.abs(along) / np.maximum(np.linalg.norm(turned, axis=0), np.finfo(float).tiny)


def _eigenvalues(C: npt.NDArray[np.float64]) -> Vector:
    """Return the eigenvalues of a correlation in ascending order; rounding errors below 0 are set to 0."""
    return np.maximum(np.linalg.eigvalsh(C), 0.0)


def _rankme(singular: Vector) -> float:
    share = singular / max(singular.sum(), np.finfo(float).tiny)
    return float(np.exp(-(share * np.log(np.maximum(share, SMALLEST))).sum()))


def _line(z: npt.NDArray[np.float64]) -> float:
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(z.T)))
    return _ratio(variances[-1], variances.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0


def _accuracies(h: npt.NDArray[np.float64], h_test: npt.NDArray[np.float64], images: Images) -> tuple[float, float]:
    """Return the accuracies, on test images, of a linear readout of h and of nearest neighbours in h.

    A new readout is fitted to convergence at each recorded step, so that readouts do not lag behind training.
    """
    from sklearn.neighbors import KNeighborsClassifier

    labels, labels_test = np.asarray(images.train_labels)[: len(h)], np.asarray(images.test_labels)[: len(h_test)]
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(h)), algorithm="brute", metric="cosine")
    linear = float((linear_readout(h, labels, h_test) == labels_test).mean())
    return linear, float(neighbours.fit(h, labels).score(h_test, labels_test))


def linear_readout(
    h: npt.NDArray[np.float64], labels: npt.NDArray[Any], h_test: npt.NDArray[np.float64]
) -> npt.NDArray[Any]:
    """Return the labels that ridge regression predicts for test images with the features ``h_test``.

    The regression is fitted to the standardised features h (n, H) and the labels (n,) of training images.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifier(RIDGE)).fit(h, labels).predict(h_test)
