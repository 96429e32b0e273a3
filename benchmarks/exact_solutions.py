"""Measure exact solutions: 1000 initial spectra of 10 modes, at 200 times."""

import numpy as np
import scipy.special

import dynamics as dyn
from benchmarks.measure import in_turn
from benchmarks.row import Measurement, Row, agree

SHAPE = (1000, 10)
TIMES = np.linspace(0, 20, 200)


def measure() -> list[Row]:
    """Compare the Euclidean solution with SciPy's lambertw, and the isotropic solution with NumPy and memory speed."""
    s0 = np.random.default_rng(0).uniform(0.01, 2, SHAPE)
    u0, t = s0[:, None, :], TIMES[:, None]
    euclidean, isotropic = dyn.Model("euclidean"), dyn.Model("euclidean", isotropic=True)

    def by_scipy():
        y0 = 1 / u0 - 1
        return 1 / (1 + scipy.special.lambertw(y0 * np.exp(y0 - 2 * t)).real)

    def by_numpy():
        return 1 / (1 + (1 / u0 - 1) * np.exp(-2 * t))

    def written():
        return np.full((SHAPE[0], len(TIMES), SHAPE[1]), 0.5)

    timings = in_turn(
        {
            "ours, Euclidean": lambda: dyn.solve(euclidean, s0, TIMES).s,
            "scipy.special.lambertw": by_scipy,
            "ours, isotropic": lambda: dyn.solve(isotropic, s0, TIMES).s,
            "plain NumPy": by_numpy,
            "np.full of the same size": written,
        },
        repeats=15,
    )
    results = {name: timing.result for name, timing in timings.items()}
    # The tolerance is the rounding error, amplified by 1/u0; the largest 1/u0 is 100.
    errors = {
        "ours, Euclidean": agree("Lambert", _difference(results, "ours, Euclidean", "scipy.special.lambertw"), 1e-13),
        "ours, isotropic": agree("logistic", _difference(results, "ours, isotropic", "plain NumPy"), 1e-13),
    }
    lambert, scipy_lambert, logistic, plain, memory = (Measurement.of(v, errors.get(k)) for k, v in timings.items())
    values = s0.size * len(TIMES)
    ratio, bandwidth = scipy_lambert.seconds / lambert.seconds, logistic.seconds / memory.seconds
    return [
        Row(
            "Exact solutions, Euclidean",
            f"{values / 1e6:g} million values of the solution by the Lambert W function, "
            f"{1e9 * lambert.seconds / values:.0f} ns a value",
            "5 times as fast as SciPy's lambertw",
            [lambert, scipy_lambert],
            f"{ratio:.2g} times as fast (goal: 5)",
            ratio >= 5,
            limit="On one core a value takes about 22 ns: 6 ns for two iterations of a fourth-order method, 8 ns for "
            "initial guesses on both branches of the function, and 2 ns for a difference in extended precision; the "
            "rest is memory traffic. The cores divide the values among them.",
        ),
        Row(
            "Exact solutions, isotropic",
            f"{values / 1e6:g} million values of the solution by a logistic function, "
            f"{1e9 * logistic.seconds / values:.1f} ns a value",
            "at most 3 times the time of writing the result to memory",
            [logistic, plain, memory],
            f"{plain.seconds / logistic.seconds:.2g} times as fast as plain NumPy, {bandwidth:.2g} times the time "
            "of writing the result (goal: 3)",
            bandwidth <= 3,
            limit="Each value takes a multiplication, an addition and a division with numbers that are shared along an "
            "axis, about 2 ns on one core, in both libraries. Writing takes 0.2 ns. Ours then reads all values again, "
            "to find numbers that are not finite, and spends about 1 ms on checks, threads and conditions under which "
            "the terms of the formula cannot overflow.",
        ),
    ]


def _difference(results, first: str, second: str) -> float:
    return float(np.abs(results[first] / results[second] - 1).max())
