"""Images as checked arrays of their own."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep.images import Images


def some(**changes):
    """Three images for training and two for testing, (2, 3, 1), with labels and a covariance."""
    drawn = np.random.default_rng(0).standard_normal((5, 2, 3, 1))
    given = {"name": "some", "train": drawn[:3], "train_labels": [0, 1, 2], "test": drawn[3:], "test_labels": [1, 0]}
    return Images(**given | {"covariance": np.eye(6)} | changes)


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_arrays_are_kept_as_they_are():
    images, drawn = some(), np.random.default_rng(0).standard_normal((5, 2, 3, 1)).astype(np.float32)
    np.testing.assert_array_equal(images.train, drawn[:3])
    np.testing.assert_array_equal(images.test, drawn[3:])
    assert (images.train_labels.tolist(), images.test_labels.tolist()) == ([0, 1, 2], [1, 0])
    np.testing.assert_array_equal(images.covariance, np.eye(6))
    assert images.shape == (2, 3, 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
def test_pixels_are_single_precision(dtype):
    given = np.arange(12).reshape(2, 2, 3, 1).astype(dtype)
    images = some(train=given, train_labels=[0, 1], test=given)
    assert images.train.dtype == images.test.dtype == np.float32
    np.testing.assert_array_equal(images.train, given)


@pytest.mark.parametrize("name", ["train", "test", "train_labels", "test_labels", "covariance"])
def test_arrays_are_the_images_own(name):
    given = np.array(getattr(some(), name))
    images = some(**{name: given})
    kept = getattr(images, name)
    before = kept.copy()
    given.flat[0] += 1
    np.testing.assert_array_equal(kept, before)
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 0


def test_what_is_not_known_is_none():
    images = some(train_labels=None, test_labels=None, covariance=None)
    assert images.train_labels is images.test_labels is images.covariance is None


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "Images('some', 3 + 2 of shape (2, 3, 1), 3 classes, covariance known)"),
        ({"covariance": None}, "Images('some', 3 + 2 of shape (2, 3, 1), 3 classes)"),
        ({"train_labels": None, "test_labels": None, "covariance": None}, "Images('some', 3 + 2 of shape (2, 3, 1))"),
    ],
    ids=["all", "no covariance", "images alone"],
)
def test_shown_on_a_line(changes, shown):
    assert repr(some(**changes)) == shown


# --- errors ---------------------------------------------------------------------------------------------------------

PIXELS = "be images: real numbers in an array of shape (n, height, width, channels)"
LABELS = "be 3 whole numbers >= 0, one for each image"
COVARIANCE = "be a covariance of shape (N, N): finite, symmetric, positive semidefinite and not zero"
FINITE = "be finite in single precision"
WITH_NAN = np.where(np.arange(12).reshape(2, 2, 3, 1) % 6 == 1, np.nan, 0.5)


def ones(name, shape, dtype=float):
    return lambda: some(**{name: np.ones(shape, dtype)})


# case: (call, argument, what it must be, what it was)
CASES = {
    "name": (lambda: some(name=3), "name", "be text", "is 3"),
    "train of 3 axes": (ones("train", (3, 2, 3)), "train", PIXELS, "is of float64 and shape (3, 2, 3)"),
    "train empty": (ones("train", (0, 2, 3, 1)), "train", PIXELS, "is of float64 and shape (0, 2, 3, 1)"),
    "test without pixels": (ones("test", (2, 2, 0, 1)), "test", PIXELS, "is of float64 and shape (2, 2, 0, 1)"),
    "train complex": (ones("train", (1, 1, 1, 1), complex), "train", PIXELS, "is of complex128 and shape (1, 1, 1, 1)"),
    "train bool": (ones("train", (1, 1, 1, 1), bool), "train", PIXELS, "is of bool and shape (1, 1, 1, 1)"),
    "train None": (lambda: some(train=None), "train", PIXELS, "is of object and shape ()"),
    "train ragged": (lambda: some(train=[[1], [1, 2]]), "train", PIXELS, "is [[1], [1, 2]]"),
    "train nan": (lambda: some(train=WITH_NAN), "train", FINITE, "is nan at index (0, 0, 1, 0)"),
    "test too large for single precision": (
        lambda: some(test=np.full((1, 1, 1, 1), 1e39)),
        "test",
        FINITE,
        "is 1e+39 at index (0, 0, 0, 0)",
    ),
    "test of another shape": (
        ones("test", (2, 3, 2, 1)),
        "test",
        "be images of shape (2, 3, 1), which is the shape of the images in `train`",
        "has images of shape (3, 2, 1)",
    ),
    "labels of one part": (
        lambda: some(test_labels=None),
        "train_labels",
        "be None because `test_labels` is None",
        "is not None",
    ),
    "labels of the other part": (
        lambda: some(train_labels=None),
        "test_labels",
        "be None because `train_labels` is None",
        "is not None",
    ),
    "labels too few": (lambda: some(train_labels=[0, 1]), "train_labels", LABELS, "has shape (2,)"),
    "labels one-hot": (lambda: some(train_labels=np.eye(3, dtype=int)), "train_labels", LABELS, "has shape (3, 3)"),
    "labels fractional": (lambda: some(train_labels=[0.0, 1.0, 2.0]), "train_labels", LABELS, "is [0., 1., 2.]"),
    "labels bool": (lambda: some(train_labels=[True, False, True]), "train_labels", LABELS, "is [ True, False,  True]"),
    "labels negative": (
        lambda: some(test_labels=[0, -1]),
        "test_labels",
        "be 2 whole numbers >= 0, one for each image",
        "is [ 0, -1]",
    ),
    "labels ragged": (lambda: some(train_labels=[0, [1], [2, 3]]), "train_labels", LABELS, "is [0, [1], [2, 3]]"),
    "covariance negative": (lambda: some(covariance=-np.eye(1)), "covariance", COVARIANCE, "is [[-1.]]"),
    "covariance of another size": (
        lambda: some(covariance=np.eye(3)),
        "covariance",
        "be of shape (6, 6) for images of shape (2, 3, 1)",
        "has shape (3, 3)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_error_names_the_argument(case):
    call, name, must, was = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value) == f"Argument `{name}` must {must}, but {was}."
