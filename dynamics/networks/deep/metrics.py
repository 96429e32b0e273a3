"""What is measured of a deep network at a record: spectra, alignment, ranks, and how well its representation reads."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from dynamics.model.parameters import Parameters
from dynamics.networks.deep.datasets import Images
from dynamics.networks.deep.step import DeepSpec, TrainingState, correlation
from dynamics.vector_field.eigenmode_state import closed_form
from dynamics.vector_field.weight_state import closed_form as closed_form_matrix

NEIGHBOURS = 20  # that vote on a label, by cosine similarity
RIDGE = 1.0  # penalty of the linear readout, on standardised features
MEASURED = 5_000  # images, at most, of each part
SMALLEST = 1e-12  # share of a variance that counts as none
LARGEST = 1e38  # of any number, as in single precision: eighth powers fit into double precision


class Representations(NamedTuple):
    """Of all images, without augmentation and noise; batch norm with the statistics of those for state."""

    h: Any  # the encoder's, for training (n, H)
    h_test: Any
    z: Any  # (n, M)
    target: Any  # z of a target of its own, else None
    W_P: Any  # (M, M): a learned predictor, or the linear map nearest to it, else None
    tracked: Any  # the tracked correlation (M, M), else None
    loss: Any  # mean since the last record
    directions: Any  # eigenvectors (M, M) of the correlation at the start


def represent(spec: DeepSpec, state: TrainingState, train, test) -> Representations:
    """Of images (n, height, width, channels), on the device; with ``loss`` as it was summed."""
    own = spec.architecture
    h, z, statistics = own.represent(state.layers.branch, train)
    h_test = own.encode(state.layers.branch, test, statistics)
    target = own.represent(state.target, train)[1] if spec.structure.separate_target else None
    W_P = _matrix(spec, state, z)
    return Representations(h, h_test, z, target, W_P, state.tracked, state.loss, state.directions)


def _matrix(spec: DeepSpec, state: TrainingState, z):
    """W_P of a learned predictor; of one that is not linear, by least squares from z to what it predicts."""
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
    """What is kept of one network at one step; the first six (M,), in ascending order of s, now or at the start."""

    s: Any  # eigenvalues of C = E[z z^T]
    target: Any  # those of the target
    predictor: Any  # u_m . W_P u_m, u_m the eigenvectors of C
    tracked: Any  # eigenvalues of the tracked correlation, of C where there is none
    modes: Any  # u_m . C u_m along the eigenvectors of C at the start
    alignment: Any  # |u_m . W_P u_m|/|W_P u_m|
    loss: Any  # mean since the last record; not a number at the first one
    participation_ratio: Any  # (sum s)^2/sum s^2
    rankme: Any  # exp of the entropy of the singular values of z (Garrido et al. 2023)
    channel_std: Any  # sqrt(M) x mean deviation of a channel of z/|z|: 1 where spread, 0 where a point (SimSiam)
    line: Any  # share of the variance of z that lies along its first principal axis: 1 where a line
    linear_accuracy: Any  # of a ridge classifier on h, on the images for testing; not a number without labels
    knn_accuracy: Any  # of the nearest neighbours among the images for training


def blank(modes: int) -> Record:
    """Of a network that has left the finite world."""
    vectors = dict.fromkeys(("s", "target", "predictor", "tracked", "modes"), np.inf) | {"alignment": np.nan}
    return Record(**{name: np.full(modes, vectors[name]) if name in vectors else np.nan for name in Record._fields})


def measure(spec: DeepSpec, p: Parameters, found: Representations, images: Images) -> Record:
    """One network at one step. Decompositions never see what is not finite, or would not be when squared."""
    modes = found.z.shape[1]
    if not all((np.abs(a) <= LARGEST).all() for a in found if a is not None):  # nor what is not a number
        return blank(modes)
    h, h_test, z, loss = (np.asarray(a, float) for a in (found.h, found.h_test, found.z, found.loss))
    target, W_P, tracked = (
        None if a is None else np.asarray(a, float) for a in (found.target, found.W_P, found.tracked)
    )
    C = correlation(z)
    s, U = np.linalg.eigh(C)
    s = np.maximum(s, 0.0)
    along, alignment = _predictor(spec, p, s, U, tracked, W_P)
    return Record(
        s,
        s if target is None else _eigenvalues(correlation(target)),
        along,
        s if tracked is None else _eigenvalues(tracked),
        np.einsum("im,ij,jm->m", found.directions, C, found.directions),
        alignment,
        float(loss),
        _ratio(s.sum() ** 2, (s**2).sum()),
        _rankme(np.sqrt(s)),
        np.sqrt(modes) * (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), np.finfo(float).tiny)).std(0).mean(),
        _line(z),
        *(_accuracies(h, h_test, images) if images.train_labels is not None else (np.nan, np.nan)),
    )


def _predictor(spec: DeepSpec, p: Parameters, s, U, tracked, W_P) -> tuple:
    """u_m . W_P u_m and alignment of the predictor in use."""
    if spec.structure.predictor == "none":
        return np.ones_like(s), np.ones_like(s)
    if W_P is None and spec.structure.predictor == "normalized" and not np.any(s if tracked is None else tracked):
        return np.full_like(s, np.nan), np.full_like(s, np.nan)  # nothing to be normalized by
    if W_P is None and tracked is None:
        return closed_form(spec.structure, p, s), np.ones_like(s)
    W_P = closed_form_matrix(spec.structure, p, tracked) if W_P is None else W_P
    turned = W_P @ U
    along = (U * turned).sum(axis=0)
    return along, np.abs(along) / np.maximum(np.linalg.norm(turned, axis=0), np.finfo(float).tiny)


def _eigenvalues(C) -> np.ndarray:
    """Ascending, and none negative."""
    return np.maximum(np.linalg.eigvalsh(C), 0.0)


def _rankme(singular) -> float:
    share = singular / max(singular.sum(), np.finfo(float).tiny)
    return float(np.exp(-(share * np.log(np.maximum(share, SMALLEST))).sum()))


def _line(z) -> float:
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(z.T)))
    return _ratio(variances[-1], variances.sum())


def _ratio(part, whole) -> float:
    return float(part / whole) if whole > 0 else 1.0


def _accuracies(h, h_test, images: Images) -> tuple[float, float]:
    """Linear readout and nearest neighbours, on the images for testing.

    The readout is fitted anew at each record, to its end: it knows no learning rate, and does not lag.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    near = min(NEIGHBOURS, len(h))
    readouts = (
        make_pipeline(StandardScaler(), RidgeClassifier(RIDGE)),
        KNeighborsClassifier(near, algorithm="brute", metric="cosine"),
    )
    labels, labels_test = np.asarray(images.train_labels)[: len(h)], np.asarray(images.test_labels)[: len(h_test)]
    linear, nearest = (float(readout.fit(h, labels).score(h_test, labels_test)) for readout in readouts)
    return linear, nearest
