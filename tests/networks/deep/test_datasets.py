"""Images: the bundled digits, files of CIFAR-10 that the test writes, and Gaussian images of a known spectrum."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import dynamics as dyn
from dynamics.networks.deep.datasets import cifar10, digits, gaussian_images

ROOT = Path(__file__).resolve().parents[3]
EPS = 2.0**-23  # of float32


def test_import_loads_neither_jax_nor_scikit_learn():
    code = (
        "import sys, dynamics.networks.deep.datasets; print(*{'jax', 'sklearn', 'scipy', 'numpy'} & set(sys.modules))"
    )
    run = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split() == ["numpy"]


# --- digits ---------------------------------------------------------------------------------------------------------


def test_digits_are_all_there_once_with_their_labels():
    images, data = digits(test=400, seed=3), load_digits()
    assert (images.train.shape, images.test.shape) == ((1397, 8, 8, 1), (400, 8, 8, 1))
    pixels = np.concatenate([images.train, images.test]).reshape(1797, 64)
    # Grey values are whole numbers from 0 to 16, and some pixel has each of these.
    grey = np.round((pixels - pixels.min()) / np.ptp(pixels) * 16).astype(int)
    found = np.column_stack([grey, np.concatenate([images.train_labels, images.test_labels])])
    expected = np.column_stack([data.data.astype(int), data.target])
    np.testing.assert_array_equal(sorted(found.tolist()), sorted(expected.tolist()))


def test_digits_are_standardised_by_the_training_part_alone():
    images = digits()
    assert (len(images.train), len(images.test)) == (1437, 360)
    train, test = images.train.astype(float), images.test.astype(float)
    # Rounding of 92 000 numbers of order 1 to single precision.
    assert abs(train.mean()) < EPS and abs(train.std() - 1) < EPS
    # The other part's mean has a standard error above 1/sqrt(23 040) = 0.0066, and is not set to zero.
    assert 1e-4 < abs(test.mean()) < 0.1 and 1e-4 < abs(test.std() - 1) < 0.1
    assert train.min() == test.min() and train.max() == test.max()  # black and white, mapped alike


def test_split_of_digits_is_by_seed():
    first, again, other = digits(seed=1), digits(seed=1), digits(seed=2)
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.test_labels, again.test_labels)
    assert (first.test_labels != other.test_labels).any()
    # 36 of each class in the mean with a standard deviation below 6: sorted ones would be far off, a cycle exact.
    numbers = np.bincount(first.test_labels, minlength=10)
    assert 0 < np.abs(numbers - 36).max() < 4.5 * 6


# --- CIFAR-10 -------------------------------------------------------------------------------------------------------

NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def write_cifar(folder, records=2, seed=0):
    """Random files of CIFAR-10, as many records in each; the raw pixels (6, records, 3, 32, 32) and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, (6, records), np.uint8)
    pixels = rng.integers(0, 256, (6, records, 3, 32, 32), np.uint8)
    for name, its_labels, its_pixels in zip(NAMES, labels, pixels, strict=True):
        content = b"".join(
            bytes([label]) + image.tobytes() for label, image in zip(its_labels, its_pixels, strict=True)
        )
        (folder / name).write_bytes(content)
    return pixels, labels


def test_cifar_round_trip(tmp_path):
    pixels, labels = write_cifar(tmp_path, records=3)
    images = cifar10(tmp_path)
    assert images.train.shape == (15, 32, 32, 3) and images.test.shape == (3, 32, 32, 3)
    assert images.train_labels.tolist() == labels[:5].ravel().tolist()
    assert images.test_labels.tolist() == labels[5].tolist()
    channels_last = pixels.transpose(0, 1, 3, 4, 2).astype(float)
    train = channels_last[:5].reshape(15, 32, 32, 3)
    mean, deviation = (np.array([statistic(train[..., c]) for c in range(3)]) for statistic in (np.mean, np.std))
    for found, raw in ((images.train, train), (images.test, channels_last[5])):
        # Two roundings of numbers up to 255, in units of a deviation of 74.
        np.testing.assert_allclose(found, (raw - mean) / deviation, rtol=0, atol=8 * EPS)


