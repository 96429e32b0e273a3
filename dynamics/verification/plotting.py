"""Draw the results of ``compare`` and ``check``."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dynamics.presentation.plotting import EIGENVALUES, STEP, axes_of, mode_colors, set_logarithmic
from dynamics.results.plotting import mark_unreliable


def plot_comparison(comparison: Any, ax: Axes | None = None) -> Axes:
    """Draw the relative deviation of the network from theory against the step, with one line for each mode.

    The grey band shows two standard errors of the mode with the largest relative standard error. The plot is hatched at
    steps at which the theory does not reliably predict the effects of finite batches.
    """
    ax = axes_of(ax)
    for column, color in zip(comparison.relative.T, mode_colors(comparison.relative.shape[-1]), strict=True):
        ax.plot(comparison.step, column, color=color, linewidth=1)
    surviving = comparison.theory_modes > 0
    scale = np.where(surviving, comparison.theory_modes, 1)
    band = 2 * np.where(surviving, comparison.sampling_error / scale, 0).max(axis=-1)
    ax.fill_between(comparison.step, -band, band, color="0.85", zorder=0, label="2 standard errors (largest)")
    mark_unreliable(ax, comparison.step, comparison.reliable)
    ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel(STEP)
    ax.set_ylabel(r"$s_\mathrm{network}/s_\mathrm{theory} - 1$")
    return ax


def plot_check(check: Any, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of the descent map as lines, and of the network as points.

    The bars at the points show two standard errors of the network. Each mode has its own colour.
    """
    ax = axes_of(ax)
    comparison = check.comparison
    if comparison is not None:
        for mode, color in enumerate(mode_colors(comparison.theory_modes.shape[-1])):
            ax.plot(comparison.step, comparison.theory_modes[:, mode], color=color, linewidth=1)
            network, error = comparison.network_modes[:, mode], 2 * comparison.sampling_error[:, mode]
            style = {"linestyle": "none", "marker": "o", "markersize": 3, "capsize": 2, "color": color}
            ax.errorbar(comparison.step, network, error, **style)
        set_logarithmic(ax)
    ax.set_title("all levels agree" if check.passed else "some levels disagree", fontsize="small")
    ax.set_xlabel(STEP)
    ax.set_ylabel(EIGENVALUES["s"])
    return ax
