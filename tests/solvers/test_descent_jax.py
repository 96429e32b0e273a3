"""The descent map in JAX, against the descent map in NumPy."""

from functools import partial

import numpy as np
import pytest

import dynamics as dyn
import dynamics.vector_field.base
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.solvers import descent_jax as jax_descent
from dynamics.solvers import ensembles as groups
from dynamics.solvers import methods
from tests.marks import parametrize

S0 = [0.05, 0.4, 1.5]
COSINE = dyn.Model("cosine", noise=(0.0, 0.1))
MODELS = {
    "cosine": COSINE,
    "isotropic": dyn.Model("cosine", isotropic=True, noise=(0.1, 0.3), weight_decay=0.01),
    "learned": dyn.Model("cosine", predictor=dyn.Learned(rate=2.0), noise=(0.1, 0.3)),
    "own target": dyn.Model("cosine", target=dyn.EMA(0.9), noise=(0.1, 0.3)),
    "normalised": dyn.Model("cosine", predictor=dyn.ClosedForm(alpha=0.5, normalize=True, tracking=0.5)),
    "euclidean": dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha=0.7, epsilon=0.1)),
    "no predictor": dyn.Model("cosine", stop_gradient="none", predictor=dyn.NoPredictor(), noise=(0.1, 0.3)),
    "one norm": dyn.Model(dyn.Loss.parse("log(1 + |p - sg(z2)|^2)"), noise=(0.1, 0.3)),
    "even powers": dyn.Model(dyn.Loss.parse("-(p . sg(z2))^2 / (|p|^2 * |sg(z2)|^2)"), noise=(0.1, 0.3)),
}
# Each is within the tolerance of its quadrature, 1e-9 of the rates; along the run that adds up to a time.
AGREEMENT = 1e-7


def both(*arguments, **options):
    return (dyn.iterate(*arguments, method=method, **options) for method in ("jax", "numpy"))


@parametrize("name", MODELS, quick=["cosine"])
def test_it_is_the_same_map(name):
    found, expected = both(MODELS[name], S0, 150, 0.1)
    assert np.abs(expected.s[-1] / expected.s[0] - 1).max() > 0.3  # it did move
    for part in ("s", "target", "predictor"):
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=AGREEMENT)
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_array_equal(found.s[0], S0)
    assert found.status == "complete" and found.error <= 1e-9


@pytest.mark.parametrize("record", [1, 7, 60])
def test_it_records_the_same_steps(record):
    found, expected = both(MODELS["euclidean"], S0, 130, 0.1, record=record)
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_allclose(found.s, expected.s, rtol=1e-12)  # 130 steps of a few roundings


@pytest.mark.long
def test_an_ensemble_in_groups_equals_its_members_one_by_one(monkeypatch):
    monkeypatch.setattr(groups, "GROUP", {"cpu": 4})
    model = dyn.Model("cosine", noise=(np.linspace(0, 0.3, 5)[:, None], 0.1), weight_decay=np.array([0.0, 0.05]))
    found, expected = both(model, S0, 60, 0.1)
    assert found.s.shape == (5, 2, 61, 3)
    np.testing.assert_allclose(found.s, expected.s, rtol=AGREEMENT)


def test_members_that_diverge_are_infinite_from_there_on():
    model = dyn.Model("euclidean", stop_gradient="online", noise=(0.0, 0.5))
    found, expected = both(model, [[0.3, 0.5], [0.4, 2.0]], 60, 0.1)
    assert np.isfinite(expected.blow_up_time).tolist() == [False, True]
    np.testing.assert_array_equal(found.blow_up_time, expected.blow_up_time)
    np.testing.assert_array_equal(np.isinf(found.s), np.isinf(expected.s))
    finite = np.isfinite(expected.s)
    np.testing.assert_allclose(found.s[finite], expected.s[finite], rtol=1e-9)  # rounding, which a blow-up amplifies
    assert found.status == expected.status


def test_a_run_that_diverges_ends_there():
    model = dyn.Model("euclidean", stop_gradient="online")
    found, expected = both(model, [0.4, 2.0], 200, 0.1)
    assert len(found.step) == len(expected.step) < 201
    assert found.status == expected.status


@pytest.mark.long
def test_dead_modes_stay_dead_and_one_mode_alone_stays():
    found, expected = both(COSINE, [0.0, 0.4], 20, 0.1)
    np.testing.assert_array_equal(found.s[:, 0], 0)
    np.testing.assert_allclose(found.s, expected.s, rtol=1e-15)


@pytest.mark.long
def test_nodes_are_added_where_the_spectrum_asks_for_them(monkeypatch):
    levels, rules = [], groups.Division.rules
    monkeypatch.setattr(groups.Division, "rules", lambda *given: levels.append(given[2]) or rules(*given))
    monkeypatch.setattr(groups, "STRICTER", 30.0)  # rules of the first level are too coarse
    few = dyn.iterate(COSINE, S0, 30, 0.1, method="jax")
    assert few.error <= 1e-9 and max(levels) > 0
    monkeypatch.setattr(dynamics.vector_field.base, "Adaptive", partial(Adaptive, max_nodes=8))
    with pytest.warns(dyn.AccuracyWarning, match="quadrature reached a relative error of"):
        assert dyn.iterate(COSINE, S0, 30, 0.1, method="jax").error > 1e-9


def test_it_is_chosen_where_numpy_would_take_long(monkeypatch):
    chosen = []
    monkeypatch.setattr(methods.CompiledDescent, "integrate", lambda *_: chosen.append("jax") or 1 / 0)
    dyn.iterate(COSINE, S0, 10, 0.1)
    assert chosen == []
    with pytest.raises(ZeroDivisionError):
        dyn.iterate(COSINE, np.tile(S0, (1000, 1)), 1000, 0.1)
    assert chosen == ["jax"]


@pytest.mark.parametrize("case", ["inputs", "batch_size"])
def test_what_it_cannot_do_is_refused(case):
    model = dyn.Model("cosine", inputs=np.eye(3)) if case == "inputs" else COSINE
    start, options = (np.eye(2, 3), {}) if case == "inputs" else (S0, {"batch_size": 100, "input_dimension": 4})
    with pytest.raises(dyn.ArgumentError, match="Argument `method` must be 'auto' or 'numpy' for a model with"):
        dyn.iterate(model, start, 5, 0.1, method="jax", **options)
    with pytest.raises(dyn.ArgumentError, match="Argument `method` must be one of 'auto', 'jax', 'numpy'"):
        dyn.iterate(model, start, 5, 0.1, method="jaxx", **options)


def test_ctrl_c_keeps_the_steps_that_are_done(press_ctrl_c):
    whole = dyn.iterate(COSINE, S0, 120, 0.1, method="jax")
    press_ctrl_c(jax_descent, at_update=2)
    part = dyn.iterate(COSINE, S0, 120, 0.1, method="jax")
    assert part.status == f"interrupted at step {part.step[-1]}" and 0 < part.step[-1] < 120
    np.testing.assert_array_equal(part.s, whole.s[: len(part.step)])


def test_every_call_tells_its_error(monkeypatch):
    """The last one has three steps, none of which renews the ends of the axes."""
    own, errors = jax_descent._pass_part, []

    def watched(*arguments):
        passed = own(*arguments)
        errors.append(passed[0].error)
        return passed

    monkeypatch.setattr(jax_descent, "_pass_part", watched)
    dyn.iterate(COSINE, S0, jax_descent.RECORDS_PER_CALL + 3, 0.1, method="jax")
    assert len(errors) == 2 and np.min(errors) > 0
