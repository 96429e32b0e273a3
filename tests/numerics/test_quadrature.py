"""The Gaussian closure's integrals against three references: a slow safe rule, an angular integral, and sampling."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from derivations.codegen import expectation_code
from derivations.codegen.manifest import Manifest
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from dynamics import derived_loss
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.marks import parametrize
from tests.numerics.drifts import ALPHAS, CANCELLED, ONE, REFERENCE, drift_of, scale_of
from tests.reference import (
    COSINE,
    combine,
    cosine_drift,
    gaussian_expectations,
    model_of,
    predictor_of,
    sample_gradients,
)

NOISES = [(0.0, 0.0), (0.0, 0.1), (0.5, 0.5), (0.1, 0.5), (0.5, 0.0), (0.0, 0.5), (0.1, 0.1), (0.5, 0.1), (0.1, 0.0)]
MODES = (2, 3, 10, 64, 256)
SPREADS = (1e4, 1e2, 3.0)


def cases():
    """Every cosine setting with every number of modes; noises, alphas and spreads in turn."""
    for i, setting in enumerate(COSINE):
        for j, modes in enumerate(MODES):
            noise, alpha, spread = NOISES[(5 * i + j) % 9], ALPHAS[(i + j) % 3], SPREADS[(i + 2 * j) % 3]
            label = f"{setting.name} M={modes} noise={noise} alpha={alpha} spread={spread:g}"
            yield pytest.param(setting, modes, noise, alpha, spread, id=label)


CASES = list(cases())


@parametrize(("setting", "modes", "noise", "alpha", "spread"), CASES, quick=CASES[::4])
def test_drift_equals_the_reference(setting, modes, noise, alpha, spread):
    s = 1.7 * np.geomspace(1 / spread, 1, modes)
    rates = EigenmodeField(model_of(setting, alpha, noise), rtol=1e-9)
    drift, terms = cosine_drift(setting, s, alpha, noise)
    # rtol, ten times: it is asked of r and of s r at once, each relative to its own largest entry.
    np.testing.assert_allclose(s * rates.of_eigenvalues(s), drift, rtol=0, atol=1e-8 * scale_of(drift, terms))
    assert all(quadrature.missed <= 1e-9 for quadrature in rates.quadratures.values())


@pytest.mark.parametrize("modes", [2, 256])
def test_reference_has_converged(modes):
    """600 and 900 nodes agree to within rounding errors."""
    s = np.geomspace(1e-4, 1, modes)
    results = [gaussian_expectations(s, s, 0.1, 0.5, nodes) for nodes in (600, 900)]
    for coarse, fine in zip(*results, strict=True):
        np.testing.assert_allclose(coarse, fine, rtol=REFERENCE)


@pytest.mark.parametrize("setting", [s for s in COSINE if s.predictor], ids=lambda s: s.name)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_ten_modes_spread_over_six_decades(setting, alpha):
    s, noise = np.geomspace(1e-6, 1, 10), (0.1, 0.5)
    rates = EigenmodeField(model_of(setting, alpha, noise), rtol=1e-6)
    drift, terms = cosine_drift(setting, s, alpha, noise)
    error = np.abs(s * rates.of_eigenvalues(s) - drift).max() / scale_of(drift, terms)
    assert error <= 1e-6
    assert error <= rates.error + REFERENCE / CANCELLED


# --- a second reference: two modes without noise, one angle ---------------------------------------------------------


def angular_expectations(s, lam):
    """A, B, C at sigma = 0: z = (sqrt(s1) cos, sqrt(s2) sin)(angle), in u = log tan(angle), 25 digits."""
    root = [mp.sqrt(mp.mpf(value)) for value in s]
    lam = [mp.mpf(value) for value in lam]

    def z_at(u):
        return root[0] / mp.sqrt(1 + mp.exp(2 * u)), root[1] / mp.sqrt(1 + mp.exp(-2 * u))

    def mean(f):
        return 2 / mp.pi * mp.quad(lambda u: f(z_at(u)) / (2 * mp.cosh(u)), mp.linspace(-60, 60, 25))

    def sizes(z):
        norm_p = mp.sqrt(sum((a * b) ** 2 for a, b in zip(lam, z, strict=True)))
        return norm_p, mp.sqrt(sum(b**2 for b in z)), sum(a * b**2 for a, b in zip(lam, z, strict=True))

    def entry(m, power_p, power_z, overlaps):
        def sample(z):
            norm_p, norm_z, overlap = sizes(z)
            return overlap**overlaps * z[m] ** 2 / (norm_p**power_p * norm_z**power_z)

        return float(mean(sample))

    with mp.workdps(25):
        powers = ((1, 1, 0), (3, 1, 1), (1, 3, 1))  # of ||p||, ||z|| and the overlap in A, B, C
        return tuple(np.array([entry(m, *each) for m in (0, 1)]) for each in powers)


ANGULAR = [s for s in COSINE if s.predictor and not s.symmetrised]


@pytest.mark.parametrize("ratio", [1.5, 1e2, 1e4])
def test_two_modes_without_noise_equal_the_angular_integral(ratio):
    s = np.array([0.8, 0.8 / ratio])
    expectations = angular_expectations(s, s)
    for setting in ANGULAR:
        drift, terms = combine(setting, s, expectations)
        found = s * EigenmodeField(model_of(setting), rtol=1e-9).of_eigenvalues(s)
        np.testing.assert_allclose(found, drift, rtol=0, atol=1e-8 * scale_of(drift, terms))


# --- known values ---------------------------------------------------------------------------------------------------


def expectation_of(loss):
    """s r(s, lam, sigma1, sigma2) of a loss, derived, generated and integrated."""
    manifest, scope = Manifest("test"), dict(vars(derived_loss))
    functions = expectation_code.expectation_functions(loss, False, manifest)
    exec("\n".join([*functions, f"rates = {manifest['rates']}"]), scope)

    def evaluate(s, lam, *noise):
        quadrature = Adaptive(scope["rates"].integrals, rtol=1e-10)
        rows = (s[None], lam[None], ONE, *(np.array([[sigma**2]]) for sigma in noise))
        return s * quadrature(*rows).value[0]

    return evaluate


Z1, Z2, P1 = n.z1[n.k], n.z2[n.k], n.lam[n.k] * n.z1[n.k]


@pytest.fixture(scope="module")
def expectation_A():
    """A_m = E[z1 z2/(||p|| ||z2||)], from a loss whose force is z2/(||p|| ||z2||)."""
    return expectation_of(-dot(Z1, SG(Z2 / (norm(P1) * norm(Z2)))))


@pytest.mark.parametrize("modes", MODES)
def test_A_of_equal_eigenvalues_without_noise(expectation_A, modes):
    s = np.full(modes, 1.3)
    A = expectation_A(s, s**2, 0.0, 0.0)
    np.testing.assert_allclose(A, 1 / (modes * s**2), rtol=1e-9)  # ten times the rtol of the integral
    np.testing.assert_allclose(gaussian_expectations(s, s**2, 0.0, 0.0)[0], A, rtol=1e-9)


@pytest.mark.parametrize("noise", [(0.0, 0.0), (0.1, 0.5)])
def test_sum_of_lambda_A_is_the_mean_cosine_similarity(expectation_A, noise):
    s = np.array([0.05, 0.4, 2.0])
    lam, samples = np.sqrt(s), 1_000_000
    x1, x2 = views(np.random.default_rng(7), samples, s, noise)
    p = lam * x1
    similarity = (p * x2).sum(axis=1) / (np.linalg.norm(p, axis=1) * np.linalg.norm(x2, axis=1))
    error = similarity.std() / np.sqrt(samples)
    assert abs((lam * expectation_A(s, lam, *noise)).sum() - similarity.mean()) < 4 * error


# Ten times the rtol of the integrals, for what is known of powers of norms; of views without noise, z1 = z2 = z.
KNOWN = 1e-9
POWERS = ["1/2", "1", "3/2", "2", "5/2", "3", "4"]


@pytest.mark.parametrize("modes", [3, 10, 64])
@pytest.mark.parametrize("power", POWERS)
def test_one_norm_of_any_power(power, modes):
    """E[z_m^2/||z||^q] = E||z||^(2 - q)/M, moments of chi, for equal eigenvalues."""
    q = sp.Rational(power)
    s = np.full(modes, 1.3)
    found = expectation_of(-dot(Z1, SG(Z1 / norm(Z1) ** q)))(s, s, 0.0, 0.0)
    chi = (2 * 1.3) ** (1 - q / 2) * sp.gamma((modes + 2 - q) / 2) / sp.gamma(sp.Rational(modes, 2))
    np.testing.assert_allclose(found, float(chi) / modes, rtol=KNOWN)


@pytest.mark.parametrize("ratio", [1.0, 1e3, 1e6])
def test_share_of_two_modes(ratio):
    """E[z_1^2/(z_1^2 + z_2^2)] = sqrt(s_1)/(sqrt(s_1) + sqrt(s_2)), by the angle: z_1/z_2 is Cauchy."""
    s = np.array([0.7, 0.7 / ratio])
    found = expectation_of(-dot(Z1, SG(Z1 / norm(Z1) ** 2)))(s, s, 0.0, 0.0)
    np.testing.assert_allclose(found, np.sqrt(s) / np.sqrt(s).sum(), rtol=KNOWN)


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "2"), ("1/2", "1"), ("3", "1/2")])
def test_two_norms_of_any_powers(first, second):
    """E[z_m^2/(||p||^q ||z||^r)] = lambda^-q E||z||^(2 - q - r)/M."""
    q, r, modes = sp.Rational(first), sp.Rational(second), 5
    s, lam = np.full(modes, 0.8), np.full(modes, 1.7)
    found = expectation_of(-dot(Z1, SG(Z1 / (norm(P1) ** q * norm(Z2) ** r))))(s, lam, 0.0, 0.0)
    chi = (2 * 0.8) ** (1 - (q + r) / 2) * sp.gamma((modes + 2 - q - r) / 2) / sp.gamma(sp.Rational(modes, 2))
    np.testing.assert_allclose(found, float(1.7**-q * chi) / modes, rtol=KNOWN)


@pytest.mark.parametrize("softening", ["1/1000", "1", "1000"])
def test_softened_norm(softening):
    """E[z_m^2/(c + ||z||^2)] of two equal modes: half of 1 - u e^u E_1(u), u = c/(2s), as ||z||^2 is exponential."""
    c, s = sp.Rational(softening), np.full(2, 0.6)
    found = expectation_of(-dot(Z1, SG(Z1 / (c + dot(Z1, Z1)))))(s, s, 0.0, 0.0)
    u = mp.mpf(float(c)) / (2 * 0.6)
    with mp.workdps(30):
        expected = float((1 - u * mp.exp(u) * mp.e1(u)) / 2)
    np.testing.assert_allclose(found, expected, rtol=KNOWN)


def test_norm_of_a_difference_and_norm_in_a_numerator():
    """Views that differ by noise: ||z1 - z2||^2 is (sigma1^2 + sigma2^2) s times chi^2; and ||z||^3 = ||z||^4/||z||."""
    modes, s, noise = 4, np.full(4, 0.9), (0.3, 0.4)
    difference = expectation_of(sp.sqrt(dot(Z1 - SG(Z2), Z1 - SG(Z2))))(s, s, *noise)
    cubed = expectation_of(-dot(Z1, SG(Z1 * norm(Z1) ** 3)))(s, s, 0.0, 0.0)
    mean = math.sqrt(2) * math.gamma((modes + 1) / 2) / math.gamma(modes / 2)  # of chi
    # -(z1 - z2).z1/||z1 - z2|| summed over modes; given z1 - z2, z1 is sigma1^2/(sigma1^2 + sigma2^2) of it on average.
    np.testing.assert_allclose(difference.sum(), -0.09 / 0.25 * mean * math.sqrt(0.25 * 0.9), rtol=KNOWN)
    np.testing.assert_allclose(cubed.sum(), 0.9**2.5 * mean * (modes + 1) * (modes + 3), rtol=KNOWN)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_settings_are_combinations_of_each_other(alpha):
    """A, B, C enter: none = target + wrong side, target = lambda times isotropic."""
    s = np.geomspace(1e-3, 2, 6)
    target, none, wrong = (drift_of(Setting("cosine", stop), s, alpha) for stop in ("target", "none", "online"))
    isotropic = drift_of(Setting("cosine", isotropic=True), s, alpha)
    close = partial(np.testing.assert_allclose, rtol=0)
    close(none, target + wrong, atol=1e-9 * np.abs(none).max())  # rtol 1e-10 of each of the three
    close(target, s**alpha * isotropic, atol=1e-9 * np.abs(s**alpha * isotropic).max())


@pytest.mark.parametrize("setting", COSINE, ids=lambda s: s.name)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_drift_conserves_what_the_theory_says(setting, alpha):
    """sum s r = 0, and sum s^(1 + alpha) r = 0 for the isotropic loss: to the tolerance, relative to what is summed."""
    s = np.geomspace(1e-3, 2, 7)
    weight = s**alpha if setting.isotropic else np.ones_like(s)
    flow = weight * drift_of(setting, s, alpha, rtol=1e-9)
    assert abs(flow.sum()) <= 1e-8 * np.abs(flow).max()


# --- sampling -------------------------------------------------------------------------------------------------------


def views(random, samples, s, noise):
    """Representations of both views in the eigenbasis, (samples, M)."""
    x = random.standard_normal((samples, len(s)))
    return tuple(np.sqrt(s) * (x + sigma * random.standard_normal(x.shape)) for sigma in noise)


SAMPLED = [
    (Setting("cosine"), 1.0, (0.0, 0.1)),
    (Setting("cosine", "none"), 0.5, (0.5, 0.1)),
    (Setting("cosine", "online", symmetrised=True), 1.0, (0.5, 0.0)),
    (Setting("cosine", isotropic=True), 2.0, (0.1, 0.5)),
]


@parametrize(("setting", "alpha", "noise"), SAMPLED, quick=SAMPLED[3:], ids=lambda value: getattr(value, "name", None))
def test_drift_equals_the_sampled_force(setting, alpha, noise, double_precision):
    """s r = E[g z1 + h z2] with g, h by automatic differentiation: 1e7 samples, |z| < 4 in each of three entries."""
    s, chunks, chunk = np.array([0.1, 0.6, 1.5]), 20, 500_000
    W_P = jnp.diag(predictor_of(setting, s, alpha))

    @jax.jit
    def work(z1, z2):
        by_z1, by_z2 = sample_gradients(setting, z1, z2, W_P)
        force = -(by_z1 * z1 + by_z2 * z2)
        return force.sum(axis=0), (force**2).sum(axis=0)

    random, total, squares = np.random.default_rng(11), np.zeros(3), np.zeros(3)
    for _ in range(chunks):
        first, second = work(*views(random, chunk, s, noise))
        total, squares = total + np.asarray(first), squares + np.asarray(second)
    samples = chunks * chunk
    mean = total / samples
    error = np.sqrt((squares / samples - mean**2) / samples)
    z = (mean - drift_of(setting, s, alpha, noise)) / error
    assert np.abs(z).max() < 4, z
