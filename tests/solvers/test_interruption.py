"""Ctrl-C returns what is done, and the result says so."""

import numpy as np

import dynamics as dyn
from dynamics.networks import loop
from dynamics.solvers import descent_numpy
from dynamics.solvers import ensembles as groups
from dynamics.solvers import flow_diffrax as jax_flow
from dynamics.solvers import flow_scipy as scipy_flow

COSINE, S0, TIMES = dyn.Model("cosine", noise=(0.1, 0.3)), [0.2, 0.5, 1.5], np.linspace(0, 2, 41)


def assert_first_part(part, whole):
    assert not part.complete and 1 < len(part.t) < len(whole.t)
    np.testing.assert_array_equal(part.s, whole.s[: len(part.t)])
    np.testing.assert_array_equal(part.t, whole.t[: len(part.t)])


def test_training(press_ctrl_c):
    def run():
        return dyn.train(COSINE, np.eye(2, 3), 200, 0.1, batch_size=100, dtype="float64")

    whole = run()
    press_ctrl_c(loop, at_update=2)
    part = run()
    assert part.status == f"interrupted after step {part.step[-1]}"
    assert_first_part(part, whole)
    np.testing.assert_array_equal(part.weights, whole.weights[: len(part.t)])


def test_training_that_records_little_hears_it_too(press_ctrl_c):
    press_ctrl_c(loop, at_update=2)
    part = dyn.train(COSINE, np.eye(2, 3), 5000, 0.1, batch_size=10, record=300)
    assert part.status == f"interrupted after step {part.step[-1]}" and part.step[-1] in (0, 300)


def test_descent_map(press_ctrl_c):
    whole = dyn.iterate(COSINE, S0, 20, 0.1)
    press_ctrl_c(descent_numpy, at_update=5)
    part = dyn.iterate(COSINE, S0, 20, 0.1)
    assert part.status == "interrupted at step 5"
    assert_first_part(part, whole)


def test_flow(press_ctrl_c):
    whole = dyn.solve(COSINE, S0, TIMES)
    press_ctrl_c(scipy_flow, at_update=15)
    part = dyn.solve(COSINE, S0, TIMES)
    assert part.status.startswith("interrupted at t = ")
    assert_first_part(part, whole)


def test_ensemble_in_jax_keeps_the_members_that_are_done(press_ctrl_c, monkeypatch):
    ensemble = np.multiply.outer([1.0, 1.1, 1.2], S0)
    whole = dyn.solve(COSINE, ensemble, TIMES, closure="mean_field", method="jax")
    monkeypatch.setattr(groups, "GROUP", {"cpu": 1})  # one member a call
    press_ctrl_c(jax_flow, at_update=2)
    part = dyn.solve(COSINE, ensemble, TIMES, closure="mean_field", method="jax")
    assert part.status.startswith("interrupted after 2 of 3 ensemble members")
    np.testing.assert_allclose(part.s[:2], whole.s[:2], rtol=1e-8)  # members compiled apart: their rtol
    assert np.isnan(part.s[2]).all()


def test_ensemble_keeps_the_members_that_are_done(press_ctrl_c):
    ensemble = np.multiply.outer([1.0, 1.1, 1.2], S0)
    whole = dyn.solve(COSINE, ensemble, TIMES, method="scipy")
    press_ctrl_c(scipy_flow, at_update=10)
    part = dyn.solve(COSINE, ensemble, TIMES, method="scipy")
    done = np.isfinite(part.s)
    assert "of 3; values that were not computed, in " in part.status and part.status.startswith("interrupted")
    assert 0 < done.sum() < done.size and done[0, 0].all() and np.isnan(part.s[2]).all()
    np.testing.assert_array_equal(part.s[done], whole.s[done])
    assert "at the start" in str(part)
