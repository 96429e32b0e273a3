"""Measurements of a deep network at a record: spectra, alignment, ranks, and accuracies of its representation.

For n images, h (n, H) is the output of the encoder and z (n, M) is the output of the projector; C = E[z z^T].
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
RIDGE = 1.0  # penalty of the linear readout, on standardised features
MEASURED = 5_000  # largest number of training images, and of test images, that are measured
SMALLEST = 1e-12  # a share below this counts as zero
LARGEST = 1e38  # of any number, about that of single precision: the eighth power fits into double precision
SPECTRA = ("s", "target", "predictor", "tracked", "modes")  # set to inf in the record of a network that has diverged

Array = Any  # of JAX, traced or not
Vector = npt.NDArray[np.float64]  # (M,)


class Representations(NamedTuple):
    """Representations of n images without augmentation and noise; batch norm uses the training images' statistics."""

    h: Any  # output of the encoder for training images (n, H)
    h_test: Any  # the same for test images
    z: Any  # output of the projector for training images (n, M)
    target: Any  # z of a separate target branch; None without one
    W_P: Any  # (M, M): learned predictor, or its best linear approximation; None if it is not learned
    tracked: Any  # tracked correlation (M, M); None if it is not tracked
    loss: Any  # sum, or mean, of the losses since the last record
    directions: Any  # eigenvectors (M, M) of the correlation at the start


def represent(spec: DeepSpec, state: TrainingState, train: Array, test: Array) -> Representations:
    """Return the representations of images (n, H, W, C), on the device; ``loss`` is the sum since the last record."""
    network = spec.architecture
    h, z, statistics = network.represent(state.layers.branch, train)
    h_test = network.encode(state.layers.branch, test, statistics)
    target = network.represent(state.target, train)[1] if spec.structure.separate_target else None
    W_P = _matrix(spec, state, z)
    return Representations(h, h_test, z, target, W_P, state.tracked, state.loss, state.directions)


def _matrix(spec: DeepSpec, state: TrainingState, z: Array) -> Array | None:
    """Return W_P of a learned predictor; if it is not linear, the least-squares map from z to its predictions."""
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
    """Measurements of one network at one step.

    The first six are (M,), in ascending order of s, or of s at the start for ``modes``; the others are numbers.
    """

    s: Any  # eigenvalues of C = E[z z^T]
    target: Any  # eigenvalues of the target branch's correlation
    predictor: Any  # u_m . W_P u_m, with the eigenvectors u_m of C
    tracked: Any  # eigenvalues of the tracked correlation; s if there is none
    modes: Any  # u_m . C u_m along the eigenvectors of C at the start
    alignment: Any  # |u_m . W_P u_m|/|W_P u_m|
    loss: Any  # mean since the last record; nan at the first record
    participation_ratio: Any  # (sum s)^2/sum s^2
    rankme: Any  # exp of the entropy of the singular values of z (Garrido et al. 2023)
    channel_std: Any  # sqrt(M) x mean over channels of std(z/|z|): 1 if z is spread evenly, 0 at a point (SimSiam)
    line: Any  # share of the variance of z along its first principal axis: 1 on a line
    linear_accuracy: Any  # test accuracy of a ridge classifier on h; nan without labels
    knn_accuracy: Any  # test accuracy of nearest neighbours in h; nan without labels


def blank(modes: int) -> Record:
    """Return the record of a network that has diverged."""
    values = dict.fromkeys(Record._fields, np.nan) | dict.fromkeys(SPECTRA, np.full(modes, np.inf))
    return Record(**values | {"alignment": np.full(modes, np.nan)})


def measure(spec: DeepSpec, p: Parameters, seen: Representations, images: Images) -> Record:
    """Return the record of one network at one step.

    It is blank if a number is not finite or larger than LARGEST, with which decompositions would fail.
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
    """Return u_m . W_P u_m, and the alignment |u_m . W_P u_m|/|W_P u_m|, of the predictor in use."""
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
    """Return the eigenvalues in ascending order, with negative ones (rounding) set to 0."""
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
    """Return the accuracies of a linear readout and of nearest neighbours for test images.

    The readout is fitted anew at each record, to convergence, so that it does not lag behind training.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    readouts = (
        make_pipeline(StandardScaler(), RidgeClassifier(RIDGE)),
        KNeighborsClassifier(min(NEIGHBOURS, len(h)), algorithm="brute", metric="cosine"),
    )
    labels, labels_test = np.asarray(images.train_labels)[: len(h)], np.asarray(images.test_labels)[: len(h_test)]
    linear, nearest = (float(readout.fit(h, labels).score(h_test, labels_test)) for readout in readouts)
    return linear, nearest
