"""Ensembles in JAX: members that step together, members that cannot, and the devices they run on."""

import os
import subprocess
import sys

import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers import ensembles as groups
from dynamics.solvers import flow_diffrax as jax_flow
from tests.marks import parametrize

TIMES = np.linspace(0, 3, 7)
RTOL = 1e-9
SPECTRA = np.random.default_rng(0).uniform(0.2, 2.0, (50, 3))
# Each solution is within 10 rtol of the truth: errors grow by no more than 1/lambda0 < 10 from these starts.
AGREEMENT = 20 * RTOL


@pytest.fixture
def groups_of(monkeypatch):
    """groups_of(n): members step together in groups of n."""
    return lambda n: monkeypatch.setattr(groups, "GROUP", {"cpu": n})


MODELS = {
    "mean field": (dyn.Model("cosine", noise=(0.0, 0.1)), "mean_field"),
    "gaussian": (dyn.Model("cosine", noise=(0.0, 0.1)), "gaussian"),
    "learned": (dyn.Model("euclidean", predictor=dyn.Learned(rate=2.0), weight_decay=0.01), "gaussian"),
    "no power": (dyn.Model("cosine", predictor=dyn.ClosedForm(alpha=0.7, epsilon=0.1)), "mean_field"),
}


@parametrize("name", MODELS, quick=["mean field"])
def test_a_member_is_the_same_alone_and_in_a_group(name, groups_of):
    model, closure = MODELS[name]
    groups_of(8)
    together = dyn.solve(model, SPECTRA, TIMES, closure=closure, method="jax", rtol=RTOL)
    for number in (0, 7, 8, 49):
        alone = dyn.solve(model, SPECTRA[number], TIMES, closure=closure, method="scipy", rtol=RTOL)
        np.testing.assert_allclose(together.s[number], alone.s, rtol=AGREEMENT)
        np.testing.assert_allclose(together.predictor[number], alone.predictor, rtol=AGREEMENT)
    assert together.complete


def test_members_that_diverge_leave_the_others_alone(groups_of):
    """Wrong side: an eigenvalue above n2 blows up, at a time of its own; below it dies."""
    model = dyn.Model("euclidean", stop_gradient="online", noise=(0.0, 0.5))
    starts = np.array([[0.3, 0.5], [0.4, 2.0], [0.2, 0.6], [0.1, 4.0], [0.9, 0.8]])
    groups_of(4)
    flow = dyn.solve(model, starts, TIMES, method="jax", rtol=RTOL)
    exact = dyn.solve(model, starts, TIMES, method="exact")
    gone = np.isfinite(exact.blow_up_time)
    np.testing.assert_array_equal(gone, [False, True, False, True, False])
    np.testing.assert_array_equal(np.isfinite(flow.blow_up_time), gone)
    # At infinity an error of s is one of t.
    np.testing.assert_allclose(flow.blow_up_time[gone], exact.blow_up_time[gone], rtol=1e3 * RTOL)
    np.testing.assert_allclose(flow.s[~gone], exact.s[~gone], rtol=AGREEMENT)
    np.testing.assert_array_equal(np.isinf(flow.s), np.isinf(exact.s))


@pytest.mark.long
def test_a_group_of_too_many_steps_is_done_again_one_by_one(groups_of, monkeypatch):
    model, closure = MODELS["mean field"]
    groups_of(16)
    whole = dyn.solve(model, SPECTRA, TIMES, closure=closure, method="jax", rtol=RTOL)
    monkeypatch.setattr(jax_flow, "MAX_STEPS_TOGETHER", 3)
    jax_flow._compiled.cache_clear()
    again = dyn.solve(model, SPECTRA, TIMES, closure=closure, method="jax", rtol=RTOL)
    jax_flow._compiled.cache_clear()
    assert again.complete
    np.testing.assert_allclose(again.s, whole.s, rtol=AGREEMENT)
    assert (again.s != whole.s).any()  # it did take other steps


PREDICTORS = [dyn.ClosedForm(alpha=0.5, epsilon=0.1), dyn.ClosedForm(), dyn.ClosedForm(normalize=True)]


@parametrize("predictor", PREDICTORS, quick=PREDICTORS[:1], ids=str)
def test_predictor_of_an_ensemble_follows_from_its_eigenvalues(predictor):
    flow = dyn.solve(dyn.Model("euclidean", predictor=predictor), SPECTRA, TIMES, method="jax")
    largest = flow.s.max(axis=-1, keepdims=True) if predictor.normalize else 1.0
    expected = (flow.s / largest + predictor.epsilon) ** predictor.alpha
    np.testing.assert_allclose(flow.predictor, expected, rtol=1e-15)  # rounding of the power


