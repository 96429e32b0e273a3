"""Mechanism: direction and speed of two eigenvalues under four losses.

Both axes are logarithmic. Where both eigenvalues grow at the same relative rate, the flow is therefore parallel to the
diagonal.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, noise
from figures.panels import panel_names

NOISE = (0.2, 0.1)
LOW, HIGH = 0.02, 3.0
ARROWS = 13  # number of arrows along each axis
STARTS = np.array([[0.03, 0.06], [0.06, 0.5], [0.06, 2.5], [0.5, 2.5]])
TRAINED = STARTS[[1, 3]]
END, LEARNING_RATE, STEPS = 100.0, 0.02, 1500
RECORD = np.unique(np.geomspace(1, STEPS, 24).astype(int)).tolist()
BATCH = {False: 2_000, True: 50_000}
# The gradient of two modes under the cosine loss has no finite variance: no theory predicts its sampling error.
SEEDS = range(8)
SPEED = LogNorm(0.01, 10.0)
STATIONARY = 1e-4  # relative speed below which no arrow is drawn
FLOW: dict[str, Any] = {"color": "black", "linewidth": 0.9}
INVARIANT: dict[str, Any] = {"color": style.ORANGE, "linewidth": 0.9, "linestyle": (0, (3, 2)), "zorder": 2}
NETWORK = style.NETWORK | {"color": style.RED, "zorder": 4}
FIXED_POINT: dict[str, Any] = {"linestyle": "none", "marker": "*", "color": "black", "markersize": 8, "zorder": 5}


class Panel(NamedTuple):
    """The arrows, trajectories and networks of one loss."""

    s: np.ndarray  # K pairs of eigenvalues (K, 2), where arrows start
    velocity: np.ndarray  # relative velocities d log s/dt at these pairs (K, 2)
    flow: dyn.Trajectory  # trajectories of the flow
    networks: list[dyn.Trajectory]  # the networks of all seeds from each start in TRAINED


def models() -> dict[str, dyn.Model]:
    """Return the four models, in a dictionary whose keys are the titles of the panels."""
    return {
        f"{loss.capitalize()}{', isotropic' * isotropic}": dyn.Model(loss, isotropic=isotropic, noise=NOISE)
        for loss in style.LOSSES
        for isotropic in (False, True)
    }


def compute(full: bool) -> dict[str, Panel]:
    """Return a panel for each loss."""
    return {name: _panel(model, BATCH[full]) for name, model in models().items()}


def _panel(model: dyn.Model, batch: int) -> Panel:
    along = np.geomspace(LOW, HIGH, ARROWS + 2)[1:-1]
    s = np.stack([a.ravel() for a in np.meshgrid(along, along)], axis=-1)
    times = np.concatenate([[0.0], np.geomspace(1e-4, END, 300)])
    flow = dyn.solve(model, STARTS, times, method="scipy", rtol=1e-6, until="steady")
    return Panel(s, 2 * EigenmodeField(model).of_eigenvalues(s), flow, [_trained(model, s0, batch) for s0 in TRAINED])


def _trained(model: dyn.Model, s0: np.ndarray, batch: int) -> dyn.Trajectory:
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 2)))[0].T
    W0 = np.sqrt(s0)[:, None] * directions
    return dyn.train(model, W0, STEPS, LEARNING_RATE, batch_size=batch, seed=SEEDS, record=RECORD)


PANELS = panel_names(models())


def draw(data: dict[str, Panel]) -> Figure:
    """Draw a panel for each loss; all arrows have the same length, and the colour of an arrow shows the speed."""
    figure = Figure(figsize=(0.8 * style.PAGE, 5.6))
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, (name, panel) in zip(axes.flat, data.items(), strict=True):
        speed = np.linalg.norm(panel.velocity, axis=1)
        moving = speed > STATIONARY
        s, direction, speed = panel.s[moving], (panel.velocity / speed[:, None])[moving], speed[moving]
        arrows = ax.quiver(*s.T, *direction.T, speed, norm=SPEED, cmap="viridis", scale=22, width=0.006)
        for s in panel.flow.s:  # the flow is symmetric under exchange of the modes
            ax.plot(*s.T, **FLOW)
            ax.plot(*s.T[::-1], **FLOW)
        for networks in panel.networks:
            ax.plot(*networks.s[0].T, **NETWORK)
        _draw_fixed_points(ax, panel.flow.model)
        ax.set(title=name, xscale="log", yscale="log", xlim=(LOW, HIGH), ylim=(LOW, HIGH), box_aspect=1)
        ax.set(xlabel="eigenvalue $s_1$", ylabel="eigenvalue $s_2$")
        ax.label_outer(remove_inner_ticks=False)
    bar = figure.colorbar(arrows, ax=axes, shrink=0.6, extend="both")
    bar.set_label(r"relative speed $|\mathrm{d}\log s/\mathrm{d}t|$")
    style.legend(figure, flow=FLOW, network=NETWORK, invariant=INVARIANT, fixed_point=FIXED_POINT)
    return figure


def _draw_fixed_points(ax: Axes, model: dyn.Model) -> None:
    """Draw the fixed point of a Euclidean loss, or four invariant curves of a cosine loss with their fixed points."""
    if model.loss == "euclidean":
        ax.plot(*dyn.equilibria(model, np.ones(2))[0].s, **FIXED_POINT)
        return
    power = 2 if model.isotropic else 1  # the sum of s^power over both modes is conserved
    for level in np.geomspace(0.1, 2.0, 4):
        s = level * np.sin(np.linspace(0, np.pi / 2, 300)[1:-1]) ** 2
        ax.plot(s ** (1 / power), (level - s) ** (1 / power), **INVARIANT)
        ax.plot(*[(level / 2) ** (1 / power)] * 2, **FIXED_POINT)


def caption(data: dict[str, Panel], full: bool) -> str:
    """Return the caption, which describes the panels, states relative speeds, and tests networks against theory."""
    rows = {
        f"{name}, start ({s0[0]:g}, {s0[1]:g})": agreement(networks)
        for name, panel in data.items()
        for s0, networks in zip(TRAINED, panel.networks, strict=True)
    }
    drift = max(_drift(panel) for name, panel in data.items() if name.startswith("Cosine"))
    before, unequal = _differences(panel for name, panel in data.items() if name.startswith("Cosine"))
    ratio = {name: _largest_ratio(panel) for name, panel in data.items() if name.startswith("Euclidean")}
    return f"""
