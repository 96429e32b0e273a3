"""Load or generate images: digits, CIFAR-10 from a local folder, and Gaussian images with a power-law spectrum."""

import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.networks.deep.images import Images
from dynamics.numerics.context import isolated
from dynamics.numerics.memory import check_size

CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
CIFAR_SHAPE = (3, 32, 32)  # numbers of colours (red, green, blue), rows and columns
CIFAR_RECORD = 1 + 3 * 32 * 32  # number of bytes of a record, which is a label and then the pixels


@isolated
def digits(test: int = 360, seed: int = 0) -> Images:
    """Return 1797 images (8, 8, 1) of handwritten digits in 10 classes, split at random for training and testing.

    Parameters
    ----------
    test : int
        Number of images for testing; default 360.
    seed : int
        Seed of the random split; default 0.

    Returns
    -------
    Images
        The images; all pixels of all training images together have mean 0 and variance 1.

    Raises
    ------
    ArgumentError
        If ``test`` leaves no image for training, or if an argument is no whole number in its range.

    References
    ----------
    Alpaydin & Kaynak 1998, Optical recognition of handwritten digits, UCI repository. The images are the copy in
    scikit-learn.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.digits()
    Images('digits', 1437 + 360 of shape (8, 8, 1), 10 classes)
    """
    errors.require_extra("deep", "sklearn")
    from sklearn.datasets import load_digits

    test, seed = errors.count("test", test), errors.count("seed", seed, 0)
    data = load_digits()
    if test >= len(data.target):
        errors.reject("test", f"be below {len(data.target)}, the number of all images", test)
    order = np.random.default_rng(seed).permutation(len(data.target))
    pixels, labels = data.images[order, ..., None], data.target[order]
    return Images("digits", *_standardised(pixels[test:], labels[test:], pixels[:test], labels[:test]))


@isolated
def cifar10(folder: str | Path) -> Images:
    """Return the images (32, 32, 3) of CIFAR-10, in 10 classes, read from a folder with the binary version of the data.

    Parameters
    ----------
    folder : str or Path
        Folder with the files data_batch_1.bin to data_batch_5.bin and test_batch.bin from cifar-10-binary.tar.gz.

    Returns
    -------
    Images
        The images; each colour has mean 0 and variance 1 over all training images.

    Raises
    ------
    ArgumentError
        If a file is missing or has another format (see Notes).

    Notes
    -----
    A file consists of records of 3073 bytes. A record is a label below 10, then 1024 bytes of red, 1024 of green and
    1024 of blue; the pixels of a colour are ordered by rows. Nothing is downloaded.

    References
    ----------
    Krizhevsky 2009, Learning multiple layers of features from tiny images.

    Examples
    --------
    >>> import dynamics as dyn
    >>> images = dyn.cifar10("cifar-10-batches-bin")  # doctest: +SKIP
    """
    requirement = "be a folder with the binary version of CIFAR-10"
    folder = errors.path("folder", folder, requirement)
    if not os.path.isdir(folder):
        errors.reject("folder", requirement, str(folder))
    missing = [name for name in (*CIFAR_TRAIN, *CIFAR_TEST) if not (folder / name).is_file()]
    if missing:
        _reject_folder(folder, f"lacks {', '.join(missing)}")
    train = [_cifar_records(folder / name) for name in CIFAR_TRAIN]
    test = [_cifar_records(folder / name) for name in CIFAR_TEST]
    parts = *_cifar_images(np.concatenate(train)), *_cifar_images(np.concatenate(test))
    for colour, pixels in zip(("red", "green", "blue"), np.moveaxis(parts[0], -1, 0), strict=True):
        if pixels.min() == pixels.max():
            _reject_folder(folder, f"has training images in which all pixels have the same value of {colour}")
    return Images("cifar10", *_standardised(*parts))