@pytest.mark.parametrize(("row", "column", "channel"), [(0, 0, 0), (3, 5, 0), (3, 5, 1), (31, 0, 2), (0, 31, 2)])
def test_place_of_a_byte_in_a_file_of_cifar(tmp_path, row, column, channel):
    write_cifar(tmp_path)
    record = bytearray(3073)
    record[0] = 7
    record[1 + 1024 * channel + 32 * row + column] = 255
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073) + bytes(record))
    images = cifar10(str(tmp_path))
    bright = np.argwhere(images.test[1] != images.test[0])
    assert bright.tolist() == [[row, column, channel]]
    assert images.test_labels.tolist() == [0, 7]


def test_files_of_cifar_may_differ_in_length(tmp_path):
    write_cifar(tmp_path, records=4)
    write = write_cifar(tmp_path, records=1)[0]
    (tmp_path / "data_batch_2.bin").write_bytes(b"".join(bytes([n]) + write[1, 0].tobytes() for n in range(3)))
    images = cifar10(tmp_path)
    assert (len(images.train), len(images.test)) == (7, 1)
    assert images.train_labels[1:4].tolist() == [0, 1, 2]


# --- Gaussian images ------------------------------------------------------------------------------------------------


def frequencies(side):
    """(i, j) in ascending order of i^2 + j^2, ties by i."""
    return sorted(((i, j) for i in range(side) for j in range(side)), key=lambda ij: (ij[0] ** 2 + ij[1] ** 2, ij[0]))


@given(side=st.integers(1, 6), exponent=st.floats(0, 4))
def test_covariance_has_the_power_law_along_the_cosines(side, exponent):
    images, N = gaussian_images(side, exponent, train=1, test=1), side**2
    assert images.shape == (side, side, 1) and images.covariance.shape == (N, N)
    power = np.arange(1, N + 1) ** -float(exponent)
    for variance, frequency in zip(N * power / power.sum(), frequencies(side), strict=True):
        unit = np.zeros((side, side))
        unit[frequency] = 1
        cosine = scipy.fft.idctn(unit, norm="ortho").ravel()
        # Rounding: sums of N products, largest eigenvalue at most N.
        np.testing.assert_allclose(images.covariance @ cosine, variance * cosine, rtol=0, atol=N**2 * 2.0**-52)
    np.testing.assert_allclose(np.trace(images.covariance), N, rtol=N * 2.0**-52)


def test_white_images():
    np.testing.assert_allclose(gaussian_images(4, exponent=0).covariance, np.eye(16), rtol=0, atol=16 * 2.0**-52)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_images_have_the_covariance(exponent):
    """Var(S_ij) = (Sigma_ii Sigma_jj + Sigma_ij^2)/n of the mean S of n products x_i x_j (Wishart)."""
    n = 100_000
    images = gaussian_images(4, exponent, train=n, test=n, seed=5)
    variances, Sigma = np.diag(images.covariance), images.covariance
    error = np.sqrt((np.outer(variances, variances) + Sigma**2) / n)
    for part in (images.train, images.test):
        x = part.reshape(n, 16).astype(float)
        # 136 different entries: |z| > 4.5 in one of 1000 such tests. Rounding, 1e-7, is nothing to 0.003.
        assert np.abs((x.T @ x / n - Sigma) / error).max() < 4.5
        assert np.abs(x.mean(axis=0) / np.sqrt(variances / n)).max() < 4.5


def test_spectrum_of_the_images():
    """Each coefficient is normal with its own variance, whose estimate has relative error sqrt(2/n)."""
    n, side = 50_000, 4
    images = gaussian_images(side, 1.5, train=n, test=1)
    coefficients = scipy.fft.dctn(images.train[..., 0].astype(float), axes=(1, 2), norm="ortho")
    power = np.arange(1, 17) ** -1.5
    expected = 16 * power / power.sum()
    found = [np.mean(coefficients[:, i, j] ** 2) for i, j in frequencies(side)]
    assert np.abs(found / expected - 1).max() < 4.5 * np.sqrt(2 / n)


