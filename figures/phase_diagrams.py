"""Phase diagrams: how gradient descent ends, over learning rate, weight decay and noise.

Exact descent maps of four modes from one start, one ensemble a panel; dashed lines are theory.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import dynamics as dyn
from dynamics.analysis.phase_diagram import PhaseDiagram
from dynamics.analysis.plotting import PHASES
from figures import style
from figures.captions import count, listing, percent

S0 = np.array([0.05, 0.2, 0.6, 1.2])
CELLS = {False: 80, True: 200}
LEARNING_RATES, ETA = (0.05, 4.0), 0.1
LOSSES = {"Euclidean": (False, 0.3), "Euclidean, isotropic": (True, 1.2)}  # isotropic, largest weight decay
SIGMA = (0.0, 1.5)
CHECKED = 12  # points of a panel, each way, at which the map is compared with what fixed points tell
LINE = {"color": "black", "linewidth": 1.0, "linestyle": (0, (3, 2))}


def compute(full: bool) -> dict[tuple[str, str], PhaseDiagram]:
    """For each loss, over weight decay and learning rate, or noise."""
    cells, found = CELLS[full], {}
    for name, (isotropic, highest) in LOSSES.items():
        model = dyn.Model("euclidean", isotropic=isotropic)
        rho = ("weight_decay", np.linspace(0, highest, cells))
        rates = ("learning_rate", np.linspace(*LEARNING_RATES, cells))
        found[name, "learning rate"] = dyn.phase_diagram(model, S0, rho, rates)
        sigma = ("sigma1", np.linspace(*SIGMA, cells))
        found[name, "noise"] = dyn.phase_diagram(model, S0, rho, sigma, learning_rate=ETA)
    return found


def draw(data: dict[tuple[str, str], PhaseDiagram]) -> Figure:
    """Losses in columns; above learning rate, below noise."""
    figure = Figure(figsize=(style.PAGE, 4.8))
    axes = figure.subplots(2, len(LOSSES))
    for (name, against), diagram in data.items():
        ax = axes[0 if against == "learning rate" else 1, list(LOSSES).index(name)]
        diagram.plot(ax).legend([]).remove()
        _draw_theory(ax, diagram)
        (_, along_x), (_, along_y) = diagram.x, diagram.y
        ax.set(title=name if against == "learning rate" else "", xlim=along_x[[0, -1]], ylim=along_y[[0, -1]])
    present = [end for end in PHASES if any((diagram.outcome == end).any() for diagram in data.values())]
    handles: list[Any] = [Patch(facecolor=PHASES[end], edgecolor="black", linewidth=0.5, label=end) for end in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_theory(ax, diagram: PhaseDiagram) -> None:
    """The largest learning rate, or the fold (isotropic: where survivors meet the dead), as of equilibria."""
    if diagram.y[0] == "learning_rate":
        rho = diagram.x[1]
        best = [dyn.equilibria(diagram.model.replace(weight_decay=value), [1.0])[0] for value in rho]
        limit = np.array([e.largest_learning_rate if e.surviving else np.nan for e in best])
        ax.plot(rho, limit, **LINE)
        return
    sigma = np.linspace(*SIGMA, 30)
    ends = [dyn.bifurcation(diagram.model.replace(sigma1=s), "weight_decay", (0.0, diagram.x[1][-1])) for s in sigma]
    where = [max((point.value for point in found), default=np.nan) for found in ends]
    ax.plot(where, sigma, **LINE)


def caption(data: dict[tuple[str, str], PhaseDiagram], full: bool) -> str:
    """What is shown, and whether small steps end as fixed points tell."""
    agree, total = 0, 0
    for (_, against), diagram in data.items():
        if against == "noise":
            told = _told(diagram)
            agree, total = agree + sum(told), total + len(told)
    shares = listing(
        f"{name}: {percent(float(np.mean(data[name, 'learning rate'].outcome == 'oscillation')))}" for name in LOSSES
    )
    return f"""
How gradient descent on the population loss ends, from eigenvalues {listing(f"{s:g}" for s in S0)}: {CELLS[full]} times
{CELLS[full]} points a panel. Above: against weight decay and learning rate, without noise. Dashed: the largest learning
rate at which the equilibrium of surviving modes is stable. Below: against weight decay and noise of the online view, at
learning rate {ETA:g}. Dashed: where that equilibrium ends, in a fold at 1/(4 n1) (isotropic: where it meets the dead
modes, at 1).

Left, small modes die one after another as weight decay lifts the boundary of the basin over their start, and all do
beyond the fold. Right, all modes survive together or none does. Share of the points above that end in an oscillation:
{shares}; at still larger learning rates it grows until it steps over the boundary of the basin (left: collapse) or
without bound.

Of {count(total)} points below that were compared, {count(agree)} end as the fixed points alone tell."""


def _told(diagram: PhaseDiagram) -> list[bool]:
    (x, along_x), (y, along_y) = diagram.x, diagram.y
    step = len(along_x) // CHECKED
    return [
        dyn.collapse(diagram.model.replace(**{x: along_x[i], y: along_y[j]}), S0).outcome == diagram.outcome[j, i]
        for j in range(0, len(along_y), step)
        for i in range(0, len(along_x), step)
    ]
