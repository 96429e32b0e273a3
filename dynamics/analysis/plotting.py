"""Draw equilibria, predicted collapse, bifurcation diagrams, phase diagrams and designs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dynamics.presentation.labels import label_of
from dynamics.presentation.plotting import BLUE, RED, axes_of, ink, legend_above, set_title, write_remark
from dynamics.results.plotting import titled_axes

if TYPE_CHECKING:
    from dynamics.analysis.design import Design

VERDICTS = {"stable": 1.0, "marginal": 0.3, "unstable": 0.0}  # share of the colour of the text in markers
BELOW_BOUNDARY = "boundary of collapse"
NO_EQUILIBRIA = "no equilibria"
POINTS: dict[str, dict[str, Any]] = {  # marker of each kind of fold or bifurcation point
    "fold": {"marker": "s"},
    "transcritical": {"marker": "X"},
    "exchange": {"marker": "D"},
    "hopf": {"marker": "^"},
    "flip": {"marker": "v"},
    "neimark-sacker": {"marker": "P"},
}
STRETCHES: dict[str, Any] = {"stable": "-", "not stable": (0, (4, 2))}  # line styles of stable and other parts
PHASES = {  # colours of the outcomes; they differ in lightness, for colour-blind readers and for prints in grey
    "collapse": "#2B2B2B",
    "divergence": "#993404",
    "oscillation": "#AA4499",
    "equal modes": "#1FAE86",
    "unequal modes": "#8ECFF0",
    "partial collapse": "#F0E442",
    "undecided": "#FFFFFF",
}


def plot_design(design: "Design", ax: Axes | None = None) -> Axes:
    """Draw r - rho against the eigenvalue s of a mode, with one line each for designed, standard and isotropic loss.

    r is the rate of the mode, and rho the weight decay. The range of initial eigenvalues is shaded.
    """
    new, ax = ax is None, axes_of(ax)
    if new:
        set_title(ax, f"designed for {design.target}")
    s = np.geomspace(design.between[0] / 2, 2.0, 200)
    styles: dict[str, dict[str, Any]] = {
        "standard": {"color": "0.6", "linestyle": "--"},
        "isotropic": {"color": "0.6", "linestyle": ":"},
        "designed": {"color": BLUE, "linewidth": 1.5},
    }
    for name, rate in design.rates_beside(s).items():
        ax.plot(s, rate - design.model.weight_decay, label=name, **styles[name])
    ax.axhline(0, color=ink(ax), linewidth=0.5)
    ax.axvspan(*design.between, color=ink(ax), alpha=0.06, linewidth=0, zorder=0)
    ax.set_xscale("log")
    ax.set_xlabel(label_of("s"))
    ax.set_ylabel(r"rate $r - \rho$")
    legend_above(ax)
    return ax


def plot_equilibria(equilibria: Any, ax: Axes | None = None) -> Axes:
    """Draw one row for each fixed point, with a marker at each of its eigenvalues.

    Markers are filled for stable, grey for marginal and open for unstable fixed points. The number above a marker is
    the number of modes with this eigenvalue; if the order of modes matters, the numbers above a marker are the indices
    of the modes, from 1. Without fixed points, the axes state the reason.
    """
    height = float(np.clip(0.8 + 0.25 * len(equilibria), 2.0, 8.0))
    ax = titled_axes(ax, equilibria.model, height)
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": ink(ax), "markersize": 5}
    text, paper = np.array([to_rgb(ink(ax)), to_rgb(ax.get_facecolor())])
    faces = {verdict: tuple(share * text + (1 - share) * paper) for verdict, share in VERDICTS.items()}
    for row, equilibrium in enumerate(equilibria):
        eigenvalues, counts = np.unique(equilibrium.s, return_counts=True)
        ax.plot(eigenvalues, np.full(len(eigenvalues), row), **look, markerfacecolor=faces[equilibrium.verdict])
        for s, count in zip(eigenvalues, counts, strict=True):
            modes = map(str, 1 + np.flatnonzero(equilibrium.s == s))
            label = ",".join(modes) if equilibrium.has_order else f"{count}"
            ax.annotate(label, (s, row), (0, 4), textcoords="offset points", ha="center", fontsize="x-small")
    verdicts = {equilibrium.verdict for equilibrium in equilibria}
    handles = [Line2D([], [], label=name, **look, markerfacecolor=faces[name]) for name in VERDICTS if name in verdicts]
    boundaries = np.array([] if equilibria.boundary is None else equilibria.boundary, float, ndmin=1)
    dashed: dict[str, Any] = {"color": "0.6", "linestyle": "--", "linewidth": 1, "label": BELOW_BOUNDARY}
    handles += [ax.axvline(boundary, **dashed) for boundary in boundaries if not np.isnan(boundary)][:1]
    if handles:
        legend_above(ax, handles=handles)
    if not len(equilibria):
        write_remark(ax, equilibria.remark or NO_EQUILIBRIA)
    ax.set_yticks(range(len(equilibria)), [f"{equilibrium.surviving} surviving" for equilibrium in equilibria])
    ax.set_ylim(len(equilibria) - 0.5, -0.7)
    ax.margins(x=0.08)
    has_order = len(equilibria) and equilibria[0].has_order
    ax.set_xlabel(f"{label_of('s')} ({'with index of the mode' if has_order else 'with number of modes'})")
    return ax


def plot_collapse(collapse: Any, ax: Axes | None = None) -> Axes:
    """Draw an arrow from the initial to the final eigenvalue of each mode.

    The arrow ends in a disc for a mode that survives, a cross for a mode that vanishes, and a triangle for a mode that
    diverges.
    """
    ax = titled_axes(ax, collapse.model)
    finite = np.isfinite(collapse.final)
    top = 1.15 * max(collapse.s0.max(), collapse.final[finite].max(initial=0.0)) or 1.0
    ends = np.where(finite, collapse.final, top)
    for mode, (start, end) in enumerate(zip(collapse.s0, ends, strict=True), 1):
        if abs(end - start) > 0.05 * top:  # a shorter arrow would have no shaft
            arrow = {"arrowstyle": "->", "color": "0.5", "shrinkA": 3, "shrinkB": 3}
            ax.annotate("", (mode, end), (mode, start), arrowprops=arrow)
    modes = 1 + np.arange(len(ends))
    ax.plot(
        modes,
        collapse.s0,
        linestyle="none",
        marker="o",
        color=ink(ax),
        markerfacecolor=ax.get_facecolor(),
        label="start",
    )
    for marker, chosen, label in (
        ("o", collapse.survives, "survives"),
        ("x", collapse.final == 0, "vanishes"),
        ("^", ~finite, "diverges"),
    ):
        if chosen.any():
            ax.plot(modes[chosen], ends[chosen], linestyle="none", marker=marker, color=ink(ax), label=label)
    legend_above(ax)
    ax.set_xticks(modes)
    ax.margins(x=0.1)
    ax.set_xlabel("mode")
    ax.set_ylabel(label_of("s"))
    return ax


def plot_bifurcation(bifurcation: Any, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of equilibria against the parameter.

    Lines are solid where equilibria are stable, and dashed elsewhere. Markers show folds and bifurcation points.
    Without equilibria, the axes state the reason.
    """
    ax = titled_axes(ax, bifurcation.model, swept=[bifurcation.parameter])
    drawn = set()
    for branch in bifurcation.branches:
        stable = branch.stable.copy()
        if len(stable) > 2:  # the ends of a branch are marginal, because other branches meet the branch there
            stable[0], stable[-1] = stable[1], stable[-2]
        for label, line in STRETCHES.items():
            chosen = stable == (label == "stable")
            drawn |= {label} if chosen.any() else set()
            chosen |= np.r_[False, chosen[:-1]]  # extend a line to the first point of the next line, to leave no gap
            ax.plot(branch.value, np.where(chosen, branch.s, np.nan), linestyle=line, color=ink(ax), linewidth=1.2)
    lines = {label: line for label, line in STRETCHES.items() if label in drawn}
    handles: list[Any] = [Line2D([], [], color=ink(ax), linestyle=line, label=label) for label, line in lines.items()]
    for kind, marker in POINTS.items():
        if points := [(point.value, point.s) for point in bifurcation.points if point.kind == kind]:
            look: dict[str, Any] = {"linestyle": "none", "color": RED, "markersize": 5, "zorder": 4} | marker
            handles += ax.plot(*np.transpose(points), label=kind, **look)
    ax.margins(x=0.03)
    if handles:
        legend_above(ax, handles=handles)
    else:
        write_remark(ax, bifurcation.remark or NO_EQUILIBRIA, bifurcation.between)
    ax.set_xlabel(label_of(bifurcation.parameter))
    ax.set_ylabel(f"{label_of('s')} of surviving modes")
    return ax


