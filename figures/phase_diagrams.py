"""Phase diagrams: outcome of gradient descent against learning rate, weight decay and noise.

The outcomes are computed with the exact descent map of four modes with fixed initial eigenvalues. Dashed lines are
computed from the fixed points.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke

import dynamics as dyn
from dynamics.analysis.phase_diagram import PhaseDiagram
from dynamics.analysis.plotting import PHASES
from figures import style
from figures.captions import count, listing, percent
from figures.panels import panel_names

S0 = np.array([0.05, 0.2, 0.6, 1.2])
CELLS = {False: 80, True: 200}
LEARNING_RATES, ETA = (0.05, 4.0), 0.1
LOSSES = {"Euclidean": (False, 0.3), "Euclidean, isotropic": (True, 1.2)}  # values: (isotropic, largest weight decay)
SIGMA = (0.0, 1.5)
CHECKED = 12  # number of points along each axis of a panel at which the map is compared with the fixed points
MEANINGS = {
    "equal modes": "all modes survive, with equal eigenvalues",
    "unequal modes": "all modes survive, with unequal eigenvalues",
    "partial collapse": "some modes vanish",
    "collapse": "all modes vanish",
    "divergence": "eigenvalues grow without bound",
    "oscillation": "eigenvalues do not converge but oscillate",
    "undecided": "not converged after all steps",
}
EDGE = [Stroke(linewidth=2.2, foreground="white"), Normal()]  # makes the line visible on dark areas
LINE: dict[str, Any] = {"color": "black", "linewidth": 1.0, "linestyle": (0, (3, 2)), "path_effects": EDGE}


def compute(full: bool) -> dict[tuple[str, str], PhaseDiagram]:
    """Return two diagrams for each loss: learning rate against weight decay, and noise against weight decay."""
    cells, diagrams = CELLS[full], {}
    for name, (isotropic, highest) in LOSSES.items():
        model = dyn.Model("euclidean", isotropic=isotropic)
        rho = ("weight_decay", np.linspace(0, highest, cells))
        rates = ("learning_rate", np.linspace(*LEARNING_RATES, cells))
        diagrams[name, "learning rate"] = dyn.phase_diagram(model, S0, rho, rates)
        sigma = ("sigma1", np.linspace(*SIGMA, cells))
        diagrams[name, "noise"] = dyn.phase_diagram(model, S0, rho, sigma, learning_rate=ETA)
    return diagrams


PANELS = panel_names(("learning rate", "noise"), LOSSES)


def draw(data: dict[tuple[str, str], PhaseDiagram]) -> Figure:
    """Draw losses in columns; the vertical axis is the learning rate in the top row, and noise in the bottom row."""
    figure = Figure(figsize=(style.PAGE, 4.8))
    axes = figure.subplots(2, len(LOSSES))
    for (name, against), diagram in data.items():
        ax = axes[0 if against == "learning rate" else 1, list(LOSSES).index(name)]
        diagram.plot(ax).legend([]).remove()
        _draw_theory(ax, diagram)
        (_, along_x), (_, along_y) = diagram.x, diagram.y
        ax.set(title=name if against == "learning rate" else "", xlim=along_x[[0, -1]], ylim=along_y[[0, -1]])
    present = _present(data)
    handles: list[Any] = [Patch(facecolor=PHASES[end], edgecolor="black", linewidth=0.5, label=end) for end in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _present(data: dict[tuple[str, str], PhaseDiagram]) -> list[str]:
    """Return the outcomes that occur in at least one panel, in the order of the legend."""
    return [end for end in PHASES if any((diagram.outcome == end).any() for diagram in data.values())]


def _draw_theory(ax: Axes, diagram: PhaseDiagram) -> None:
    """Draw the dashed line of a panel, which is computed from the fixed points.

    In a panel with learning rates, this line is the largest stable learning rate. In a panel with noise, it is the
    largest weight decay at which modes survive.
    """
    if diagram.y[0] == "learning_rate":
        rho = diagram.x[1]
        best = [dyn.equilibria(diagram.model.replace(weight_decay=value), [1.0])[0] for value in rho]
        limit = np.array([e.largest_learning_rate if e.surviving else np.nan for e in best])
        ax.plot(rho, limit, **LINE)
        return
    sigma = np.linspace(*SIGMA, 30)
    ends = [dyn.bifurcation(diagram.model.replace(sigma1=s), "weight_decay", (0.0, diagram.x[1][-1])) for s in sigma]
    where = [max((point.value for point in points), default=np.nan) for points in ends]
    ax.plot(where, sigma, **LINE)


def caption(data: dict[tuple[str, str], PhaseDiagram], full: bool) -> str:
    """Return the caption, which describes the panels and states how often the fixed points predict the outcome."""
    pairs = [pair for (_, against), diagram in data.items() if against == "noise" for pair in _outcomes(diagram)]
    outcomes = [outcome for _, outcome in pairs]
    agree, total = sum(predicted == outcome for predicted, outcome in pairs), len(pairs)
    common = max(outcomes, key=outcomes.count)
    partial = listing(f"{_share(data, name, 'partial collapse')} ({name})" for name in LOSSES)
    ends = "; ".join(
        f"{name}: {_share(data, name, 'collapse', True)} collapse, {_share(data, name, 'divergence', True)} divergence"
        for name in LOSSES
    )
    shares = listing(f"{_share(data, name, 'oscillation')} ({name})" for name in LOSSES)
    meanings = listing(f"{end} ({MEANINGS[end]})" for end in _present(data))
    return f"""
