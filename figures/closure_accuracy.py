"""Accuracy of the closures of the cosine loss against the number of modes.

The drift of mode m is r_m s_m, with its correlation eigenvalue s_m and its rate r_m. For random eigenvalues, the figure
shows the relative errors of the drift in the mean-field closure and in a Monte Carlo estimate. The reference is the
Gaussian closure, which is exact up to the error of its quadrature. The figure also shows the estimate of this error.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.numerics.progress import progress_bar
from dynamics.vector_field.eigenmodes import EigenmodeField
from figures import style
from figures.captions import count, listing, percent
from figures.statistics import mean_of

MODEL = dyn.Model("cosine")
MODES = {False: (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000), True: (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 3000)}
DRAWS = {False: 11, True: 101}
SPECTRUM = (0.02, 2.0)  # range in which eigenvalues are drawn log-uniformly
SAMPLES, CHUNK = 10_000, 1_000
RTOL = 1e-9


class Errors(NamedTuple):
    """Errors of the drift r_m s_m, in arrays of shape (numbers of modes, draws).

    r_m is the rate and s_m the eigenvalue of mode m. ``mean_field`` and ``monte_carlo`` are the largest error of any
    mode divided by the largest drift of any mode. ``mean_field_rms`` is the root mean square of the errors divided by
    the root mean square of the drifts. ``quadrature`` is the error that the Gaussian closure estimates for its
    quadrature. ``gaussian_z`` and ``mean_field_z`` are root mean squares over modes of the distance of the Monte Carlo
    estimate from the two closures, in standard errors of this estimate.
    """

    modes: tuple[int, ...]
    mean_field: np.ndarray
    mean_field_rms: np.ndarray
    monte_carlo: np.ndarray
    quadrature: np.ndarray
    gaussian_z: np.ndarray
    mean_field_z: np.ndarray


def compute(full: bool) -> Errors:
    """Return the errors of the closures for random spectra."""
    rng, modes, draws = np.random.default_rng(0), MODES[full], DRAWS[full]
    low, high = np.log(SPECTRUM)
    errors = np.empty((len(modes), draws, 6))
    with progress_bar(len(modes) * draws, "closures", None) as bar:
        for index in np.ndindex(errors.shape[:2]):
            s = np.exp(rng.uniform(low, high, modes[index[0]]))
            errors[index] = _errors(s, rng)
            bar.update()
    return Errors(modes, *np.moveaxis(errors, -1, 0))


def _errors(s: np.ndarray, rng: np.random.Generator) -> tuple[float, ...]:
    rates = EigenmodeField(MODEL, rtol=RTOL)
    exact = s * rates.of_eigenvalues(s)
    mean_field = s * EigenmodeField(MODEL, "mean_field").of_eigenvalues(s) - exact
    estimate, error = monte_carlo(s, rng)
    sampled, largest = estimate - exact, np.abs(exact).max()
    return (
        np.abs(mean_field).max() / largest,
        np.sqrt(np.mean(mean_field**2) / np.mean(exact**2)),
        np.abs(sampled).max() / largest,
        rates.error,
        np.sqrt(np.mean((sampled / error) ** 2)),
        np.sqrt(np.mean(((sampled - mean_field) / error) ** 2)),
    )


def monte_carlo(s: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the drift r_m s_m of each mode m by a mean over samples, with its standard error.

    r_m is the rate and s_m the eigenvalue of mode m.
    """
    total, squares = np.zeros((2, len(s)))
    for _ in range(SAMPLES // CHUNK):
        z = np.sqrt(s) * rng.standard_normal((CHUNK, len(s)))
        drift = MODEL.generated.force_on_view1(z, z, s, 1.0) * z
        total += drift.sum(axis=0)
        squares += (drift**2).sum(axis=0)
    mean = total / SAMPLES
    return mean, np.sqrt((squares / SAMPLES - mean**2) / (SAMPLES - 1))


LINES = {  # label, colour, marker, index of the axes
    "mean_field": ("mean field", style.RED, "o", 0),
    "mean_field_rms": ("mean field, rms", style.ORANGE, "s", 0),
    "monte_carlo": (f"Monte Carlo, {count(SAMPLES)} samples", style.BLUE, "^", 0),
    "quadrature": ("quadrature error, estimated", style.GREEN, "D", 1),
}


def draw(data: Errors) -> Figure:
    """Draw medians and interquartile ranges of the errors against the number of modes.

    The quadrature error, which is much smaller than the other errors, has separate axes.
    """
    figure = Figure(figsize=(style.COLUMN, 3.6))
    axes = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    for name, (label, color, marker, where) in LINES.items():
        low, median, high = np.quantile(getattr(data, name), (0.25, 0.5, 0.75), axis=1)
        axes[where].fill_between(data.modes, low, high, color=color, alpha=0.25, linewidth=0)
        axes[where].plot(data.modes, median, color=color, marker=marker, markersize=3, label=label)
    axes[0].set(xscale="log", yscale="log", ylim=(1e-3, 1))
    axes[1].set(yscale="log", ylim=(1e-16, 10 * RTOL), xlabel="number of modes $M$")
    axes[1].axhline(RTOL, color=style.GREY, linewidth=0.6, linestyle=":", label="tolerance of the quadrature")
    figure.supylabel("relative error of the drift $r_m s_m$", fontsize=8)
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.5, columnspacing=1.0)
    return figure


