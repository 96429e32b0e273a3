"""Benchmarks compare implementations of the same task, and report results and goals."""

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dynamics as dyn
from benchmarks import exact_ensemble, measure, page, peers, row
from benchmarks.setting import TIMES, spectra
from dynamics.vector_field.eigenmodes import EigenmodeField

ROOT = Path(__file__).resolve().parents[2]


def test_peers_solve_the_same_equation():
    s = spectra(1)[0]
    rates = EigenmodeField(dyn.Model("cosine"), "mean_field").of_eigenvalues(s)
    np.testing.assert_allclose(peers.velocity(0.0, s), 2 * s * rates, rtol=1e-13)  # a few dozen roundings


def test_peers_give_the_same_trajectory():
    s0 = spectra(1)[0]
    ours = dyn.solve(dyn.Model("cosine"), s0, TIMES, closure="mean_field", rtol=1e-10).s
    np.testing.assert_allclose(peers.scipy_trajectory(s0, "LSODA"), ours, rtol=1e-8)  # LSODA at 1e-10, in 700 steps
    np.testing.assert_allclose(peers.diffrax_solver("Dopri8", False)(s0), ours, rtol=1e-8)  # a step each


def test_ensembles_of_heyoka_give_the_same_trajectories():
    pytest.importorskip("heyoka", reason="heyoka comes for Linux on x86-64 only")
    s0 = spectra(16)
    ours = dyn.solve(dyn.Model("cosine"), s0, TIMES, closure="mean_field", method="jax", rtol=1e-10).s
    for ensemble in (peers.heyoka_ensemble(s0, 8)(), peers.heyoka_by_hand(s0, 8, 2)()):
        np.testing.assert_allclose(ensemble, ours, rtol=1e-8)  # 1e-10 each, amplified by 1/lambda0


def test_implementations_take_turns_and_the_first_call_counts_apart(monkeypatch):
    clock, order = itertools.count(), []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    timings = measure.in_turn({name: lambda name=name: order.append(name) or name for name in "AB"}, repeats=3)
    assert order == ["A", "B", *"AB" * 3]
    assert timings["A"].result == "A" and timings["A"].runs == [1.0] * 3 and timings["A"].first == 1.0


def test_implementations_that_disagree_are_not_compared():
    assert row.agree("ours", 1e-9, 1e-8) == 1e-9
    for error in (1e-7, np.nan):
        with pytest.raises(row.DisagreementError, match="ours has an error of"):
            row.agree("ours", error, 1e-8)


def a_row(seconds: float, factor: float) -> row.Row:
    entries = [
        row.Measurement("ours", seconds, 1.0, 1e-9),
        row.Measurement("slow", 6.0),
        row.Measurement("fast", 3.0, note="with care"),
    ]
    verdict, met = row.against_fastest(entries[0], entries[1:], factor)
    return row.Row("Work", "all of it", "twice as fast", entries, verdict, met, limit="Light is slow.")


def test_the_goal_is_against_the_fastest_peer():
    assert a_row(1.0, 3.0).met and not a_row(1.0, 3.1).met
    assert "3 times as fast as fast, the fastest peer" in a_row(1.0, 3.0).verdict


def test_a_missed_goal_is_reported_with_its_limitation():
    missed, met = a_row(2.0, 2.0), a_row(1.0, 2.0)
    assert "**missed**" in page.as_text(missed) and "met" in page.as_text(met)
    assert "Limitation: Light is slow." in page._section(missed)
    assert "Light" not in page._section(met)
    assert "| ours | 2 s | 1 s | 1e-09 |  |" in page._section(missed)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(2.0, "2 s"), (1.5e-3, "1.5 ms"), (2e-7, "200 ns"), (4e-5, "40 µs"), (3e9, "3e+09 s")]
)
def test_seconds_are_shown_in_a_readable_unit(seconds, shown):
    assert page._seconds(seconds) == shown


def strings(path: Path) -> set[str]:
    """Return the string constants of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_page_has_the_prose_of_its_writer():
    """Measurements are made anew only by `make bench`; head, GPU section and limitations are those in the code."""
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    limitations = [line.removeprefix("Limitation: ") for line in text.splitlines() if line.startswith("Limitation: ")]
    written = set().union(*map(strings, (ROOT / "benchmarks").glob("*.py")))
    assert len(limitations) > 5 and set(limitations) <= written
    assert text.startswith(page.HEAD.split("{machine}")[0]) and text.endswith(page.GPU)


def test_the_page_states_when_it_was_measured_and_how_many_figures_there_were():
    """Numbers that are not measured again must not read as those of today."""
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert re.search(r"All numbers are of \d{4}-\d\d-\d\d, and of\nthe code", text)
    assert re.search(r"; \d+ figures [\d.]+ min ", text) and re.search(r"\| make figures, \d+ figures, again \|", text)


@pytest.mark.full
def test_the_script_for_accelerators_runs_on_a_cpu():
    script = [sys.executable, str(ROOT / "benchmarks/gpu.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert all(f"{name}: " in done.stdout for name in ("descent", "closure", "training"))


@pytest.mark.long
def test_the_closure_by_hand_gives_the_trajectories_of_the_exact_closure():
    s0 = np.random.default_rng(0).uniform(0.05, 1.0, (3, exact_ensemble.MODES))
    model = dyn.Model("cosine", noise=(0.0, exact_ensemble.SIGMA2))
    ours = dyn.solve(model, s0, exact_ensemble.TIMES, method="scipy", rtol=1e-9).s
    np.testing.assert_allclose(exact_ensemble.diffrax_by_hand()(s0), ours, rtol=exact_ensemble.ERROR)
