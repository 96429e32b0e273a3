"""Drawing of trajectories and comparisons. The only module of ``dynamics`` that imports matplotlib."""

import matplotlib.pyplot as plt
import numpy as np


def mode_colors(count: int):
    """One colour a mode, from dark to light, distinguishable in grey and to the colour-blind."""
    return plt.get_cmap("viridis")(np.linspace(0.0, 0.85, max(count, 1)))


def plot_trajectory(trajectory, ax=None, **style):
    """s against time or step, one line (network: points) a mode."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    horizontal = trajectory.t if trajectory.step is None else trajectory.step
    defaults = (
        {"linestyle": "none", "marker": ".", "markersize": 3} if trajectory.kind == "network" else {"linewidth": 1.2}
    )
    for s in trajectory.members():
        for column, color in zip(s.T, mode_colors(s.shape[-1]), strict=True):
            ax.plot(horizontal, np.where(column > 0, column, np.nan), **({"color": color} | defaults | style))
    ax.set_yscale("log")
    ax.set_xlabel(r"time $t$ = learning rate $\times$ step" if trajectory.step is None else "step")
    ax.set_ylabel("eigenvalue $s_m$")
    return ax


def plot_comparison(comparison, ax=None):
    """Relative deviation of each mode against the step, with the sampling error as a band."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    deviation = comparison.relative.reshape(-1, *comparison.relative.shape[-2:])
    band = 2 * np.abs(comparison.sampling_error / comparison.theory_modes).max(axis=-1)
    for member in deviation:
        for column, color in zip(member.T, mode_colors(member.shape[-1]), strict=True):
            ax.plot(comparison.step, column, color=color, linewidth=1)
    band = band.reshape(-1, len(comparison.step)).max(axis=0)
    ax.fill_between(comparison.step, -band, band, color="0.85", zorder=0, label="2 standard errors, widest mode")
    ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel("step")
    ax.set_ylabel(r"$s_\mathrm{network}/s_\mathrm{theory} - 1$")
    return ax
