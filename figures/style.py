"""Define sizes, colours and drawing functions of all figures, and eight models of Halvagal et al. (2023)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import dynamics as dyn
from dynamics.numerics.files import replacing
from dynamics.presentation import plotting
from dynamics.presentation.labels import label_of
from dynamics.results.animation import animate_figure

COLUMN, PAGE = 3.4, 7.0  # widths of one and of two columns of text, in inches

EIGENVALUE = label_of("s")  # axis label
BLUE, ORANGE, GREEN, RED, GREY = plotting.COLORS
RC = plotting.STYLE | {"figure.constrained_layout.use": True, "savefig.dpi": 200, "pdf.fonttype": 42}

# In small panels points are small, few, and above the lines, which then need no edge.
NETWORK = plotting.NETWORK | {"markersize": 2.2, "markevery": 1, "alpha": 1.0, "zorder": 3}
THEORY = plotting.THEORY | {"linewidth": 0.9, "path_effects": []}
MEAN_FIELD = THEORY | {"linestyle": (0, (3, 2)), "linewidth": 0.6, "color": GREY, "zorder": 1}

NOISE = (0.0, 0.1)  # standard deviations of the noise on the online and target views of the paper's toy network
LOSSES = ("euclidean", "cosine")
SETTINGS: dict[str, dict[str, Any]] = {
    "no stop-gradient": {"stop_gradient": "none"},
    "no predictor": {"predictor": dyn.NoPredictor()},
    "standard": {},
    "isotropic": {"isotropic": True},
}


def paper_models() -> dict[tuple[str, str], dyn.Model]:
    """Return the models in Figure 2 of Halvagal et al. (2023); the keys are pairs (loss, setting)."""
    return {
        (loss, setting): dyn.Model(loss, noise=NOISE, **options)
        for loss in LOSSES
        for setting, options in SETTINGS.items()
    }


def title(loss: str, setting: str) -> str:
    """Return the title of a panel for one loss and one setting, such as "Cosine, isotropic"."""
    return f"{loss.capitalize()}, {setting}"


def initial_weights(modes: int, inputs: int, seed: int) -> np.ndarray:
    """Draw initial weights (M, N) as Halvagal et al. (2023): independent normal entries of standard deviation 1/4."""
    return np.random.default_rng(seed).normal(0.0, 0.25, (modes, inputs))


def eigenvalues_of(weights: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of W W^T in ascending order, shape (..., M)."""
    return np.linalg.svd(weights, compute_uv=False)[..., ::-1] ** 2


def draw_modes(ax: Axes, trajectory: dyn.Trajectory, **style: Any) -> None:
    """Draw eigenvalues against steps, sorted at each step and coloured by rank; draw the first network of several.

    The recorded eigenvalues of a trained network are sorted at each step, so that only the rank identifies an
    eigenvalue. Here the eigenvalues of all trajectories are sorted, so that equal colours mean equal ranks.
    """
    s = np.sort(trajectory.members()[0], axis=-1)
    replace(trajectory, s=s, target=s, predictor=s).plot(ax, **style)


def legend(figure: Figure, **entries: dict) -> None:
    """Draw one legend below all panels.

    entries: one keyword argument for each line in the legend. The keyword is the label of the line, with underscores in
    place of spaces; the value is a dictionary with the properties of the line.
    """
    handles = [Line2D([], [], **({"color": "black"} | look)) for look in entries.values()]
    labels = [name.replace("_", " ") for name in entries]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))


def save(draw: Callable[[Any], Figure], data: Any, stem: Path) -> None:
    """Call ``draw(data)`` in the common style, and write the figure as a .png and a .pdf file.

    Equal data give identical files. stem: path of the files, without the suffix.
    """
    with matplotlib.style.context(["default", RC]):
        figure = draw(data)
        for suffix, metadata in ((".png", "Software"), (".pdf", "CreationDate")):
            with replacing(stem.with_name(stem.name + suffix)) as fresh:
                figure.savefig(fresh, metadata={metadata: None})
            figure.set_layout_engine("none")  # both files have the same layout


def animate(draw: Callable[[Any], Figure], data: Any, path: Path) -> None:
    """Call ``draw(data)`` in the common style, and write an animation in which curves are drawn from left to right."""
    with matplotlib.style.context(["default", RC]):
        animate_figure(draw(data), path)
