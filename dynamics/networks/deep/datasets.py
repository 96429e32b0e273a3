"""Images to learn from: handwritten digits, CIFAR-10 from a local folder, and Gaussian images of a known spectrum."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynamics import errors

CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
CIFAR_SHAPE = (3, 32, 32)  # colours red, green, blue; rows; columns
CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the pixels


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Images for training and testing, with or without labels.

    name: of the data set. train: images (n, height, width, channels), kept as float32; test: others of that shape.
    train_labels, test_labels: whole numbers >= 0, one an image, (n,); both None where there are none.
    covariance: (N, N) of the inputs, N = height * width * channels in this order; None (default): not known.
    What ``Model(inputs=...)`` takes. Arrays are copied, and cannot be changed. Raises ArgumentError.
    """

    name: str
    train: np.ndarray
    train_labels: np.ndarray | None
    test: np.ndarray
    test_labels: np.ndarray | None
    covariance: np.ndarray | None = None

    def __post_init__(self):
        errors.instance("name", self.name, str, "be text")
        for part in ("train", "test"):
            self._keep(part, _pixels(part, getattr(self, part)))
        if self.test.shape[1:] != self.shape:
            must = f"be images of shape {self.shape} as `train` is"
            raise errors.ArgumentError(f"Argument `test` must {must}, but theirs is {self.test.shape[1:]}.")
        if (self.train_labels is None) != (self.test_labels is None):
            alone = "test_labels" if self.train_labels is None else "train_labels"
            raise errors.ArgumentError(f"Argument `{alone}` must be None where the other labels are, but is not.")
        if self.train_labels is not None:
            self._keep("train_labels", _labels("train_labels", self.train_labels, len(self.train)))
            self._keep("test_labels", _labels("test_labels", self.test_labels, len(self.test)))
        if self.covariance is not None:
            self._keep("covariance", self._own_covariance())

    def _keep(self, name: str, array: np.ndarray) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _own_covariance(self) -> np.ndarray:
        covariance, N = errors.covariance("covariance", self.covariance), int(np.prod(self.shape))
        if len(covariance) != N:
            must = f"be of shape ({N}, {N}) for images of shape {self.shape}"
            raise errors.ArgumentError(f"Argument `covariance` must {must}, but has shape {covariance.shape}.")
        return covariance

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        _, height, width, channels = self.train.shape
        return height, width, channels

    def __repr__(self):
        parts = [f"{self.name!r}", f"{len(self.train)} + {len(self.test)} of shape {self.shape}"]
        if self.train_labels is not None:
            parts.append(f"{len(np.unique(self.train_labels))} classes")
        if self.covariance is not None:
            parts.append("covariance known")
        return f"Images({', '.join(parts)})"


def digits(test=360, seed=0) -> Images:
    """Handwritten digits, 1797 images (8, 8, 1) in 10 classes, split at random.

    test: how many are for testing; default 360. seed: of the split, default 0.
    Pixels have mean 0 and variance 1 over the training part. Raises ArgumentError.
    (Alpaydin & Kaynak 1998, UCI's optical recognition of handwritten digits, the copy in scikit-learn.)
    """
    errors.require_extra("deep", "sklearn")
    from sklearn.datasets import load_digits

    test, seed = errors.count("test", test), errors.count("seed", seed, 0)
    data = load_digits()
    if test >= len(data.target):
        errors.reject("test", f"be less than {len(data.target)}, which is all there are", test)
    order = np.random.default_rng(seed).permutation(len(data.target))
    pixels, labels = data.images[order, ..., None], data.target[order]
    return Images("digits", *_standardised(pixels[test:], labels[test:], pixels[:test], labels[:test]))


def cifar10(folder) -> Images:
    """CIFAR-10, images (32, 32, 3) in 10 classes, from a folder with its binary version.

    folder: has data_batch_1.bin to data_batch_5.bin and test_batch.bin, as cifar-10-binary.tar.gz unpacks to. A file is
    records of 3073 bytes, any number of them: a label below 10, then 1024 bytes of red, of green and of blue, by rows.
    Each colour has mean 0 and variance 1 over the training part. Raises ArgumentError. (Krizhevsky 2009.)
    """
    if not isinstance(folder, (str, Path)) or not Path(folder).is_dir():
        errors.reject("folder", "be a folder with the binary version of CIFAR-10", folder)
    folder = Path(folder)
    missing = [name for name in (*CIFAR_TRAIN, *CIFAR_TEST) if not (folder / name).is_file()]
    if missing:
        _reject_folder(folder, f"lacks {', '.join(missing)}")
    train = [_cifar_records(folder / name) for name in CIFAR_TRAIN]
    test = [_cifar_records(folder / name) for name in CIFAR_TEST]
    parts = *_cifar_images(np.concatenate(train)), *_cifar_images(np.concatenate(test))
    for colour, pixels in zip(("red", "green", "blue"), np.moveaxis(parts[0], -1, 0), strict=True):
        if pixels.min() == pixels.max():
            _reject_folder(folder, f"has the same {colour} in all pixels for training")
    return Images("cifar10", *_standardised(*parts))


