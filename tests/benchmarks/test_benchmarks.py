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
from benchmarks import deep_training, exact_ensemble, install, matrices, measure, page, peers, roofline, row, sweeps
from benchmarks.operations import count_operations
from benchmarks.setting import TIMES, spectra
from dynamics.numerics.context import jax_settings
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


@pytest.mark.long
def test_the_closure_of_matrices_by_hand_gives_the_trajectories_of_the_exact_closure():
    covariance, W0 = matrices.inputs(), np.random.default_rng(1).normal(size=(matrices.M, matrices.N)) / 4
    model = dyn.Model("cosine", noise=(0.0, matrices.SIGMA2), inputs=covariance)
    ours = dyn.solve(model, W0, matrices.TIMES, rtol=1e-5).weights
    assert matrices.deviation(matrices.diffrax_by_hand(covariance)(W0), ours) < matrices.ERROR


def test_the_largest_deviation_of_weights_is_relative_to_the_weights_of_the_same_time():
    reference = np.array([[[1.0, 2.0]], [[10.0, -40.0]]])
    assert matrices.deviation(reference + np.array([[[0.0, 0.2]], [[2.0, 0.0]]]), reference) == pytest.approx(0.1)


@pytest.mark.parametrize(("closure", "tolerance"), [("mean_field", 1e-13), ("gaussian", sweeps.ERROR)])
def test_rates_of_the_loop_by_hand(closure, tolerance):
    sigma2, s = 0.3, np.geomspace(0.05, 1.0, 4)
    by_hand = {"gaussian": sweeps.exact_rates, "mean_field": sweeps.mean_field_rates}[closure](sigma2, s)
    ours = EigenmodeField(dyn.Model("cosine", noise=(0.0, sigma2)), closure).of_eigenvalues(s)
    np.testing.assert_allclose(by_hand, ours, rtol=0, atol=tolerance * np.abs(ours).max())


def test_a_sweep_and_its_loop_by_hand_have_the_same_points(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeps, "SIZES", {"mean_field": (4, 5)})
    monkeypatch.setattr(sweeps, "CHUNKS", {"mean_field": 10})
    monkeypatch.setattr(sweeps, "SHARE", {"mean_field": 7})
    points = sweeps.peer_points("mean_field")
    swept, alone = sweeps.sweep("mean_field", None, tmp_path), sweeps.blocks("mean_field")
    assert len(points) == len(swept) == 3
    np.testing.assert_allclose(alone, swept, rtol=1e-9)
    for point, s in zip(points, swept, strict=True):
        np.testing.assert_allclose(s, sweeps.by_hand("mean_field", point), rtol=1e-5)  # both at some 1e-6


def test_operations_of_an_integrand_are_counted_by_the_arrays_on_which_they_act():
    def integrand(x, y, s, lam, ratio):
        xp = x.__array_namespace__()
        Delta = 1 + lam * s * x**2  # on modes: 1 product; on nodes: 1 product; on both: 1 product and 1 addition
        return ratio * y / xp.sqrt(xp.prod(Delta, axis=-2)) / Delta  # on both: 1 product of the modes and 1 division

    tally = count_operations(integrand)
    assert tally["multiplication", False, True] == 1 and tally["multiplication", True, False] == 1
    assert tally["multiplication", True, True] == 3 and tally["addition", True, True] == 2  # with those of the weights
    assert tally["division", True, True] == tally["division", True, False] == tally["square root", True, False] == 1
    assert tally["exponential", True, True] == 0


def test_the_counted_bytes_are_those_of_operands_and_results():
    tally = count_operations(lambda x, y, s, lam, ratio: x * s)
    assert tally["bytes", True, True] == 8 + 2 * 8  # the product; weighted
    assert tally["bytes", True, False] == 2 * 8 and tally["bytes", False, True] == 8


def test_the_roofline_is_that_of_the_rates_that_are_timed():
    model = dyn.Model("cosine", noise=(0.0, 0.1))
    tally = count_operations(model.generated.rates.integrals[0].integrand, 0.0, 0.1)
    assert tally["division", True, True] == 1 and tally["square root", True, False] == 1
    s = np.array([[0.2, 0.5, 1.0]])
    field = EigenmodeField(model, rtol=1e-7)
    field.of_eigenvalues(s)
    with jax_settings(x64=True):
        rates = roofline.compiled_rates(model, s, field.quadratures["rates"].rules[0])()
    np.testing.assert_allclose(rates, field.of_eigenvalues(s), rtol=1e-12)


def test_a_wheel_without_extras_needs_no_package_of_an_extra():
    needed = install.required(install.PACKAGE)
    assert {"numpy", "jax", "equinox"} <= needed and not install.NOT_NEEDED & needed
    assert install.NOT_NEEDED - {"torch"} <= install.locked()  # so the names are those of the packages


def test_installed_sizes_are_those_of_the_files_and_packages_that_are_absent_are_left_out():
    sizes = install.sizes({"click", "tqdm", "no-such-package"})
    assert set(sizes) == {"click", "tqdm"} and min(sizes.values()) > 50_000
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


@pytest.mark.torch
def test_deep_networks_in_pytorch_have_the_same_loss():
    images = dyn.digits()
    network = dyn.Network(images, encoder=dyn.MLP(deep_training.WIDTHS[:2]), projector=deep_training.WIDTHS[2:])
    model = dyn.Model("cosine", predictor=dyn.ClosedForm(deep_training.ALPHA), weight_decay=deep_training.WEIGHT_DECAY)
    run = dyn.train(model, network, 200, deep_training.LEARNING_RATE, batch_size=deep_training.BATCH, record=200)
    by_hand = deep_training.torch_training(images.train, network.views, 200, threads=1)()
    assert abs(by_hand - run.measures["loss"][-1]) < deep_training.SPREAD


def test_every_row_can_be_chosen_by_name():
    from benchmarks.__main__ import ROWS

    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "\ndef measure()" in path.read_text("utf-8")}
    assert set(ROWS) == modules
