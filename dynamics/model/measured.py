"""Measure the second moments of two views from samples, batch by batch."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.numerics.context import jax_settings

FloatArray = npt.NDArray[np.float64]

PAIR = "be samples (B, N) of the online view and as many of the target view, as finite numbers"
ROWS = 16_384  # samples of an array that are processed at once


class Moments(NamedTuple):
    """Second moments E[x1 x1^T], E[x2 x1^T] and E[x2 x2^T] (N, N) of two views, and how they were measured.

    number: number of samples. standard_errors: standard errors of the three matrices, for independent samples. samples:
    the samples (B, N) of both views, if they are kept. All three are None for moments that were given.
    """

    online: FloatArray
    cross: FloatArray
    target: FloatArray
    number: int | None = None
    standard_errors: tuple[FloatArray, ...] | None = None
    samples: tuple[FloatArray, FloatArray] | None = None


def measured_moments(x1: Any, x2: Any, draws: int | None, center: bool) -> Moments:
    """Return the second moments of samples; the arguments are those of ``Views.measured``.

    Raises ArgumentError if an argument is not valid.
    """
    errors.flag("center", center)
    if draws is not None and not callable(x1):
        errors.reject("draws", "be left out unless `x1` is a function that draws batches", draws)
    if x2 is None:
        return _moments(_batches(x1, draws), center)
    first, second = _checked(x1, x2)
    if center:
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    rows = range(0, len(first), ROWS)
    moments = _moments(((first[i : i + ROWS], second[i : i + ROWS]) for i in rows), False)
    return moments._replace(samples=(first, second))


def augmented(images: npt.ArrayLike, augmentation: Any, draws: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Return an iterator over batches; each batch has a pair of random views of all images, as arrays (B, N).

    The arguments are those of ``Views.of_images``. Raises ArgumentError if an argument is not valid.
    """
    requirement = "be finite images of shape (B, H, W, C) or (B, H, W)"
    pixels = errors.real_array("images", images, requirement)
    if pixels.ndim not in (3, 4) or not pixels.size:
        errors.reject("images", requirement, pixels)
    if not callable(augmentation):
        errors.reject(
            "augmentation", "be a function of a random key and of images, such as an Augmentation", augmentation
        )
    draws, seed = errors.count("draws", draws), errors.count("seed", seed, 0)
    return _augmented(pixels if pixels.ndim == 4 else pixels[..., None], augmentation, draws, seed)


def _augmented(pixels: FloatArray, augmentation: Any, draws: int, seed: int) -> Iterator[tuple[Any, Any]]:
    import jax

    for number in range(draws):
        with jax_settings(True):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), number))
            views = [np.asarray(augmentation(key, jax.numpy.asarray(pixels)), float) for key in keys]
        yield views[0].reshape(len(pixels), -1), views[1].reshape(len(pixels), -1)


def _batches(x1: Any, draws: int | None) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Return an iterator over validated batches (x1, x2); x1: iterable of batches, or function of a batch's number."""
    if callable(x1):
        if draws is None:
            errors.reject("draws", "be the number of batches to draw, because `x1` is a function", draws)
        draw: Callable[[int], Any] = x1
        batches: Iterable[Any] = map(draw, range(errors.count("draws", draws)))
    elif isinstance(x1, Iterable) and not hasattr(x1, "__array__"):
        batches = x1
    else:
        errors.reject("x2", "be given with samples `x1`, because the moments of both views are measured together", None)
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            errors.reject("x1", "yield pairs (x1, x2) of samples of both views", batch)
        yield _checked(*batch)


def _checked(x1: Any, x2: Any) -> tuple[FloatArray, FloatArray]:
    first, second = errors.real_array("x1", x1, PAIR), errors.real_array("x2", x2, PAIR)
    if first.ndim != 2 or first.shape != second.shape or not first.size:
        raise errors.ArgumentError(
            f"Arguments `x1` and `x2` must {PAIR}, but have the shapes {first.shape} and {second.shape}."
        )
    return first, second


def _moments(batches: Iterable[tuple[FloatArray, FloatArray]], center: bool) -> Moments:
    """Return the moments of batches of samples.

    With ``center``, the mean of the first batch is subtracted from all samples. The means that remain are small, and
    are subtracted at the end, without cancellation.
    """
    number, inputs, origins, totals = 0, 0, (np.zeros(1), np.zeros(1)), [np.zeros(1)] * 8
    for x1, x2 in batches:
        if not number:
            inputs = x1.shape[1]
            origins = (x1.mean(axis=0), x2.mean(axis=0)) if center else origins
        if x1.shape[1] != inputs:
            requirement = f"yield samples of one number of inputs, which is {inputs} in the first batch"
            errors.reject("x1", requirement, x1)
        sums = _sums(x1 - origins[0], x2 - origins[1])
        totals = [total + part for total, part in zip(totals, sums, strict=True)]
        number += len(x1)
    if number < 2:
        errors.reject("x1", "have at least two samples, because the moments need standard errors", number)
    mean1, mean2, *products = (total / number for total in totals)
    means, squares = products[:3], products[3:]
    spreads = (np.maximum(square - mean**2, 0.0) for mean, square in zip(means, squares, strict=True))
    standard_errors = tuple(np.sqrt(spread / (number - 1)) for spread in spreads)
    if center:
        pairs = ((mean1, mean1), (mean2, mean1), (mean2, mean2))
        means = [mean - np.outer(a, b) for mean, (a, b) in zip(means, pairs, strict=True)]
    online, cross, target = means
    return Moments(online, cross, target, number, standard_errors)


def _sums(x1: FloatArray, x2: FloatArray) -> list[FloatArray]:
    """Return sums over samples: of both views, of their three products, and of the squares of these products."""
    y1, y2 = x1**2, x2**2
    return [x1.sum(axis=0), x2.sum(axis=0), x1.T @ x1, x2.T @ x1, x2.T @ x2, y1.T @ y1, y2.T @ y1, y2.T @ y2]