RUN = """
import sys, numpy as np, jax, dynamics as dyn
from dynamics.solvers import ensembles as groups
from dynamics.solvers import flow_diffrax as jax_flow
groups.GROUP = {"cpu": 8}
spectra = np.random.default_rng(0).uniform(0.2, 2.0, (50, 3))
model = dyn.Model("cosine", noise=(0.0, 0.1))
flow = dyn.solve(model, spectra, np.linspace(0, 3, 7), closure=sys.argv[1], method="jax")
np.save(sys.argv[2], flow.s)
print(len(jax.devices()))
"""


@pytest.mark.long
@pytest.mark.parametrize("closure", ["mean_field", "gaussian"])
def test_eight_devices_give_what_one_gives(closure, tmp_path):
    """To the last bit: whom a member is grouped with does not depend on the devices."""

    def run(devices: int) -> np.ndarray:
        flags = f"--xla_force_host_platform_device_count={devices}"
        out = tmp_path / f"{devices}.npy"
        script = [sys.executable, "-c", RUN, closure, str(out)]
        done = subprocess.run(script, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(devices)]
        return np.load(out)

    np.testing.assert_array_equal(run(8), run(1))


def test_members_whose_quadrature_misses_its_tolerance_are_computed_again(monkeypatch):
    model = dyn.Model("cosine", noise=(0.0, 0.1))
    levels = []
    original = jax_flow._solve_part
    monkeypatch.setattr(jax_flow, "_solve_part", lambda *args: levels.append(args[2]) or original(*args))
    monkeypatch.setattr(groups, "STRICTER", 1e4)  # rules of the first two levels are too coarse
    flow = dyn.solve(model, SPECTRA[:4], TIMES, method="jax", rtol=1e-6)
    assert max(levels) > 0 and flow.error < 1e-7 and flow.complete
    single = dyn.solve(model, SPECTRA[0], TIMES, method="scipy", rtol=1e-9)
    np.testing.assert_allclose(flow.s[0], single.s, rtol=1e-5)  # 10 rtol: the error grows by less than 10


def test_a_flow_whose_modes_become_equal_needs_no_more_steps():
    """The largest stable step is about 0.4 here, so that 1e9 steps would be needed for the whole time."""
    model = dyn.Model("cosine", noise=(0.0, 0.1))
    flow = dyn.solve(model, SPECTRA[:3], [0.0, 1.0, 1e9], method="jax", rtol=1e-6)
    assert flow.complete
    # The cosine loss conserves the sum over modes, up to the tolerance.
    np.testing.assert_allclose(flow.s[:, 2], SPECTRA[:3].mean(axis=-1, keepdims=True) + np.zeros(3), rtol=1e-6)
    np.testing.assert_allclose(flow.s[:, 1], dyn.solve(model, SPECTRA[:3], [0, 1.0], method="scipy").s[:, 1], rtol=1e-5)


def test_similar_members_form_a_group(groups_of):
    """The ratio of the smallest to the largest eigenvalue sorts the members; results keep the order of the input."""
    model = dyn.Model("cosine", noise=(0.0, 0.1))
    groups_of(2)
    spectra = np.array([[0.1, 1.0], [0.9, 1.0], [0.11, 1.0], [0.8, 1.0]])
    flow = dyn.solve(model, spectra, TIMES, method="jax", rtol=1e-6)
    np.testing.assert_allclose(flow.s[:, 0], spectra, rtol=1e-14)
    for number, spectrum in enumerate(spectra):
        np.testing.assert_allclose(flow.s[number], dyn.solve(model, spectrum, TIMES, rtol=1e-8).s, rtol=1e-5)


@pytest.mark.parametrize("method", ["scipy", "jax"])
def test_modes_that_have_become_equal_are_within_the_tolerance(method):
    """The modes are taken as equal while they still differ: by a tenth of rtol in w, a fifth in s."""
    model, rtol = dyn.Model("cosine", noise=(0.0, 0.1)), 1e-6
    spectra = np.exp(np.random.default_rng(0).uniform(np.log(0.05), 0, (8, 3)))
    times = np.linspace(0, 50, 60)
    flow = dyn.solve(model, spectra, times, method=method, rtol=rtol)
    truth = dyn.solve(model, spectra, times, method="scipy", rtol=1e-10)
    equal = np.ptp(truth.s, axis=-1) < rtol * truth.s.max(axis=-1)
    assert equal.sum() > 100
    np.testing.assert_allclose(flow.s[equal], truth.s[equal], rtol=0.5 * rtol)  # the rest: errors of the integration
