"""Draw random views of Gaussian inputs on JAX's device, with normal numbers by the Box-Muller method."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Coefficients of polynomials in (2t)^2 for cos(2 pi t) and sin(2 pi t)/t, |t| <= 1/2. They are Chebyshev series with an
# error of 4e-8, which is below the rounding error of float32.
COSINE = (0.999999992, -4.93480139, 4.05869826, -1.33517447, 0.235063399, -0.0253911401, 0.00160537379)
SINE = (6.28318530, -10.3354252, 5.10032217, -1.19849147, 0.164178132, -0.0145643733, 0.000795459617)

Array = Any  # an array of JAX, traced or not


def gaussian_views(
    key: Array,
    sigmas: tuple[Array, Array],
    noisy: tuple[bool, bool],
    root: Array | None,
    shape: tuple[int, ...],
    dtype: str,
) -> list[Array]:
    """Return two views x + sigma_i xi_i (N, B) of B random inputs x ~ N(0, Sigma_x), with white noise xi_i.

    shape: (N, B), for N inputs. sigmas: standard deviations sigma_1 and sigma_2 of the noise. noisy: for each view,
    True to add noise, False to draw no noise. root: Sigma_x^(1/2), or None for white inputs.
    """
    white, *noise = normals(key, 1 + sum(noisy), shape, dtype)
    x = white if root is None else root @ white
    return [x + sigma * noise.pop() if has_noise else x for sigma, has_noise in zip(sigmas, noisy, strict=True)]


def views_of_moments(
    key: Array, excess: tuple[Array, Array], cross: Array, shape: tuple[int, ...], dtype: str
) -> list[Array]:
    """Return two views (N, B) of B random inputs, whose second moments differ between the inputs.

    shape: (N, B), for N inputs. cross: second moments c (N,) that the views share. excess: n1/c - 1 and n2/c - 1, each
    (N,), where n1 and n2 are the second moments of the views; one of the two may be negative.
    """
    first, second = normals(key, 2, shape, dtype)
    (e1, e2), c = (a[:, None] for a in excess), cross[:, None]
    scale = jnp.sqrt(1 + e1)
    rest = jnp.sqrt(jnp.maximum(e1 * e2 + e1 + e2, 0)) / scale
    return [jnp.sqrt(c) * scale * first, jnp.sqrt(c) * (first / scale + rest * second)]


def normals(key: Array, count: int, shape: tuple[int, ...], dtype: str) -> list[Array]:
    """Draw ``count`` arrays of independent standard normals by the Box-Muller method.

    The method yields normals in pairs, and takes far less time than jax.random.normal.
    """
    drawn: list[Array] = []
    for pair in range((count + 1) // 2):
        uniform, turn = _uniform_and_turn(jax.random.fold_in(key, pair), shape, dtype)
        radius = jnp.sqrt(-2 * jnp.log(uniform))
        drawn += [radius * coordinate for coordinate in on_circle(turn)]
    return drawn[:count]


def _uniform_and_turn(key: Array, shape: tuple[int, ...], dtype: str) -> tuple[Array, Array]:
    """Draw two uniform numbers for the Box-Muller method: one in (0, 1), and one in (-1/2, 1/2).

    The first number gives the radius, and the second number is the angle divided by 2 pi. In float32 both numbers are
    taken from one word of 32 bits: 22 bits for the radius, and 10 bits for the angle. With the resulting 1024 equally
    spaced angles, all moments of the normals up to the order 1000 are the same as with uniform angles.
    """
    if dtype != "float32":
        uniform, turn = jax.random.uniform(key, (2, *shape), dtype)
        return 1 - uniform, turn - 0.5
    # The barrier prevents XLA from drawing the bits again for each use.
    bits = jax.lax.optimization_barrier(jax.random.bits(key, shape, jnp.uint32))
    uniform = ((bits >> 10).astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2**-22)
    turn = ((bits & 1023).astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2**-10) - 0.5
    return uniform, turn


def on_circle(turn: Array) -> tuple[Array, Array]:
    """Return cos(2 pi turn) and sin(2 pi turn) for |turn| <= 1/2; in float32, fast polynomials are used."""
    if turn.dtype != jnp.float32:
        return jnp.cos(2 * np.pi * turn), jnp.sin(2 * np.pi * turn)
    square = (2 * turn) ** 2
    return _polynomial(COSINE, square), turn * _polynomial(SINE, square)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Return the value of a polynomial at x, by Horner's scheme. coefficients: in ascending order of the powers."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + jnp.asarray(coefficient, x.dtype)
    return total