@isolated
def gaussian_images(side: int = 8, exponent: float = 1.0, train: int = 2000, test: int = 500, seed: int = 0) -> Images:
    """Return Gaussian images (side, side, 1) with mean 0, whose covariance has eigenvalues proportional to k^-exponent.

    The eigenvalues are numbered from k = 1 to side^2.

    Parameters
    ----------
    side : int
        Height and width in pixels; default 8.
    exponent : float
        Exponent of the power law, at least 0; default 1. Exponent 0 gives white noise.
    train, test : int
        Numbers of images for training and for testing; default 2000 and 500.
    seed : int
        Seed of the images; default 0.

    Returns
    -------
    Images
        Images without labels. ``covariance`` is the covariance of the distribution; its diagonal has the mean 1.

    Raises
    ------
    ArgumentError
        If a number is out of range.

    Notes
    -----
    The eigenvectors of the covariance are the 2-D discrete cosines (orthonormal DCT-II) with i and j half periods along
    the two axes. The cosines are numbered in ascending order of i^2 + j^2. Cosines with equal i^2 + j^2 are numbered in
    ascending order of i.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.gaussian_images(side=4, train=100, test=50)
    Images('gaussian', 100 + 50 of shape (4, 4, 1), covariance known)
    """
    side, train, test = (errors.count(n, value) for n, value in (("side", side), ("train", train), ("test", test)))
    exponent, seed = errors.real_number("exponent", exponent), errors.count("seed", seed, 0)
    if exponent < 0:
        errors.reject("exponent", "be a non-negative number", exponent)
    pixels = side**2
    size = 3 * pixels**2 + 3 * (train + test) * pixels
    check_size(
        f"{train + test:,} images of {pixels:,} pixels, and their covariance,", size, "Use fewer or smaller images."
    )
    variances, basis = _spectrum(side, exponent), np.kron(_cosines(side), _cosines(side))
    normals = np.random.default_rng(seed).standard_normal((train + test, side**2))
    images = ((normals * np.sqrt(variances)) @ basis).reshape(-1, side, side, 1)
    return Images("gaussian", images[:train], None, images[train:], None, (basis.T * variances) @ basis)


# --- the discrete cosines -------------------------------------------------------------------------------------------


def _cosines(side: int) -> npt.NDArray[np.float64]:
    """Return the matrix (side, side) of the orthonormal discrete cosine transform; row i has i half periods."""
    pixels, frequencies = np.arange(side) + 0.5, np.arange(side)
    rows = np.sqrt(2 / side) * np.cos(np.pi / side * np.outer(frequencies, pixels))
    rows[0] = 1 / np.sqrt(side)
    return rows


def _spectrum(side: int, exponent: float) -> npt.NDArray[np.float64]:
    """Return the variances (side^2,) of Gaussian images along all 2-D cosines; the mean of the variances is 1.

    A 2-D cosine is the product of a vertical cosine with i half periods and a horizontal cosine with j half periods.
    The variance along this 2-D cosine has the index side i + j in the result, and is proportional to k^-exponent. Here
    k = 1, 2, ... is the position of the 2-D cosine if all 2-D cosines are sorted by i^2 + j^2 in ascending order.
    """
    squares = np.arange(side) ** 2
    rank = np.empty(side**2)
    rank[np.argsort(np.add.outer(squares, squares), axis=None, kind="stable")] = np.arange(1, side**2 + 1)
    variances = rank**-exponent
    return variances / variances.mean()


# --- files of CIFAR-10 ----------------------------------------------------------------------------------------------


def _reject_folder(folder: Path, problem: str) -> NoReturn:
    requirement = "be a folder with the binary version of CIFAR-10"
    raise errors.ArgumentError(f"Argument `folder` must {requirement}, but {folder} {problem}.")


def _cifar_records(path: Path) -> npt.NDArray[np.uint8]:
    """Return the records of a CIFAR-10 file as bytes (n, 3073); raises ArgumentError if the format is wrong."""
    content = np.fromfile(path, np.uint8)
    if not content.size or content.size % CIFAR_RECORD:
        _reject_folder(
            path.parent,
            f"contains {path.name} with {content.size} bytes, which is not a positive multiple of the {CIFAR_RECORD} "
            "bytes of a record",
        )
    records = content.reshape(-1, CIFAR_RECORD)
    wrong = np.flatnonzero(records[:, 0] >= 10)
    if wrong.size:
        where = f"in record {wrong[0]} of {path.name}, counted from 0"
        _reject_folder(path.parent, f"has the label {records[wrong[0], 0]} {where}, but labels must be below 10")
    return records


def _cifar_images(records: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the pixels (n, 32, 32, 3) and labels (n,) in records of CIFAR-10."""
    return np.moveaxis(records[:, 1:].reshape(-1, *CIFAR_SHAPE), 1, -1), records[:, 0]


def _standardised(
    train: npt.NDArray[Any], train_labels: npt.NDArray[Any], test: npt.NDArray[Any], test_labels: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], ...]:
    """Return images and labels; each colour channel is scaled to mean 0 and variance 1 over the training images.

    The result has the order of the arguments: training images, training labels, test images, test labels.
    """
    train, test = train.astype(np.float32), test.astype(np.float32)
    pixels = (0, 1, 2)
    mean = train.mean(pixels, dtype=float)
    deviation = np.sqrt(np.square(train - mean.astype(np.float32)).mean(pixels, dtype=float))
    for part in (train, test):
        part -= mean
        part /= deviation
    return train, train_labels, test, test_labels
