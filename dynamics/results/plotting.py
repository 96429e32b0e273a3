"""Drawing of every result. The only module of ``dynamics`` that imports matplotlib."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import normalize_kwargs
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dynamics import errors

TIME, STEP = r"time $t$ = learning rate $\times$ step", "step"


def mode_colors(count: int):
    """One colour a mode, from dark to light, distinguishable in grey and to the colour-blind."""
    return plt.get_cmap("viridis")(np.linspace(0.0, 0.85, max(count, 1)))


EIGENVALUES = {
    "s": "eigenvalue $s_m$",
    "target": "eigenvalue of the target",
    "tracked": "tracked eigenvalue",
    "modes": "variance along a direction of the start",
}  # of what is drawn on a logarithmic axis


def plot_trajectory(trajectory, ax=None, quantity="s", **style):
    """A quantity against step, or time where there are no steps or the axes show time.

    One line a mode: points for eigenvalues of networks; eigenvalues on a logarithmic axis.
    """
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    shows = ax.get_xlabel()
    if trajectory.step is None and shows == STEP:
        errors.reject("ax", "show time, as a flow has no steps; draw the flow first", ax)
    in_time = trajectory.step is None or shows == TIME
    style, logarithmic = normalize_kwargs(style, Line2D), quantity in EIGENVALUES
    points = trajectory.kind == "network" and logarithmic
    defaults = {"linestyle": "none", "marker": ".", "markersize": 3} if points else {"linewidth": 1.2}
    for values in trajectory.members(quantity):
        for column, color in zip(values.T, mode_colors(values.shape[-1]), strict=True):
            seen = np.isfinite(column) & ((column > 0) | (not logarithmic))
            along = trajectory.t if in_time else trajectory.step
            ax.plot(along, np.where(seen, column, np.nan), **({"color": color} | defaults | style))
    if logarithmic:
        ax.set_yscale("log")
    ax.set_xlabel(TIME if in_time else STEP)
    ax.set_ylabel(EIGENVALUES.get(quantity, quantity.replace("_", " ")))
    return ax


def plot_comparison(comparison, ax=None):
    """Relative deviation of each mode against the step, with the sampling error as a band."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    for column, color in zip(comparison.relative.T, mode_colors(comparison.relative.shape[-1]), strict=True):
        ax.plot(comparison.step, column, color=color, linewidth=1)
    alive = comparison.theory_modes > 0
    errors_of_modes = np.where(alive, comparison.sampling_error / np.where(alive, comparison.theory_modes, 1), 0)
    band = 2 * errors_of_modes.max(axis=-1)
    ax.fill_between(comparison.step, -band, band, color="0.85", zorder=0, label="2 standard errors, widest mode")
    ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel(STEP)
    ax.set_ylabel(r"$s_\mathrm{network}/s_\mathrm{theory} - 1$")
    return ax


def plot_check(check, ax=None):
    """Eigenvalues of the network as points on those of the descent map, with two standard errors."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    found = check.comparison
    if found is not None:
        for mode, color in enumerate(mode_colors(found.theory_modes.shape[-1])):
            theory, error = found.theory_modes[:, mode], 2 * found.sampling_error[:, mode]
            ax.plot(found.step, theory, color=color, linewidth=1)
            look = {"linestyle": "none", "marker": "o", "markersize": 3, "capsize": 2, "color": color}
            ax.errorbar(found.step, found.network_modes[:, mode], error, **look)
        ax.set_yscale("log")
    ax.set_title("all rungs hold" if check.passed else "some rungs do not hold", fontsize="small")
    ax.set_xlabel(STEP)
    ax.set_ylabel(EIGENVALUES["s"])
    return ax


def plot_design(design, ax=None):
    """The rate of a mode against its eigenvalue, beside those of the standard and the isotropic loss."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    s = np.geomspace(design.between[0] / 2, 2.0, 200)
    looks: dict[str, dict[str, Any]] = {
        "standard": {"color": "0.6", "linestyle": "--"},
        "isotropic": {"color": "0.6", "linestyle": ":"},
        "designed": {"color": "C0", "linewidth": 1.5},
    }
    for name, rate in design.rates_beside(s).items():
        ax.plot(s, rate - design.model.weight_decay, label=name, **looks[name])
    ax.axhline(0, color="black", linewidth=0.5)
    ax.axvspan(*design.between, color="0.95", zorder=0)
    ax.set_xscale("log")
    ax.set_xlabel(EIGENVALUES["s"])
    ax.set_ylabel(r"rate $r - \rho$")
    ax.legend(frameon=False, fontsize="small")
    return ax