def gaussian_images(side=8, exponent=1.0, train=2000, test=500, seed=0) -> Images:
    """Gaussian images (side, side, 1) of mean 0, whose covariance has eigenvalues ~ k^-exponent, k = 1 ... side^2.

    Its eigenvectors are the 2-D discrete cosines (orthonormal DCT-II) of i and j half periods along the axes, in
    ascending order of i^2 + j^2, ties by i. The mean variance of a pixel is 1; ``covariance`` is the population's.
    side: pixels, default 8. exponent: >= 0, default 1; 0 is white. train, test: how many images, 2000 and 500.
    seed: default 0. Raises ArgumentError.
    """
    side, train, test = (errors.count(n, value) for n, value in (("side", side), ("train", train), ("test", test)))
    exponent, seed = errors.real_number("exponent", exponent), errors.count("seed", seed, 0)
    if exponent < 0:
        errors.reject("exponent", "be a non-negative number", exponent)
    variances, basis = _spectrum(side, exponent), np.kron(_cosines(side), _cosines(side))
    normals = np.random.default_rng(seed).standard_normal((train + test, side**2))
    images = ((normals * np.sqrt(variances)) @ basis).reshape(-1, side, side, 1)
    return Images("gaussian", images[:train], None, images[train:], None, (basis.T * variances) @ basis)


# --- the discrete cosines -------------------------------------------------------------------------------------------


def _cosines(side: int) -> np.ndarray:
    """The orthonormal DCT-II (side, side): row i has i half periods."""
    pixels, frequencies = np.arange(side) + 0.5, np.arange(side)
    rows = np.sqrt(2 / side) * np.cos(np.pi / side * np.outer(frequencies, pixels))
    rows[0] = 1 / np.sqrt(side)
    return rows


def _spectrum(side: int, exponent: float) -> np.ndarray:
    """Variances (side^2,) of the cosines, in the order of the rows of their Kronecker product."""
    squares = np.arange(side) ** 2
    rank = np.empty(side**2)
    rank[np.argsort(np.add.outer(squares, squares), axis=None, kind="stable")] = np.arange(1, side**2 + 1)
    variances = rank**-exponent
    return variances / variances.mean()


# --- files of CIFAR-10 ----------------------------------------------------------------------------------------------


def _reject_folder(folder: Path, what: str):
    must = "be a folder with the binary version of CIFAR-10"
    raise errors.ArgumentError(f"Argument `folder` must {must}, but {folder} {what}.")


def _cifar_records(path: Path) -> np.ndarray:
    """Records (n, 3073), a byte each."""
    content = np.fromfile(path, np.uint8)
    if not content.size or content.size % CIFAR_RECORD:
        _reject_folder(path.parent, f"has {path.name} of {content.size} bytes, not records of {CIFAR_RECORD}")
    records = content.reshape(-1, CIFAR_RECORD)
    wrong = np.flatnonzero(records[:, 0] >= 10)
    if wrong.size:
        where = f"in record {wrong[0]} of {path.name}, counted from 0"
        _reject_folder(path.parent, f"has label {records[wrong[0], 0]} {where}, and labels are below 10")
    return records


def _cifar_images(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 32, 32, 3) and labels (n,)."""
    return np.moveaxis(records[:, 1:].reshape(-1, *CIFAR_SHAPE), 1, -1), records[:, 0]


# --- what arrays go through -----------------------------------------------------------------------------------------


def _standardised(train: np.ndarray, train_labels, test: np.ndarray, test_labels) -> tuple:
    """Mean 0 and variance 1 of each channel over the training part; what ``Images`` takes, labels passed on."""
    train, test = train.astype(np.float32), test.astype(np.float32)
    pixels = (0, 1, 2)
    mean = train.mean(pixels, dtype=float)
    deviation = np.sqrt(np.square(train - mean.astype(np.float32)).mean(pixels, dtype=float))
    for part in (train, test):
        part -= mean
        part /= deviation
    return train, train_labels, test, test_labels


def _pixels(name: str, value) -> np.ndarray:
    """A float32 copy (n, height, width, channels) of what must be finite real numbers."""
    must = "be images of shape (n, height, width, channels), real numbers"
    array = _array(name, value, must)
    if array.dtype.kind not in "iuf" or array.ndim != 4 or not array.size:
        raise errors.ArgumentError(f"Argument `{name}` must {must}, but is of {array.dtype} and shape {array.shape}.")
    with np.errstate(over="ignore"):  # what does not fit into float32 is infinite, and refused
        pixels = np.array(array, np.float32, order="C")
    finite = np.isfinite(pixels)
    if not finite.all():
        first = tuple(map(int, np.argwhere(~finite)[0]))
        raise errors.ArgumentError(
            f"Argument `{name}` must be finite in single precision, but holds {array[first]} at {first}."
        )
    return pixels


def _labels(name: str, value, number: int) -> np.ndarray:
    """A copy (number,) of what must be whole numbers >= 0."""
    must = f"be whole numbers >= 0, one for each of {number} images"
    array = _array(name, value, must)
    if array.shape != (number,):
        raise errors.ArgumentError(f"Argument `{name}` must {must}, but has shape {array.shape}.")
    if array.dtype.kind not in "iu" or (array < 0).any():
        errors.reject(name, must, array)
    return array.astype(np.int64)


def _array(name: str, value, must: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # lists of different lengths
        errors.reject(name, must, value)