def caption(data: Errors, full: bool) -> str:
    """Return the caption, which describes the panels and states the mean-field error for three numbers of modes."""
    shown = [data.modes.index(modes) for modes in (10, 100, 1000)]
    medians = {name: np.median(getattr(data, name), axis=1) for name in LINES}
    middle = listing(f"{percent(medians['mean_field'][i])} at M = {data.modes[i]}" for i in shown)
    rms = listing(percent(medians["mean_field_rms"][i]) for i in shown)
    spread = listing(" to ".join(percent(e) for e in np.quantile(data.mean_field[i], (0.25, 0.75))) for i in shown)
    gaussian, mean_field = (mean_of(np.sqrt((z**2).mean(axis=0))).text() for z in (data.gaussian_z, data.mean_field_z))
    return f"""
Error of two approximations, mean field and Monte Carlo, to the drift `r_m s_m` of eigenvalues under the cosine loss,
against the number of modes M. Here `s_m` is the eigenvalue of mode m and `r_m` its rate. The predictor is the
correlation, `W_P = C`, and the views have no noise. The reference is the exact expectation over Gaussian inputs (the
Gaussian closure). Eigenvalues are drawn log-uniformly between {SPECTRUM[0]:g} and {SPECTRUM[1]:g}. Lines: medians of
{DRAWS[full]} draws; bands: first to third quartile. Top: two measures of the error. The first is the largest error of
any mode divided by the largest exact drift of any mode, for the mean field (red circles) and for Monte Carlo (blue
triangles). The second is the root mean square of the mean-field errors divided by the root mean square of the exact
drifts (orange squares, rms). Bottom: the error of the Gaussian closure as its quadrature estimates it (green diamonds),
and the tolerance of the quadrature (dotted).

The mean field replaces the expectation of a ratio by the ratio of expectations. The median of its largest error is
{middle}; for these numbers of modes, the first and third quartiles of the largest error are {spread}, and the medians
of the rms error are {rms}. A Monte Carlo estimate from {count(SAMPLES)} samples has a median of the largest error
between {percent(medians["monte_carlo"].min())} and {percent(medians["monte_carlo"].max())}, depending on the number of
modes. The error that the quadrature estimates for itself, at a tolerance of {RTOL:.0e}, lies between
{data.quadrature.min():.0e} and {data.quadrature.max():.0e}.

Check of the reference: distance of the Monte Carlo estimates from a closure, in standard errors of these estimates,
root mean square over modes, numbers of modes and draws. It is 1 if the closure is exact. Gaussian closure: {gaussian};
mean field: {mean_field} (with 95 % intervals over draws, Student's t)."""
