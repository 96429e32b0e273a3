"""Views of images: the warp against SciPy's, and how what is drawn is distributed, read off images of coordinates."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import dynamics as dyn
from dynamics.networks.deep import augmentation as views
from dynamics.networks.deep.augmentation import Augmentation
from tests.marks import parametrize

NOTHING = Augmentation(shift=0, rotation=0, scale=0, contrast=0)
KEY = jax.random.key(7)
ROUNDING = 16 * 2.0**-23  # of places up to 8 pixels, times differences of neighbours of order 1


def pictures(batch=6, height=8, width=8, channels=1, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((batch, height, width, channels)), jnp.float32)


def moved(image, down=0.0, right=0.0, degrees=0.0, zoom=1.0, mirror=1.0):
    return np.asarray(views._moved(image, down, right, np.deg2rad(degrees), zoom, mirror))


# --- the warp -------------------------------------------------------------------------------------------------------


def test_a_shift_by_whole_pixels_is_exact_and_repeats_the_edge():
    image = pictures(1, 5, 7, 2)[0]
    down, left = moved(image, down=1), moved(image, right=-2)
    np.testing.assert_array_equal(down[1:], image[:-1])
    np.testing.assert_array_equal(down[0], image[0])
    np.testing.assert_array_equal(left[:, :-2], image[:, 2:])
    np.testing.assert_array_equal(left[:, -2:], np.repeat(image[:, -1:], 2, axis=1))


def test_half_a_pixel_is_the_mean_of_two():
    image = pictures(1, 5, 7, 2)[0]
    np.testing.assert_allclose(moved(image, right=-0.5)[:, :-1], (image[:, 1:] + image[:, :-1]) / 2, atol=ROUNDING)


def test_a_mirror_image_is_exact():
    image = pictures(1, 5, 7, 2)[0]
    np.testing.assert_array_equal(moved(image, mirror=-1), image[:, ::-1])


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("side", [7, 8])
def test_quarter_turns_are_clockwise(quarters, side):
    image = pictures(1, side, side, 2)[0]
    expected = np.rot90(image, -quarters)
    assert np.abs(expected - image).max() > 1
    np.testing.assert_allclose(
        moved(image, degrees=90 * quarters), expected, atol=4 * ROUNDING
    )  # neighbours differ by 4


def test_half_a_turn_leaves_a_symmetric_image():
    image = pictures(1, 5, 7)[0]
    symmetric = image + image[::-1, ::-1]
    np.testing.assert_allclose(moved(symmetric, degrees=180), symmetric, atol=4 * ROUNDING)


def scipy_moved(image, down, right, degrees, zoom, mirror):
    """The same by SciPy: matrix and offset from places in the view to places in the image."""
    angle, middle = np.deg2rad(degrees), (np.array(image.shape[:2]) - 1) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of (row, column), clockwise
    back = np.linalg.inv(zoom * turn @ np.diag([1, mirror]))
    offset = middle - back @ (middle + np.array([down, right]))
    channels = [
        scipy.ndimage.affine_transform(channel, back, offset, order=1, mode="nearest")
        for channel in np.moveaxis(np.asarray(image), -1, 0)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("seed", range(8))
def test_everything_at_once_is_scipys_affine_transform(seed):
    rng = np.random.default_rng(seed)
    image = jnp.asarray(rng.standard_normal((6, 9, 2)))
    (down, right), degrees, zoom = rng.uniform(-2, 2, 2), rng.uniform(-180, 180), rng.uniform(0.6, 1.6)
    given = down, right, degrees, zoom, (-1) ** seed
    np.testing.assert_allclose(moved(image, *given), scipy_moved(image, *given), atol=100 * 2.0**-52)  # rounding


# --- what is drawn --------------------------------------------------------------------------------------------------

MANY, SIDE = 4000, 9
COORDINATES = np.stack(np.indices((SIDE, SIDE)), axis=-1).astype(np.float32) - SIDE // 2  # each pixel holds its place


def draws(augmentation, key=KEY):
    """down, right, degrees, log zoom (MANY,) of views without change in contrast; images of places give them away."""
    seen = np.asarray(augmentation(key, jnp.broadcast_to(COORDINATES, (MANY, *COORDINATES.shape)))).astype(float)
    middle = SIDE // 2
    origin, below = seen[:, middle, middle], seen[:, middle + 1, middle]
    back = np.stack([below - origin, seen[:, middle, middle + 1] - origin], axis=-1)
    shift = -np.linalg.solve(back, origin[..., None])[..., 0]
    cosine, sine = back[:, 0, 0], back[:, 1, 0]
    return *shift.T, np.rad2deg(np.arctan2(sine, cosine)), -np.log(np.hypot(sine, cosine))


def contrasts(augmentation, key=KEY):
    """u (MANY,) of views x + u (x - mean x) of one image x."""
    image = pictures(1)[0]
    seen = np.asarray(augmentation(key, jnp.broadcast_to(image, (MANY, *image.shape)))).astype(float)
    image = np.asarray(image, float)
    along = image - image.mean()
    u = np.sum((seen - image) * along, axis=(1, 2, 3)) / np.sum(along**2)
    np.testing.assert_allclose(seen, image + u[:, None, None, None] * along, atol=ROUNDING)
    return u


def is_uniform(sample, bound):
    """Kolmogorov and Smirnov's test refuses one uniform sample in 10 000; the largest of 4000 lies near the bound.

    All are below 0.9975 of it in 0.9975^4000 = 1/22 000 of samples.
    """
    evenly = scipy.stats.kstest(sample, "uniform", (-bound, 2 * bound)).pvalue > 1e-4
    return evenly and 0.9975 < np.abs(sample).max() / bound < 1 + ROUNDING / bound


def test_draws_are_uniform_up_to_what_is_given():
    down, right, degrees, log_zoom = draws(Augmentation(shift=0.7, rotation=20, scale=0.25, contrast=0))
    assert is_uniform(down, 0.7) and is_uniform(right, 0.7)
    assert is_uniform(degrees, 20)
    assert is_uniform(log_zoom, np.log(1.25))
    assert is_uniform(contrasts(Augmentation(shift=0, rotation=0, scale=0, contrast=0.4)), 0.4)


def test_draws_are_independent():
    """Draws do not depend on each other or on the next image: correlations of 4000 have an error of 1/sqrt(4000)."""
    sizes = {"shift": 0.7, "rotation": 20, "scale": 0.25, "contrast": 0}
    drawn = *draws(Augmentation(**sizes)), contrasts(Augmentation(0, 0, 0, 0.4))
    pairs = [*combinations(drawn, 2), *((a[1:], a[:-1]) for a in drawn)]
    assert max(abs(np.corrcoef(a, b)[0, 1]) for a, b in pairs) < 4.5 / np.sqrt(MANY)


def test_half_of_the_views_are_mirrored():
    image = pictures(1)[0]
    seen = Augmentation(0, 0, 0, 0, flip=True)(KEY, jnp.broadcast_to(image, (MANY, *image.shape)))
    plain, mirrored = (np.all(np.asarray(seen) == other, axis=(1, 2, 3)) for other in (image, image[:, ::-1]))
    assert (plain ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 4.5 * 0.5 / np.sqrt(MANY)
    assert abs(np.corrcoef(mirrored[1:], mirrored[:-1])[0, 1]) < 4.5 / np.sqrt(MANY)


def test_contrast_keeps_the_mean_and_comes_last():
    """The same key draws the same places: the view without change in contrast, spread about its mean."""
    sizes, images = {"shift": 1, "rotation": 15, "scale": 0.15}, pictures(channels=3)
    plain, changed = (np.asarray(Augmentation(**sizes, contrast=c)(KEY, images)) for c in (0, 0.3))
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), plain.mean(axis=(1, 2, 3)), atol=ROUNDING)
    spread = (changed.std(axis=(1, 2, 3)) / plain.std(axis=(1, 2, 3)))[:, None, None, None]
    mean = plain.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(changed, mean + spread * (plain - mean), atol=ROUNDING)
    assert 0.7 < spread.min() < 1 < spread.max() < 1.3


@parametrize("dtype", ["float16", "bfloat16", "float32", "float64"], quick=["bfloat16", "float32"])
def test_nothing_to_change_returns_the_input_exactly(dtype):
    with jax.enable_x64(dtype == "float64"):
        images = jnp.asarray(np.random.default_rng(0).standard_normal((5, 6, 7, 2)), dtype)
        seen = NOTHING(KEY, images)
        assert seen.dtype == dtype
        assert np.array_equal(seen, images) and np.array_equal(jax.jit(NOTHING)(KEY, images), images)
        assert Augmentation()(KEY, images).dtype == dtype
        assert not np.array_equal(Augmentation()(KEY, images), images)


@given(
    shift=st.floats(0, 20),
    rotation=st.floats(0, 180),
    scale=st.floats(0, 0.99),
    contrast=st.floats(0, 0.99),
    flip=st.booleans(),
)
def test_a_view_of_a_constant_is_that_constant_and_none_leaves_the_range(shift, rotation, scale, contrast, flip):
    constant = jnp.full((4, 8, 8, 1), 3.0)
    np.testing.assert_allclose(Augmentation(shift, rotation, scale, contrast, flip)(KEY, constant), 3, atol=ROUNDING)
    images = pictures(4)
    seen = Augmentation(shift, rotation, scale, 0, flip)(KEY, images)
    assert (seen.max((1, 2, 3)) <= images.max((1, 2, 3)) + ROUNDING).all()
    assert (seen.min((1, 2, 3)) >= images.min((1, 2, 3)) - ROUNDING).all()


# --- keys, batches, compilation -------------------------------------------------------------------------------------


def test_same_key_same_views():
    images, augmentation = pictures(), Augmentation(flip=True)
    np.testing.assert_array_equal(augmentation(KEY, images), augmentation(KEY, images))
    other = augmentation(jax.random.key(8), images)
    assert (np.abs(augmentation(KEY, images) - other).max((1, 2, 3)) > 0.1).all()


def test_each_image_has_its_own_view():
    images, augmentation = pictures(), Augmentation()
    seen = augmentation(KEY, images)
    changed = augmentation(KEY, images.at[3].set(0))
    np.testing.assert_array_equal(np.delete(changed, 3, axis=0), np.delete(seen, 3, axis=0))
    assert not np.asarray(changed[3]).any()


def test_several_keys_at_once_are_one_after_the_other():
    keys, images, augmentation = jax.random.split(KEY, 3), pictures(), Augmentation(flip=True)
    together = jax.vmap(augmentation, (0, None))(keys, images)
    np.testing.assert_allclose(together, [augmentation(key, images) for key in keys], atol=4 * ROUNDING)


def test_compiled_once_for_equal_augmentations():
    traced = []

    def view(augmentation, key, images):
        traced.append(augmentation)
        return augmentation(key, images)

    compiled, images = jax.jit(view, static_argnums=0), pictures()
    for augmentation in (Augmentation(), Augmentation(shift=np.float64(1)), Augmentation(1, 15, 0.15, 0.3, np.False_)):
        np.testing.assert_allclose(compiled(augmentation, KEY, images), Augmentation()(KEY, images), atol=4 * ROUNDING)
    assert traced == [Augmentation()]
    compiled(Augmentation(flip=True), KEY, images)
    assert traced == [Augmentation(), Augmentation(flip=True)]


def test_equal_numbers_make_equal_augmentations():
    assert Augmentation(shift=np.float32(2), flip=np.True_) == Augmentation(shift=2, flip=True)
    assert hash(Augmentation(shift=np.float32(2))) == hash(Augmentation(shift=2))
    assert Augmentation(shift=2) != Augmentation()
    assert [type(a) for a in (Augmentation(np.array(2)).shift, Augmentation(flip=np.True_).flip)] == [float, bool]


def test_gradient_is_the_transpose_of_the_view():
    """A view is linear in the image: <y, A x> = <A^T y, x>."""
    x, y = pictures(seed=1), pictures(seed=2)
    seen, transposed = jax.vjp(lambda images: Augmentation()(KEY, images), x)
    left, right = (float((a * b).sum()) for a, b in ((y, seen), (transposed(y)[0], x)))
    assert abs(left) > 1
    np.testing.assert_allclose(left, right, atol=y.size * 2.0**-23)  # rounding of a sum of terms of order 1


def test_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        assert Augmentation(flip=True)(KEY, pictures()).dtype == "float32"


# --- errors ---------------------------------------------------------------------------------------------------------

PIXELS, DEGREES = "be a non-negative number of pixels", "be a number of degrees from 0 to 180"
BELOW_ONE, IMAGES = (
    "be a number at least 0 and below 1",
    "be images of shape (B, height, width, channels) of a floating dtype",
)

# case: (call, argument, what it must be, what it was)
CASES = {
    "shift negative": (lambda: Augmentation(shift=-1), "shift", PIXELS, "-1"),
    "shift infinite": (lambda: Augmentation(shift=np.inf), "shift", PIXELS, "inf"),
    "shift an array": (lambda: Augmentation(shift=[1, 2]), "shift", PIXELS, "[1, 2]"),
    "shift bool": (lambda: Augmentation(shift=True), "shift", PIXELS, "True"),
    "rotation too large": (lambda: Augmentation(rotation=180.5), "rotation", DEGREES, "180.5"),
    "rotation negative": (lambda: Augmentation(rotation=-0.5), "rotation", DEGREES, "-0.5"),
    "scale one": (lambda: Augmentation(scale=1), "scale", BELOW_ONE, "1"),
    "scale nan": (lambda: Augmentation(scale=np.nan), "scale", BELOW_ONE, "nan"),
    "contrast one": (lambda: Augmentation(contrast=1.0), "contrast", BELOW_ONE, "1.0"),
    "contrast text": (
        lambda: Augmentation(contrast="0.3"),
        "contrast",
        BELOW_ONE,
        "'0.3'. Write numbers without quotes",
    ),
    "flip a number": (lambda: Augmentation(flip=1), "flip", "be True or False", "1"),
    "one image": (lambda: NOTHING(KEY, jnp.ones((8, 8, 1))), "images", IMAGES, "of float32 and shape (8, 8, 1)"),
    "images of whole numbers": (
        lambda: NOTHING(KEY, jnp.ones((2, 8, 8, 1), int)),
        "images",
        IMAGES,
        "of int32 and shape (2, 8, 8, 1)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_error_names_the_argument(case):
    call, name, must, was = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value) == f"Argument `{name}` must {must}, but is {was}."


def test_largest_numbers_that_are_accepted():
    largest = Augmentation(shift=100, rotation=180, scale=0.999, contrast=0.999)
    assert (largest.shift, largest.rotation, largest.scale, largest.contrast) == (100, 180, 0.999, 0.999)
