"""Accuracy of the closures of the cosine loss against the number of modes.

The drift of mode m is r_m s_m, where s_m is the correlation eigenvalue and r_m the rate of this mode. The rate contains
expectations over inputs; a closure is a way to compute these expectations. For random eigenvalues, the figure shows the
relative error of the drift in the mean-field closure and in a Monte Carlo estimate. The reference is the Gaussian
closure, which computes the expectations by quadrature and is exact up to the quadrature error. The figure also shows an
estimate of the quadrature error.
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
    """Errors of the drift r_m s_m, for several numbers of modes and several draws of random eigenvalues.

    The numbers of modes are in rows, and the draws in columns. r_m is the rate and s_m the eigenvalue of mode m. The
    exact drift is that of the Gaussian closure. ``mean_field`` and ``monte_carlo`` are the maximum over modes of the
    error, divided by the maximum over modes of the exact drift. ``mean_field_rms`` is the root mean square over modes
    of the mean-field error, divided by the root mean square over modes of the exact drift. ``quadrature`` is the error
    of the Gaussian closure, as estimated by its quadrature. ``gaussian_z`` and ``mean_field_z`` compare the Monte Carlo
    estimate with the Gaussian and with the mean-field closure: they are the difference in standard errors of the Monte
    Carlo estimate, as a root mean square over modes.
    """

    modes: tuple[int, ...]
    mean_field: np.ndarray
    mean_field_rms: np.ndarray
    monte_carlo: np.ndarray
    quadrature: np.ndarray
    gaussian_z: np.ndarray
    mean_field_z: np.ndarray


def compute(full: bool) -> Errors:
    """Return the errors of the closures for random eigenvalues."""
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
    """Return a Monte Carlo estimate of the drift r_m s_m of each mode m, and its standard error.

    r_m is the rate and s_m the eigenvalue of mode m. The estimate is a mean over SAMPLES random representations z,
    whose components z_m are independent and normal with variance s_m.
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


PANELS = ("closures", "quadrature")


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
Errors of two approximations, mean field and Monte Carlo, against the number of modes M. Both approximate the drift `r_m
s_m` of the eigenvalues under the cosine loss, where `s_m` is the eigenvalue and `r_m` the rate of mode m. The predictor
is the correlation, `W_P = C`, and the views have no noise. The reference is the exact expectation over Gaussian inputs
(the Gaussian closure). Eigenvalues are drawn log-uniformly between {SPECTRUM[0]:g} and {SPECTRUM[1]:g}. Lines: medians
of {DRAWS[full]} draws; bands: first to third quartile. Top, red circles (mean field) and blue triangles (Monte Carlo):
largest error of any mode, divided by the largest exact drift of any mode. Top, orange squares (rms): root mean square
of the mean-field error over modes, divided by the root mean square of the exact drift over modes. Bottom: the error of
the Gaussian closure as the quadrature estimates this error (green diamonds), and the tolerance of the quadrature
(dotted).

The mean-field approximation replaces the expectation of a ratio by the ratio of expectations. The largest mean-field
error of any mode, divided by the largest exact drift of any mode, has a median over draws of {middle}, where M is the
number of modes. At these numbers of modes, the first and third quartiles of this quotient are {spread}. The root mean
square of the mean-field error over modes, divided by the root mean square of the exact drift, has the medians {rms}.
For Monte Carlo estimates of the drift from {count(SAMPLES)} samples, the median of the largest error, divided by the
largest exact drift, lies between {percent(medians["monte_carlo"].min())} and {percent(medians["monte_carlo"].max())},
depending on the number of modes. The exact drift is computed by quadrature at a tolerance of {RTOL:.0e}; the error
estimate of the quadrature lies between {data.quadrature.min():.0e} and {data.quadrature.max():.0e}.

Monte Carlo estimates of the drift test the Gaussian closure, which is the exact reference of this figure, and the mean
field. The statistic is the difference between the Monte Carlo estimate and the closure, in standard errors of the
estimate, as a root mean square over modes, numbers of modes and draws of eigenvalues. The statistic is 1 if the closure
is exact. For the Gaussian closure the statistic is {gaussian}, and for the mean field it is {mean_field} (in
parentheses: 95 % intervals over draws, Student's t)."""
