"""Weight decay in deep networks: it takes what the loss does not hold.

Halvagal et al. (2023), Figure 8: weight decay 4e-4, 1e-5 and 1e-6, on handwritten digits.
"""

import numpy as np
from matplotlib.figure import Figure

import dynamics as dyn
from dynamics.plotting import mode_colors
from figures import deep_networks as deep
from figures import style
from figures.captions import listing, percent

DECAYS = (1e-2, 4e-4, 1e-5, 1e-6)
STEPS = {False: 450, True: 20_000}
SEEDS = range(2)
HALF = 0.5  # of the largest eigenvalue

Key = tuple[str, float]


def compute(full: bool) -> dict[Key, dyn.Trajectory]:
    """DirectPred under each loss and weight decay."""
    return {
        (loss, decay): deep.run(
            "DirectPred", loss, "shared target", full, steps=STEPS[full], seeds=SEEDS, weight_decay=decay
        )
        for loss in style.LOSSES
        for decay in DECAYS
    }


def draw(data: dict[Key, dyn.Trajectory]) -> Figure:
    """Losses in rows, weight decay in columns."""
    figure = Figure(figsize=(style.PAGE, 3.6))
    axes = figure.subplots(len(style.LOSSES), len(DECAYS), sharex=True, sharey=True)
    for ax, ((loss, decay), run) in zip(axes.flat, data.items(), strict=True):
        with np.errstate(divide="ignore"):
            s = np.exp(np.log(run.s).mean(axis=0))
        for column, colour in zip(s.T, mode_colors(s.shape[1]), strict=True):
            ax.plot(run.step, np.where(column > 0, column, np.nan), color=colour, linewidth=0.8)
        ax.set(title=rf"{loss.capitalize()}, $\rho$ = {decay:g}", yscale="log", ylim=(1e-6, 60))
        ax.locator_params(axis="x", nbins=3)
        ax.label_outer(remove_inner_ticks=False)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("eigenvalue $s_m$")
    return figure


def caption(data: dict[Key, dyn.Trajectory], full: bool) -> str:
    """What is shown, and where it ends, beside the theory's levels."""
    ends = {loss: listing(_end(data[loss, decay], decay) for decay in DECAYS) for loss in style.LOSSES}
    floors = {loss: listing(f"{_floor(data[loss, d]):.0e} ({d:g})" for d in DECAYS) for loss in style.LOSSES}
    return f"""
Eigenvalues of the correlation under weight decay rho, in an MLP with DirectPred on handwritten digits, geometric mean
over {len(SEEDS)} seeds; dark to light: smallest to largest. The paper's values are the last three; too few steps
are made here for the smaller of them to show, so that a larger one is added.

The paper's claim: the small eigenvalues, which the loss does not hold, decay with rho, and the large ones stay. Median
of the smaller half at the end. Euclidean: {floors["euclidean"]}; cosine: {floors["cosine"]}. The large ones, above half
of the largest: Euclidean: {ends["euclidean"]}; cosine: {ends["cosine"]}.

The linear theory of the Euclidean loss puts the upper level at lambda = (1 + sqrt(1 - 4 rho))/2, s = lambda^2, from
{_level(DECAYS[0]):.2f} at rho = {DECAYS[0]:g} to {_level(DECAYS[-1]):.2f}, and the fold, where all collapses, at rho =
1/4. In a deep network all layers decay, and batch norm undoes the decay of all but the last."""


def _level(decay: float) -> float:
    return ((1 + np.sqrt(1 - 4 * decay)) / 2) ** 2


def _end(run: dyn.Trajectory, decay: float) -> str:
    s = run.s[:, -1]
    up = s[s > HALF * s.max(axis=-1, keepdims=True)]
    return f"{up.mean():.2f} +- {percent(up.std() / up.mean())} ({decay:g})" if np.isfinite(up).all() else run.status


def _floor(run: dyn.Trajectory) -> float:
    s = run.s[:, -1]
    return float(np.median(s[:, : s.shape[1] // 2]))
