"""The stated relative error of rates bounds their true error, also where terms cancel."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import dynamics as dyn
from derivations.symbols import notation as n
from derivations.theory import rates
from dynamics.errors import AccuracyWarning
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.marks import parametrize
from tests.reference import COSINE, explicit, model_of, predictor_of

U = np.linspace(-110, 110, 2201, dtype=np.longdouble)  # logarithms of the ratio of the two views
STEP, PI = U[1] - U[0], 4 * np.arctan(np.longdouble(1))


def by_angle(setting, s, lam):
    """r_m of two modes without noise, in extended precision.

    The drive is of degree 0 in zeta: its mean is that over the angle theta of zeta. With tan theta = e^u the integrand
    is analytic for |Im u| < pi/2 and decays as e^-|u|, so that the trapezoidal rule with step 0.1 errs by e^-98.
    """
    a, b = sp.symbols("a b", real=True)
    views = {n.zeta1[1]: a, n.zeta2[1]: a, n.zeta1[2]: b, n.zeta2[2]: b, n.ratio[1]: 1, n.ratio[2]: 1}
    arguments = [n.s[1], n.s[2], n.lam[1], n.lam[2]]
    cosine = 1 / np.sqrt(1 + np.exp(2 * U))
    sine, found = np.exp(U) * cosine, []
    for mode in (1, 2):
        drive = explicit(rates.drive(setting.in_eigenbasis()), 2, mode).subs(views)
        function = sp.lambdify([a, b, *arguments], drive, "numpy")
        values = (function(cosine, sign * sine, *np.longdouble([*s, *lam])) for sign in (1, -1))
        found.append(np.sum(sum(values) * cosine * sine) * STEP / PI)
    return found


def assert_bounds(error, r, true, s):
    """The error holds for r_m, relative to the largest, and for s_m r_m."""
    assert error < 1  # at 1 rates are zero within their error
    difference = np.array([float(abs(x - y)) for x, y in zip(r, true, strict=True)])
    for weight in (s / (s + 1e-13 * s.max()), s):
        assert (weight * difference).max() <= error * (weight * np.abs(r)).max()


NOISELESS = [setting for setting in COSINE if setting.predictor and not setting.symmetrised]
DRAWS = [(setting, seed) for setting in NOISELESS for seed in range(6)]


@parametrize(("setting", "seed"), DRAWS, quick=DRAWS[::4])
def test_of_random_spectra_of_two_modes_under_cosine_losses(setting, seed):
    rng = np.random.default_rng(seed)
    s = 10 ** rng.uniform(-3, 3) * np.array([1.0, 10 ** rng.uniform(-9, 0)])
    alpha = rng.choice([0.5, 1.0, 2.0])
    field = EigenmodeField(model_of(setting, alpha), rtol=1e-10)
    r = field.of_eigenvalues(s)
    assert_bounds(field.error, r, by_angle(setting, s, predictor_of(setting, s, alpha)), s)


SOFTENED = dyn.Model(dyn.Loss.parse("-p . sg(z2) / ((1 + |p|^2)^0.5 * (1 + |sg(z2)|^2)^0.5)"))


def softened(s):
    """r of one mode: E[s zeta^2/((1 + s zeta^2)^(1/2) (1 + s^3 zeta^2)^(3/2))]; terms ~ 1/s cancel to ~ 1/s^3.5."""

    def density(u):
        zeta = mp.exp(u)
        return 2 * mp.npdf(zeta) * zeta * s * zeta**2 / (mp.sqrt(1 + s * zeta**2) * (1 + s**3 * zeta**2) ** 1.5)

    return mp.quad(density, mp.linspace(-60, 4, 65))


@pytest.mark.parametrize("s", [1e-3, 1.0, 1e2, 1e4, 169477.0])
def test_of_a_softened_cosine_loss(s):
    field = EigenmodeField(SOFTENED, rtol=1e-10)
    r = field.of_eigenvalues(np.array([s]))
    with mp.workdps(30):
        assert_bounds(field.error, r, [softened(mp.mpf(s))], np.array([s]))


def test_of_rates_that_are_zero_is_one_and_warns_of_small_rates_only():
    """Equal modes of a cosine loss have rates of zero; a single mode too, which is known from the conserved sum."""
    equal = EigenmodeField(dyn.Model("cosine"), rtol=1e-10)
    # Rounding of some 500 terms of order one: 500^(1/2) eps = 5e-15.
    assert np.abs(equal.of_eigenvalues(np.ones(3))).max() < 5e-15 and equal.error == 1
    equal.warn_if_inaccurate()  # warnings are errors in tests
    single = EigenmodeField(dyn.Model("cosine"), rtol=1e-10)
    assert single.of_eigenvalues(np.ones(1)) == single.error == 0
    with pytest.warns(AccuracyWarning, match="relative error of"):
        dyn.effective_rates(SOFTENED, [169477.0])


def test_is_relative_to_the_largest_rates_of_a_trajectory():
    flow = dyn.solve(dyn.Model("cosine"), [0.1, 0.5, 1.0], [0.0, 100.0], method="scipy")
    assert np.ptp(flow.s[-1]) < 1e-8 and 0 < flow.error < 1e-9


def test_includes_cancellation_between_integrals_and_moments():
    """A decay beta |z1|^2/2 changes r by -beta: near r the error is relative to the difference."""
    s, text = np.array([0.3, 0.9]), "-p . sg(z2) / (|p| * |sg(z2)|) + beta * |z1|^2 / 2"
    largest = np.abs(EigenmodeField(dyn.Model("cosine"), rtol=1e-10).of_eigenvalues(s)).max()
    plain, near = (EigenmodeField(dyn.Model(dyn.Loss.parse(text, beta=beta)), rtol=1e-10) for beta in (0.0, largest))
    rates_of_both = [field.of_eigenvalues(s) for field in (plain, near)]
    np.testing.assert_allclose(rates_of_both[1], rates_of_both[0] - largest, atol=1e-12)
    absolute = [field.error * np.abs(r).max() for field, r in zip((plain, near), rates_of_both, strict=True)]
    assert absolute[0] / 10 < absolute[1] < 10 * absolute[0]  # of one order, although the rates differ by more
