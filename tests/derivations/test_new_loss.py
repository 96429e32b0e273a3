"""The recipe of CONTRIBUTING.md: a loss is one line, all else follows. Checked with a rate derived by hand."""

import dataclasses
import sys
from itertools import product
from types import ModuleType

import jax
import numpy as np
import pytest

import dynamics as dyn
from derivations.codegen import generated
from derivations.codegen.module import module as module_source
from derivations.losses.catalogue import LOSSES, PLACEMENTS, Setting
from dynamics.generated import catalogue
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.marks import parametrize
from tests.reference import over_modes

NOISE = (0.3, 0.2)
SETTINGS = [
    Setting("quartic", stop, predictor=predictor, symmetrised=symmetrised)
    for stop, predictor, symmetrised in product(PLACEMENTS, (True, False), (False, True))
]


def executed(source, name):
    """A module from its source."""
    module = ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module


@pytest.fixture
def quartic(monkeypatch):
    """Add the loss, and do what `make derive` does: write its module and the index. Its manifest."""
    monkeypatch.setitem(LOSSES, "quartic", "|p|^4 / 4 - p . z2")
    index = executed(generated.catalogue_index(), "catalogue")
    monkeypatch.setattr(catalogue, "LOSSES", index.LOSSES)
    monkeypatch.setattr(catalogue, "MODULES", index.MODULES)
    (loss,) = (field.metadata["option"] for field in dataclasses.fields(dyn.Model) if field.name == "loss")
    monkeypatch.setitem(vars(loss), "choices", index.LOSSES)  # read when the class was defined
    setting = Setting("quartic")
    module = executed(module_source(setting), f"dynamics.generated.{setting.name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.DERIVED


def rates_by_hand(s, lam, n1):
    """p = Lambda z1, so g_m = lam_m z2_m - (p . p) lam_m^2 z1_m. With E[z1_m z2_m] = s_m, and, z1_k of variance n1 s_k,
    E[(p . p) z1_m^2] = n1^2 s_m (sum_k lam_k^2 s_k + 2 lam_m^2 s_m):
    r_m = E[g_m z1_m]/s_m = lam_m (1 - n1^2 lam_m (sum_k lam_k^2 s_k + 2 lam_m^2 s_m))."""
    total = np.sum(lam**2 * s, axis=-1, keepdims=True)
    return lam * (1 - n1**2 * lam * (total + 2 * lam**2 * s))


@pytest.mark.parametrize("modes", [1, 2, 10])
@pytest.mark.parametrize("sigma1", [0.0, 0.5])
def test_rates_are_those_derived_by_hand(quartic, modes, sigma1):
    rng = np.random.default_rng(modes)
    s, lam = rng.uniform(0.1, 2, (2, 5, modes))
    expected = rates_by_hand(s, lam, 1 + sigma1**2)
    # Rounding, of terms up to n1^2 lam^2 (M + 2) lam^2 s ~ 600.
    np.testing.assert_allclose(quartic.rates.formula(s, lam, 1.0, sigma1**2, 0.04), expected, rtol=1e-13, atol=1e-12)


def test_model_takes_the_new_name(quartic):
    model = dyn.Model("quartic", noise=NOISE)
    s = np.array([0.2, 0.5, 1.0])
    np.testing.assert_allclose(
        EigenmodeField(model).of_eigenvalues(s), rates_by_hand(s, s, 1 + NOISE[0] ** 2), rtol=1e-13
    )  # rounding
    with pytest.raises(dyn.ArgumentError, match="because this loss has no isotropic version"):
        dyn.Model("quartic", isotropic=True)
    with pytest.raises(
        dyn.ArgumentError, match=r"'euclidean', 'cosine'.*, 'quartic', or .*but is 'quartik'. Did you mean 'quartic'"
    ):
        dyn.Model("quartik")


def test_gradient_is_that_of_the_loss(quartic):
    """Automatic differentiation of the generated loss against the generated gradient."""
    z1, z2 = np.random.default_rng(0).standard_normal((2, 6, 3))
    lam = np.array([0.5, 1.0, 1.5])
    with jax.enable_x64(True):
        slope = jax.grad(
            lambda z: quartic.loss(z, z2, z, z2, lambda a: lam * a, over_modes, jax.lax.stop_gradient).sum()
        )(z1)
    np.testing.assert_allclose(quartic.force_on_view1(z1, z2, lam, 1.0), -slope, rtol=1e-12)  # rounding
    assert (quartic.force_on_view2(z1, z2, lam, 1.0) == 0).all()


@parametrize("method", ["scipy", "jax"], quick=["scipy"])
def test_flow_follows_the_rate(quartic, method):
    """The slope of the solution, by central differences, is 2 s r."""
    h, rtol = 1e-3, 1e-11
    times = np.array([1 - h, 1, 1 + h])
    before, now, after = dyn.solve(dyn.Model("quartic"), [0.2, 0.5, 1.0], times, method=method, rtol=rtol).s
    # Error: third derivative (below 10) h^2/6, and that of the solution over 2h.
    np.testing.assert_allclose((after - before) / (2 * h), 2 * now * rates_by_hand(now, now, 1), atol=1e-5)


def test_equilibria_of_modes_that_move_one_another_are_refused(quartic):
    assert quartic.independent_modes is False
    with pytest.raises(dyn.ArgumentError, match="`model` must have a loss with independent modes, or a loss that"):
        dyn.equilibria(dyn.Model("quartic"), [0.2, 0.5])


def test_network_follows_descent_map(quartic):
    W0 = np.random.default_rng(0).standard_normal((4, 6)) / 4
    s0 = np.linalg.svd(W0, compute_uv=False)[::-1] ** 2
    model = dyn.Model("quartic", noise=NOISE)
    theory = dyn.iterate(model, s0, 12, 0.1)
    trained = dyn.train(model, W0, 12, 0.1, batch_size=20_000)
    comparison = dyn.compare(theory, trained)
    assert (np.abs(theory.s[-1] / s0 - 1) > 0.05).all()  # all modes have moved, and are still apart
    # 20 000 samples a step give standard deviations of at most 0.3 %.
    assert (comparison.sampling_error / comparison.theory).max() < 0.003
    assert comparison.max_relative() < 0.01
    assert comparison.within(4) == 1


@parametrize("setting", SETTINGS, quick=SETTINGS[::4], ids=lambda setting: setting.name)
def test_every_placement_follows_from_the_one_line(quartic, setting):
    """Rates against a Monte Carlo mean of the gradient of the generated loss."""
    derived = executed(module_source(setting), setting.name).DERIVED
    rng, samples, s = np.random.default_rng(0), 100_000, np.array([0.3, 0.8])
    lam = s if setting.predictor else np.ones(2)
    x = rng.standard_normal((samples, 2))
    zeta1, zeta2 = (x + sigma * rng.standard_normal(x.shape) for sigma in NOISE)

    def total(z1, z2):
        return derived.loss(z1, z2, z1, z2, lambda z: lam * z, over_modes, jax.lax.stop_gradient).sum()

    with jax.enable_x64(True):
        g, h = (-np.asarray(a) for a in jax.grad(total, (0, 1))(np.sqrt(s) * zeta1, np.sqrt(s) * zeta2))
    drive = (g * zeta1 + h * zeta2) / np.sqrt(s)
    error = drive.std(axis=0) / np.sqrt(samples)
    # |z| > 4.5 has a chance of 1 in 70 000 per test, two entries each.
    assert (np.abs(derived.rates.formula(s, lam, 1.0, *np.square(NOISE)) - drive.mean(axis=0)) < 4.5 * error).all()
