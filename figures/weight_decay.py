"""Weight decay: abrupt collapse under the Euclidean loss, continuous collapse under the isotropic version.

The figure shows the equilibria of one mode against weight decay, and the final eigenvalues of networks with two modes.
One mode of a network starts with a large eigenvalue, and the other with a small eigenvalue.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.analysis.bifurcation import Bifurcation
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise
from figures.panels import panel_names

NOISE, ALPHA = (0.3, 0.1), 1.0
LOSSES = {"Euclidean": (False, 0.3), "Euclidean, isotropic": (True, 1.3)}  # values: (isotropic, largest weight decay)
STARTS = np.array([0.03, 1.2])  # initial eigenvalues of two modes, which are independent of each other
NETWORKS, LEARNING_RATE, STEPS = 7, 0.3, 1000
RECORD = [5, 10, 20, 50, 100, 200, 500]
COMPARED = 3  # every third network is compared with the descent map; its prediction takes seconds
COLLAPSED = 0.01  # a mode of a network has collapsed if its final eigenvalue is below this value
BATCH = {False: 4_000, True: 50_000}
STABLE, UNSTABLE = (
    {"color": style.BLUE, "linewidth": 1.2},
    {"color": style.BLUE, "linewidth": 1.2, "linestyle": (0, (4, 2))},
)
POINT = {"linestyle": "none", "marker": "s", "color": style.ORANGE, "markersize": 5, "zorder": 4}
FROM = (
    {"linestyle": "none", "marker": "x", "color": "black", "markersize": 5, "zorder": 5},
    {"linestyle": "none", "marker": "o", "markerfacecolor": "none", "color": "black", "markersize": 5, "zorder": 5},
)


class Panel(NamedTuple):
    """The bifurcation diagram of one loss, and K networks, each with its own weight decay and two modes."""

    diagram: Bifurcation
    rho: np.ndarray  # weight decays of the networks (K,)
    networks: list[dyn.Trajectory]
    survives: np.ndarray  # True for modes that survive in theory (K, 2)

    @property
    def ends(self) -> np.ndarray:
        """Final eigenvalues of the two modes of each network, (K, 2), in the order of STARTS."""
        return np.array([network.modes[-1] for network in self.networks])


def compute(full: bool) -> dict[str, Panel]:
    """Return a panel for each loss."""
    return {name: _panel(*options, BATCH[full]) for name, options in LOSSES.items()}


def _panel(isotropic: bool, highest: float, batch: int) -> Panel:
    model = dyn.Model("euclidean", isotropic=isotropic, noise=NOISE, predictor=dyn.ClosedForm(ALPHA))
    rho = np.linspace(0.1, 0.95, NETWORKS) * highest
    W0 = np.diag(np.sqrt(STARTS))
    decaying = [model.replace(weight_decay=value) for value in rho]
    networks = [
        dyn.train(each, W0, STEPS, LEARNING_RATE, batch_size=batch, seed=seed, record=RECORD)
        for seed, each in enumerate(decaying)
    ]
    survives = np.array([dyn.collapse(each, STARTS).survives for each in decaying])
    return Panel(dyn.bifurcation(model, "weight_decay", (0.0, highest)), rho, networks, survives)


PANELS = panel_names(LOSSES)


def draw(data: dict[str, Panel]) -> Figure:
    """Draw the bifurcation diagrams of the two losses side by side."""
    figure = Figure(figsize=(style.PAGE, 2.7))
    for ax, (name, panel) in zip(figure.subplots(1, len(data), sharey=True), data.items(), strict=True):
        panel.diagram.plot(ax).legend([]).remove()
        for line in ax.lines:
            special = line.get_marker() != "None"
            line.set(**(POINT if special else {"color": style.BLUE}))
        for mode, look in enumerate(FROM):
            ax.plot(panel.rho, panel.ends[:, mode], **look)
        ax.set(title=name, ylabel=style.EIGENVALUE, xlim=(0, panel.diagram.between[1]))
        ax.label_outer(remove_inner_ticks=False)
    names = {f"network from {start:g}": look for start, look in zip(STARTS, FROM, strict=True)}
    style.legend(figure, stable=STABLE, not_stable=UNSTABLE, bifurcation=POINT, **names)
    return figure


def caption(data: dict[str, Panel], full: bool) -> str:
    """Return the caption, which describes the panels, states the bifurcations, and tests networks against theory."""
    standard, isotropic = data.values()
    (fold,), (meeting,) = standard.diagram.points, isotropic.diagram.points
    rows = {
        f"{name}, rho = {rho:.3g}": agreement(network, COLLAPSED)
        for name, panel in data.items()
        for rho, network in [*zip(panel.rho, panel.networks, strict=True)][::COMPARED]
    }
    outcomes = listing(
        f"{np.sum((panel.ends > COLLAPSED) == panel.survives)} of {panel.ends.size} modes ({name}; "
        f"{panel.survives.sum()} if no mode of a network had collapsed)"
        for name, panel in data.items()
    )
    return f"""
Equilibrium eigenvalues s of one mode (vertical) against weight decay rho (horizontal) under the Euclidean loss (left)
and its isotropic version (right). There is {noise(NOISE)}, and the exponent of the predictor is alpha = {ALPHA:g}.
Solid blue lines: stable equilibria; dashed blue lines: unstable equilibria. Orange squares: bifurcations. Left: under
the Euclidean loss, a mode that starts below the unstable equilibrium vanishes in theory. The stable and the unstable
equilibrium meet in a {fold.kind} at rho = {fold.value:.6g} and s = {fold.s:.3g}. Theory predicts the fold at rho = 1/(4
n1) = {1 / (4 * (1 + NOISE[0] ** 2)):.6g}, where n1 = 1 + sigma1^2 is the variance of the online view. At any larger
weight decay the mode collapses in theory. Right: under the isotropic loss the mode survives in theory from any initial
value up to rho = {meeting.value:.6g}. At this value the equilibrium reaches zero ({meeting.kind} bifurcation).

Symbols in both panels: final eigenvalues of linear networks with two modes after {count(STEPS)} steps at learning rate
{LEARNING_RATE:g}, with {count(BATCH[full])} samples a step. Crosses: the mode that starts at {STARTS[0]:g}. Circles:
the mode that starts at {STARTS[1]:g}. A mode of a network has collapsed if its final eigenvalue is below {COLLAPSED:g}.
Theory predicts from the equilibria which modes collapse. The prediction is right for {outcomes}.

{agreements(rows)}

The table above has every third network. The table omits a mode at all steps at which the theoretical variance of this
mode is at most {COLLAPSED:g}."""