MARKERS: dict[str, dict[str, Any]] = {  # how verdicts are drawn
    "stable": {"marker": "o", "markerfacecolor": "black"},
    "marginal": {"marker": "o", "markerfacecolor": "0.7"},
    "unstable": {"marker": "o", "markerfacecolor": "white"},
}


def plot_equilibria(equilibria, ax=None):
    """One row an equilibrium, one marker each level of eigenvalues: black where stable, white where not."""
    rows = list(enumerate(equilibria))
    height = float(np.clip(0.8 + 0.25 * len(rows), 2.0, 8.0))
    ax = ax or plt.figure(figsize=(4.0, height), layout="constrained").add_subplot()
    for row, equilibrium in rows:
        levels = np.unique(equilibrium.s)
        style = {"linestyle": "none", "color": "black", "markersize": 5} | MARKERS[equilibrium.verdict]
        ax.plot(levels, np.full(len(levels), row), **style)
        for level in levels:
            count = f"{np.count_nonzero(equilibrium.s == level)}"
            ax.annotate(count, (level, row), (0, 4), textcoords="offset points", ha="center", fontsize="x-small")
    if equilibria.boundary is not None:
        ax.axvline(equilibria.boundary, color="0.6", linestyle="--", linewidth=1, label="modes below die")
    handles = [
        Line2D([], [], linestyle="none", color="black", markersize=5, **style, label=verdict)
        for verdict, style in MARKERS.items()
        if verdict in {equilibrium.verdict for equilibrium in equilibria}
    ]
    handles += [line for line in ax.lines if line.get_label() == "modes below die"]
    if handles:
        ax.legend(
            handles=handles, frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4
        )
    ax.set_yticks([row for row, _ in rows], [f"{equilibrium.alive} alive" for _, equilibrium in rows])
    ax.set_ylim(len(rows) - 0.5, -0.7)
    ax.margins(x=0.08)
    ax.set_xlabel("eigenvalue $s$ (and how many have it)")
    return ax