Flow of two eigenvalues `s1` (horizontal) and `s2` (vertical) of the representation correlation, on logarithmic axes
({noise(NOISE)}; predictor eigenvalues lambda = s). Each panel shows one of four losses. Arrows: direction of the vector
(d log s1, d log s2)/dt. Colour of the arrows: length of this vector, the relative speed. Black lines: trajectories of
the flow. Red points: trained linear networks from two starts in each panel ({count(BATCH[full])} samples a step,
learning rate {LEARNING_RATE:g}, {count(STEPS)} steps; one of {len(SEEDS)} networks is drawn). Orange dashes: curves of
constant s1 + s2 (cosine loss) or s1^2 + s2^2 (isotropic cosine loss), which the flow conserves. Stars: fixed points.
Under the cosine losses all points with s1 = s2 are fixed points, and stars mark only the fixed points on the dashed
curves.

The relative speed of a mode is d log s/dt, where s is the eigenvalue of the mode. Under the Euclidean loss the relative
speed is proportional to the predictor eigenvalue of the mode. Where both eigenvalues s1 and s2 are below one half, the
relative speeds of the two modes differ by a factor of up to {ratio["Euclidean"]:.3g}. Under the isotropic Euclidean
loss, these relative speeds differ by a factor of at most {ratio["Euclidean, isotropic"]:.2g}, so that the flow starts
nearly parallel to the diagonal. Under the two cosine losses large modes shrink while small modes grow. Under these
losses, each trajectory follows a curve of constant s1 + s2 (cosine loss) or s1^2 + s2^2 (isotropic cosine loss) until
both eigenvalues are equal; in the computed trajectories, the conserved sum drifts by at most {drift:.1g} of its value.
The initial eigenvalues determine the conserved sum, and thus the final eigenvalues. The difference of the two
eigenvalues, divided by s1 + s2, is at least {before:.2g} at the start and at most {unequal:.1g} at the end.

{agreements(rows)}"""


def _drift(panel: Panel) -> float:
    (invariant,) = dyn.invariants(panel.flow.model)
    values = invariant(panel.flow)[..., 0]
    return float(np.abs(values / values[:, :1] - 1).max())


def _differences(panels: Iterable[Panel]) -> tuple[float, float]:
    """Return the extremes of |s1 - s2|/(s1 + s2) over all trajectories of the flow, for eigenvalues s1 and s2.

    The first number is the smallest initial value, and the second number is the largest final value.
    """
    relative = np.array(
        [np.ptp(panel.flow.s[:, [0, -1]], axis=-1) / panel.flow.s[:, [0, -1]].sum(-1) for panel in panels]
    )
    return float(relative[..., 0].min()), float(relative[..., 1].max())


def _largest_ratio(panel: Panel) -> float:
    both = panel.velocity[(panel.s < 0.5).all(axis=1)]
    return float((both.max(axis=1) / both.min(axis=1)).max())
