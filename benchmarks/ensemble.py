"""Measure an ensemble: the flow of the cosine loss in mean field from 10 000 initial spectra."""

import numpy as np

import dynamics as dyn
from benchmarks import peers
from benchmarks.measure import in_turn
from benchmarks.row import Measurement, Row, agree
from benchmarks.setting import POINTS, TIMES, M, spectra
from dynamics.numerics.threads import cores

MANY, ERROR = 10_000, 1e-9
RTOL = 1e-6  # tolerance at which the error of our method is below ERROR


def measure() -> Row:
    """Compare an ensemble with diffrax under vmap, heyoka's ensemble function, and a hand-written heyoka loop."""
    s0, model = spectra(MANY), dyn.Model("cosine")
    vmapped = peers.diffrax_solver("Dopri8", True)
    timings = in_turn(
        {
            "ours": lambda: dyn.solve(model, s0, TIMES, closure="mean_field", rtol=RTOL).s,
            "diffrax Dopri8, vmap": lambda: vmapped(s0),
            "heyoka, ensemble in batches of 8": peers.heyoka_ensemble(s0, 8),
            "heyoka, batches of 8 by hand": peers.heyoka_by_hand(s0, 8, cores()),
        },
        repeats=7,
    )
    shown = [0, MANY // 3, MANY - 1]
    reference = np.stack([peers.scipy_trajectory(s0[i], "DOP853", 1e-13, 1e-15) for i in shown])
    entries = []
    for name, timing in timings.items():
        error = float(np.abs(np.asarray(timing.result)[shown] / reference - 1).max())
        entries.append(Measurement.of(timing, agree(name, error, 10 * ERROR)))
        timing.result = None
    ours, diffrax, api, by_hand = entries
    fastest = min(diffrax.seconds, api.seconds)
    ratio = fastest / ours.seconds
    return Row(
        "Ensemble",
        f"the same flow from {MANY} initial spectra, {MANY * POINTS * M * 8 / 1e6:.0f} MB of results",
        "3 times as fast as the fastest peer",
        entries,
        f"{ratio:.2g} times as fast as the fastest ensemble function of a peer; {by_hand.seconds / ours.seconds:.2g} "
        "times as fast as heyoka in a hand-written loop",
        ratio >= 3,
        limit="All but diffrax integrate with heyoka. The hand-written loop reuses one integrator per thread, as ours "
        "does; heyoka's ensemble function copies an integrator for every batch. Ours takes more steps, because it "
        "integrates singular values, passes the parameters of the model at run time and keeps the relative error of "
        "every mode small; it checks for divergence, and converts singular values to eigenvalues.",
    )