def plot_collapse(collapse, ax=None):
    """An arrow a mode, from its start to its end; a cross where it dies."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    finite = np.isfinite(collapse.level)
    top = 1.15 * max(collapse.s0.max(), collapse.level[finite].max(initial=0.0)) or 1.0
    ends = np.where(finite, collapse.level, top)
    for mode, (start, end) in enumerate(zip(collapse.s0, ends, strict=True), 1):
        if abs(end - start) > 0.05 * top:  # shorter ones would be all head
            arrow = {"arrowstyle": "->", "color": "0.5", "shrinkA": 3, "shrinkB": 3}
            ax.annotate("", (mode, end), (mode, start), arrowprops=arrow)
    modes = 1 + np.arange(len(ends))
    ax.plot(modes, collapse.s0, linestyle="none", marker="o", color="black", markerfacecolor="white", label="start")
    for mark, chosen, label in (
        ("o", collapse.survives, "survives"),
        ("x", collapse.level == 0, "dies"),
        ("^", ~finite, "diverges"),
    ):
        if chosen.any():
            ax.plot(modes[chosen], ends[chosen], linestyle="none", marker=mark, color="black", label=label)
    ax.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    ax.set_xticks(modes)
    ax.margins(x=0.1)
    ax.set_xlabel("mode")
    ax.set_ylabel("eigenvalue $s$")
    return ax


POINTS: dict[str, dict[str, Any]] = {  # how special points are drawn: by shape, so that grey is enough
    "fold": {"marker": "s"},
    "transcritical": {"marker": "X"},
    "exchange": {"marker": "D"},
    "hopf": {"marker": "^"},
    "flip": {"marker": "v"},
    "neimark-sacker": {"marker": "P"},
}


STRETCHES: dict[str, Any] = {"stable": "-", "not stable": (0, (4, 2))}
PARAMETERS = {
    "weight_decay": r"weight decay $\rho$",
    "learning_rate": r"learning rate $\eta$",
    "sigma1": r"noise $\sigma_1$ of the online view",
    "sigma2": r"noise $\sigma_2$ of the target view",
    "alpha": r"exponent $\alpha$ of the predictor",
    "epsilon": r"$\epsilon$ of the predictor",
    "decay": r"decay $\tau$ of the target",
}


def plot_bifurcation(bifurcation, ax=None):
    """Levels against the parameter: solid where stable, dashed where not; a marker for each special point."""
    ax = ax or plt.figure(figsize=(4.0, 3.0), layout="constrained").add_subplot()
    for branch in bifurcation.branches:
        inner = (
            branch.stable if len(branch.value) < 3 else np.r_[branch.stable[1], branch.stable[1:-1], branch.stable[-2]]
        )
        for label, line in STRETCHES.items():
            here = inner == (label == "stable")
            shown = here | np.r_[False, here[:-1]]  # up to where the other stretch starts
            ax.plot(branch.value, np.where(shown, branch.s, np.nan), linestyle=line, color="black", linewidth=1.2)
    for kind, marker in POINTS.items():
        if found := [(point.value, point.s) for point in bifurcation.points if point.kind == kind]:
            ax.plot(
                *np.transpose(found), linestyle="none", color="#D55E00", markersize=5, label=kind, **marker, zorder=4
            )
    lines = [Line2D([], [], color="black", linestyle=line, label=label) for label, line in STRETCHES.items()]
    handles = lines + [line for line in ax.lines if line.get_label() in POINTS]
    ax.legend(handles=handles, frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    ax.margins(x=0.03)
    ax.set_xlabel(PARAMETERS.get(bifurcation.parameter, bifurcation.parameter.replace("_", " ")))
    ax.set_ylabel("eigenvalue $s$ of surviving modes")
    return ax


PHASES = {  # Okabe and Ito, light to dark from order to collapse; hatches would not survive column width
    "isotropic": "#009E73",
    "anisotropic": "#56B4E9",
    "partial collapse": "#F0E442",
    "collapse": "#444444",
    "divergence": "#D55E00",
    "oscillation": "#CC79A7",
    "undecided": "#FFFFFF",
}


def plot_phases(diagram, ax=None):
    """The plane of two parameters, coloured by outcome."""
    ax = ax or plt.figure(figsize=(4.0, 3.4), layout="constrained").add_subplot()
    codes = np.vectorize(list(PHASES).index)(diagram.outcome)
    (x, along_x), (y, along_y) = diagram.x, diagram.y
    colours = ListedColormap(list(PHASES.values()))
    ax.pcolormesh(
        along_x, along_y, codes, cmap=colours, vmin=-0.5, vmax=len(PHASES) - 0.5, shading="nearest", rasterized=True
    )
    present = [end for end in PHASES if (diagram.outcome == end).any()]
    handles = [Patch(facecolor=PHASES[end], edgecolor="black", linewidth=0.5, label=end) for end in present]
    ax.legend(handles=handles, frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    for name, along, axis in ((x, along_x, "x"), (y, along_y, "y")):
        if (along > 0).all() and np.allclose(np.diff(np.log(along)), np.log(along[1] / along[0])):
            ax.set(**{f"{axis}scale": "log"})
        ax.set(**{f"{axis}label": PARAMETERS.get(name, name.replace("_", " "))})
    return ax