Outcome of gradient descent on the population loss (exact descent map) for four modes with initial eigenvalues
{listing(f"{s:g}" for s in S0)}, under the Euclidean loss (left) and its isotropic version (right). Each panel has
{CELLS[full]} x {CELLS[full]} points. Horizontal axes: weight decay rho. Vertical axes at the top: learning rate,
without noise. Vertical axes at the bottom: standard deviation sigma1 of the noise on the online view, at learning rate
{ETA:g}. The legend names the colours: {meanings}. Dashed lines at the top: the largest learning rate at which the
equilibrium of the surviving modes is stable. Dashed lines at the bottom: the largest weight decay at which modes can
survive. Under the Euclidean loss, the equilibrium of the surviving modes disappears at this weight decay in a fold, at
rho = 1/(4 n1), where n1 = 1 + sigma1^2. Under the isotropic loss, the equilibrium of the surviving modes reaches zero
at this weight decay, rho = 1.

Under the Euclidean loss, a mode vanishes in theory if the mode starts below a basin boundary. This boundary rises with
weight decay up to the fold at which the equilibrium of the surviving modes disappears, so that small modes vanish
first. Under the isotropic loss there is no basin boundary, so that either all modes survive or none. The top panels
have learning rate and weight decay as axes, without noise. Share of their points at which some modes vanish and others
survive: {partial}. Share of their points at which eigenvalues oscillate in the end: {shares}. Shares of collapse and
divergence among their points with the largest learning rate: {ends}.

The bottom panels have noise and weight decay as axes. At {count(total)} of their points, the outcome that follows from
the fixed points alone (`dyn.collapse`) was compared with the outcome of the descent map. The two outcomes agree at
{count(agree)} of these points. A prediction of the most common outcome ({common}) at every point would agree at
{count(outcomes.count(common))} points."""


def _share(data: dict[tuple[str, str], PhaseDiagram], name: str, outcome: str, fastest: bool = False) -> str:
    """Format the share of the points with this ``outcome`` in the diagram of weight decay and learning rate.

    name: the loss, a key of LOSSES. fastest: if True, only the points with the largest learning rate are counted.
    """
    outcomes = data[name, "learning rate"].outcome
    return percent(float(np.mean((outcomes[-1] if fastest else outcomes) == outcome)))


def _outcomes(diagram: PhaseDiagram) -> list[tuple[str, str]]:
    """Return the predicted and the computed outcome at points of a coarse grid in a diagram.

    The coarse grid has about CHECKED points along each axis. The first outcome of each pair is predicted from the fixed
    points by ``dyn.collapse``; the second outcome is that of the descent map.
    """
    (x, along_x), (y, along_y) = diagram.x, diagram.y
    step = len(along_x) // CHECKED
    return [
        (dyn.collapse(diagram.model.replace(**{x: along_x[i], y: along_y[j]}), S0).outcome, str(diagram.outcome[j, i]))
        for j in range(0, len(along_y), step)
        for i in range(0, len(along_x), step)
    ]
