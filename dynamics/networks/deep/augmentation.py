"""Augment images to random views, by shift, rotation, zoom, change of contrast, and reflection."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from dynamics import errors

# The requirement on each parameter, in words and as a condition on a value that is finite and >= 0.
REQUIREMENTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "shift": ("be a non-negative number of pixels", lambda pixels: True),
    "rotation": ("be a number of degrees from 0 to 180", lambda degrees: degrees <= 180),
    "scale": ("be a number at least 0 and below 1", lambda scale: scale < 1),
    "contrast": ("be a number at least 0 and below 1", lambda contrast: contrast < 1),
}


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation x -> x' + u (x' - mean x') of images x.

    Here x' is the image x after a random zoom, rotation, shift and reflection, and u is a random change of contrast.
    The mean is over all pixels of an image.

    Parameters
    ----------
    shift : float
        Largest shift along each axis, in either direction, in pixels; default 1.
    rotation : float
        Largest rotation about the centre, in either direction, in degrees, at most 180; default 15.
    scale : float
        Largest relative zoom, at least 0 and below 1; default 0.15. Images are zoomed by a factor from 1/(1 + scale) to
        1 + scale, whose logarithm is uniform.
    contrast : float
        Largest |u|, at least 0 and below 1; default 0.3.
    flip : bool
        Swap left and right in half of the views; default False, because digits must not be mirrored.

    Raises
    ------
    ArgumentError
        If a parameter is out of range.

    Notes
    -----
    All random numbers are uniform and independent. Images are interpolated bilinearly between pixels. Beyond the edge
    of an image, its values are those of the nearest pixels at the edge. The defaults suit digits of 8 x 8 pixels.

    Examples
    --------
    >>> import jax
    >>> import dynamics as dyn
    >>> views = dyn.Augmentation(shift=2.0, flip=True)
    >>> views(jax.random.key(0), jax.numpy.ones((5, 8, 8, 1))).shape
    (5, 8, 8, 1)
    """

    shift: float = 1.0
    rotation: float = 15.0
    scale: float = 0.15
    contrast: float = 0.3
    flip: bool = False

    def __post_init__(self) -> None:
        for name, (requirement, accepted) in REQUIREMENTS.items():
            value = getattr(self, name)
            number = errors.non_negative(name, value, requirement)
            if number.ndim or not accepted(number):
                errors.reject(name, requirement, value)
            object.__setattr__(self, name, float(number))
        errors.flag("flip", self.flip)
        object.__setattr__(self, "flip", bool(self.flip))

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Return a random view of each of B images, with the shape (B, H, W, C) and the dtype of the images.

        key: key of JAX's random numbers; the same key gives the same views. This method can be used inside jit and
        vmap. Raises ArgumentError unless ``images`` has four axes and a floating dtype.
        """
        if jnp.ndim(images) != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
            requirement = "be images of shape (B, height, width, channels) of a floating dtype"
            value = f"of {images.dtype} and shape {jnp.shape(images)}"
            raise errors.ArgumentError(f"Argument `images` must {requirement}, but is {value}.")
        return self.drawn(self.draw(key, len(images), images.dtype), images)

    def draw(self, key: jax.Array, number: int, dtype: Any) -> jax.Array:
        """Return the random numbers (6, B) for the views of B images of the given dtype, uniform between -1 and 1."""
        dtype = jnp.promote_types(dtype, jnp.float32)  # half precision is too coarse for positions
        return jax.random.uniform(key, (6, number), dtype, minval=-1, maxval=1)

    def drawn(self, draws: jax.Array, images: jax.Array) -> jax.Array:
        """Return the views of B images (B, H, W, C) for the random numbers (6, B) that ``draw`` returns."""
        dtype = draws.dtype
        down, right = self.shift * draws[:2]
        angle = math.radians(self.rotation) * draws[2]
        zoom = jnp.exp(math.log1p(self.scale) * draws[3])
        mirror = jnp.where(self.flip & (draws[4] < 0), -1, 1).astype(dtype)
        view = jax.vmap(_moved)(images.astype(dtype), down, right, angle, zoom, mirror)
        contrast = self.contrast * draws[5, :, None, None, None]
        view = view + contrast * (view - view.mean((1, 2, 3), keepdims=True))  # no rounding if contrast is 0
        return view.astype(images.dtype)


def _moved(
    image: jax.Array, down: jax.Array, right: jax.Array, angle: jax.Array, zoom: jax.Array, mirror: jax.Array
) -> jax.Array:
    """Return an image (H, W, C) after a reflection (if mirror is -1), a zoom, a clockwise rotation, and a shift.

    down, right: shift in pixels. angle: angle of the rotation in radians. zoom: factor; the image is enlarged if the
    factor is above 1.
    """
    height, width, _ = image.shape
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    row = jnp.arange(height, dtype=image.dtype)[:, None] - middle_row - down
    column = jnp.arange(width, dtype=image.dtype) - middle_column - right
    # Positions in the image from which the pixels of the view are taken, by the inverse operations in reverse order.
    cosine, sine = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    places = [
        cosine * row - sine * column + middle_row,
        mirror * (cosine * column + sine * row) + middle_column,
    ]
    return jax.vmap(lambda channel: map_coordinates(channel, places, order=1, mode="nearest"), -1, -1)(image)
