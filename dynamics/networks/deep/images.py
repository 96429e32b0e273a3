"""Hold images for training and testing, as validated, read-only arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.values import Value
from dynamics.presentation.card import card


@dataclass(frozen=True, repr=False, eq=False)
class Images(Value):
    """Images for training and testing, with or without labels.

    Parameters
    ----------
    name : str
        Name of the data set.
    train, test : array_like of shape (n, height, width, channels)
        Images, all of the same shape; they are stored as float32.
    train_labels, test_labels : array_like of int of shape (n,), or None
        Labels >= 0, one for each image; both are None if there are no labels.
    covariance : array_like of shape (N, N), optional
        Covariance of the N = height * width * channels values of an image, in the order in which ``ravel`` returns
        them; it can be passed to ``Model(inputs=...)``. None (default) if the covariance is not known.

    Raises
    ------
    ArgumentError
        If shapes do not fit together, or if a value is not allowed.

    Notes
    -----
    Arrays are copied, and the copies are read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import dynamics as dyn
    >>> pixels = np.random.default_rng(0).standard_normal((6, 4, 4, 1))
    >>> dyn.Images("random", pixels[:4], None, pixels[4:], None)
    Images('random', 4 + 2 of shape (4, 4, 1))
    """

    name: str
    train: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64] | None
    test: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64] | None
    covariance: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        errors.instance("name", self.name, str, "be text")
        for part in ("train", "test"):
            self._keep(part, _pixels(part, getattr(self, part)))
        if self.test.shape[1:] != self.shape:
            requirement = f"be images of shape {self.shape}, which is the shape of the images in `train`"
            raise errors.ArgumentError(
                f"Argument `test` must {requirement}, but has images of shape {self.test.shape[1:]}."
            )
        if (self.train_labels is None) != (self.test_labels is None):
            given, missing = "train_labels", "test_labels"
            if self.train_labels is None:
                given, missing = missing, given
            raise errors.ArgumentError(f"Argument `{given}` must be None because `{missing}` is None, but is not None.")
        if self.train_labels is not None:
            for name, images in (("train_labels", self.train), ("test_labels", self.test)):
                self._keep(name, _labels(name, getattr(self, name), len(images)))
        if self.covariance is not None:
            self._keep("covariance", self._checked_covariance())

    def _keep(self, name: str, array: npt.NDArray[Any]) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _checked_covariance(self) -> npt.NDArray[np.float64]:
        covariance, N = errors.covariance("covariance", self.covariance), int(np.prod(self.shape))
        if len(covariance) != N:
            requirement = f"be of shape ({N}, {N}) for images of shape {self.shape}"
            raise errors.ArgumentError(f"Argument `covariance` must {requirement}, but has shape {covariance.shape}.")
        return covariance

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (height, width, channels) of an image."""
        _, height, width, channels = self.train.shape
        return height, width, channels

    def _repr_html_(self) -> str:
        facts = [("training images", str(len(self.train))), ("test images", str(len(self.test)))]
        facts.append(("height, width, channels", ", ".join(map(str, self.shape))))
        facts += [] if self.train_labels is None else [("classes", str(len(np.unique(self.train_labels))))]
        facts += [] if self.covariance is None else [("covariance", "known")]
        return card(f"Images {self.name}", facts)

    def __repr__(self) -> str:
        parts = [f"{self.name!r}", f"{len(self.train)} + {len(self.test)} of shape {self.shape}"]
        if self.train_labels is not None:
            parts.append(f"{len(np.unique(self.train_labels))} classes")
        if self.covariance is not None:
            parts.append("covariance known")
        return f"Images({', '.join(parts)})"


def _pixels(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return a float32 copy of images (n, H, W, C); raises ArgumentError unless all pixels are finite real numbers."""
    requirement = "be images: real numbers in an array of shape (n, height, width, channels)"
    array = errors.as_array(name, value, requirement)
    if array.dtype.kind not in "iuf" or array.ndim != 4 or not array.size:
        raise errors.ArgumentError(
            f"Argument `{name}` must {requirement}, but is of {array.dtype} and shape {array.shape}."
        )
    with np.errstate(over="ignore"):  # numbers too large for float32 become infinite, and are refused
        pixels = np.array(array, np.float32, order="C")
    finite = np.isfinite(pixels)
    if not finite.all():
        first = tuple(map(int, np.argwhere(~finite)[0]))
        raise errors.ArgumentError(
            f"Argument `{name}` must be finite in single precision, but is {array[first]} at index {first}."
        )
    return pixels


def _labels(name: str, value: npt.ArrayLike, number: int) -> npt.NDArray[np.int64]:
    """Return a copy of the labels of ``number`` images; raises ArgumentError unless they are whole numbers >= 0."""
    requirement = f"be {number} whole numbers >= 0, one for each image"
    array = errors.as_array(name, value, requirement)
    if array.shape != (number,):
        raise errors.ArgumentError(f"Argument `{name}` must {requirement}, but has shape {array.shape}.")
    if array.dtype.kind not in "iu" or (array < 0).any():
        errors.reject(name, requirement, array)
    return array.astype(np.int64)