def test_gaussian_images_are_by_seed_and_parts_differ():
    first, again, other = (gaussian_images(train=3, test=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.test, again.test)
    assert (first.train != other.train).all() and (first.train != first.test).all()


def test_defaults_of_gaussian_images():
    images = gaussian_images()
    assert repr(images) == "Images('gaussian', 2000 + 500 of shape (8, 8, 1), covariance known)"
    assert images.train_labels is None and images.test_labels is None


def test_a_model_takes_the_covariance():
    images = gaussian_images(2)
    np.testing.assert_array_equal(dyn.Model("cosine", inputs=images.covariance).inputs, images.covariance)


# --- errors ---------------------------------------------------------------------------------------------------------

# case: (call, argument, what it must be, what it was)
CASES = {
    "digits, none for testing": (lambda: digits(test=0), "test", "be a whole number >= 1", "is 0"),
    "digits, all for testing": (
        lambda: digits(test=1797),
        "test",
        "be below 1797, the number of all images",
        "is 1797",
    ),
    "digits, seed": (lambda: digits(seed=-1), "seed", "be a whole number >= 0", "is -1"),
    "side": (lambda: gaussian_images(side=0), "side", "be a whole number >= 1", "is 0"),
    "exponent negative": (lambda: gaussian_images(exponent=-1), "exponent", "be a non-negative number", "is -1.0"),
    "exponent text": (
        lambda: gaussian_images(exponent="1"),
        "exponent",
        "be a finite number",
        "is '1'. Write numbers without quotes",
    ),
    "gaussian, none for training": (lambda: gaussian_images(train=0), "train", "be a whole number >= 1", "is 0"),
    "gaussian, none for testing": (lambda: gaussian_images(test=1.5), "test", "be a whole number >= 1", "is 1.5"),
    "gaussian, seed": (lambda: gaussian_images(seed=None), "seed", "be a whole number >= 0", "is None"),
    "folder a number": (lambda: cifar10(3), "folder", "be a folder with the binary version of CIFAR-10", "is 3"),
    "folder absent": (
        lambda: cifar10("/nowhere"),
        "folder",
        "be a folder with the binary version of CIFAR-10",
        "is '/nowhere'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_error_names_the_argument(case):
    call, name, must, was = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value) == f"Argument `{name}` must {must}, but {was}."


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def rewritten(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def one_label(label):
    """Three records, of which the one in the middle has this label."""
    return bytes(3073) + bytes([label]) + bytes(2 * 3073 - 1)


def no_green(folder):
    for name in NAMES[:5]:
        (folder / name).write_bytes(bytes([1]) + bytes(range(256)) * 4 + bytes(1024) + bytes(range(256)) * 4)


FOLDERS = {
    "one file missing": (without("test_batch.bin"), "lacks test_batch.bin"),
    "two missing": (without("data_batch_1.bin", "data_batch_4.bin"), "lacks data_batch_1.bin, data_batch_4.bin"),
    "empty": (
        rewritten("data_batch_2.bin", b""),
        "contains data_batch_2.bin with 0 bytes, which is not a positive multiple of the 3073 bytes of a record",
    ),
    "cut off": (
        rewritten("test_batch.bin", bytes(3072)),
        "contains test_batch.bin with 3072 bytes, which is not a positive multiple of the 3073 bytes of a record",
    ),
    "label 10": (
        rewritten("data_batch_3.bin", one_label(10)),
        "has the label 10 in record 1 of data_batch_3.bin, counted from 0, but labels must be below 10",
    ),
    "label of the test part": (
        rewritten("test_batch.bin", one_label(255)),
        "has the label 255 in record 1 of test_batch.bin, counted from 0, but labels must be below 10",
    ),
    "a colour that does not vary": (no_green, "has training images in which all pixels have the same value of green"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_error_names_the_file(case, tmp_path):
    spoil, was = FOLDERS[case]
    write_cifar(tmp_path)
    spoil(tmp_path)
    with pytest.raises(dyn.ArgumentError) as error:
        cifar10(tmp_path)
    must = "be a folder with the binary version of CIFAR-10"
    assert str(error.value) == f"Argument `folder` must {must}, but {tmp_path} {was}."


@pytest.mark.parametrize("label", [0, 9])
def test_labels_of_cifar_from_0_to_9(label, tmp_path):
    write_cifar(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(one_label(label))
    assert cifar10(tmp_path).test_labels.tolist() == [0, label, 0]