def plot_phases(diagram: Any, ax: Axes | None = None) -> Axes:
    """Draw the plane of the two parameters of a phase diagram, coloured by outcome.

    The axes end at the first and last values, so that cells at the edges are drawn by half.
    """
    ax = titled_axes(ax, diagram.model, 3.4, swept=[diagram.x[0], diagram.y[0]])
    codes = np.vectorize(list(PHASES).index)(diagram.outcome)
    (x, x_values), (y, y_values) = diagram.x, diagram.y
    look: dict[str, Any] = {"cmap": ListedColormap(list(PHASES.values())), "vmin": -0.5, "vmax": len(PHASES) - 0.5}
    ax.pcolormesh(x_values, y_values, codes, shading="nearest", rasterized=True, **look)
    present = [outcome for outcome in PHASES if (diagram.outcome == outcome).any()]
    patches = [Patch(facecolor=PHASES[name], edgecolor=ink(ax), linewidth=0.5, label=name) for name in present]
    legend_above(ax, columns=3, handles=patches)
    for parameter, values, axis in ((x, x_values, "x"), (y, y_values, "y")):
        if (values > 0).all() and np.allclose(np.diff(np.log(values)), np.log(values[1] / values[0])):
            ax.set(**{f"{axis}scale": "log"})
        ax.set(**{f"{axis}label": label_of(parameter), f"{axis}lim": (values[0], values[-1])})
    return ax
