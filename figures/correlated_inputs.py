"""Correlated inputs: modes rotate towards the inputs whose variance exceeds the noise variance."""

import numpy as np
import scipy.linalg
from matplotlib.figure import Figure

import dynamics as dyn
from figures import style
from figures.agreement import agreement, agreements
from figures.captions import count, listing, noise, percent
from figures.panels import panel_names

MODES, SEED, LEARNING_RATE = 3, 4, 0.1
STEPS = {False: 500, True: 1000}
VARIANCES = np.geomspace(1, 0.01, 5)  # variances of the inputs, with condition number 100
NOISE = (0.3, 0.3)
BATCH = {False: 10_000, True: 100_000}
AXES = dict(zip(VARIANCES, (style.BLUE, style.GREEN, style.ORANGE, style.RED, style.GREY), strict=True))
# Vertical alignment of the label at the end of each line.
LABELS = dict(zip(VARIANCES, ("bottom", "top", "top", "bottom", "center"), strict=True))
AS_IF_WHITE = {"linestyle": (0, (3, 2)), "linewidth": 0.7}

Runs = tuple[dyn.Trajectory, dyn.Trajectory, dyn.Trajectory]


def compute(full: bool) -> dict[str, Runs]:
    """Return three trajectories for each loss: two of the descent map, and one of a network.

    The first descent map iterates the weights and includes the variances of the inputs. The second iterates eigenvalues
    as if the inputs were white. All three trajectories have the same initial eigenvalues.
    """
    W0 = 2 * style.initial_weights(MODES, len(VARIANCES), SEED)
    s0 = style.eigenvalues_of(W0 * np.sqrt(VARIANCES))
    runs, steps = {}, STEPS[full]
    for loss in style.LOSSES:
        white, model = (dyn.Model(loss, noise=NOISE, inputs=inputs) for inputs in (None, np.diag(VARIANCES)))
        theory = dyn.iterate(model, W0, steps, LEARNING_RATE, record=steps // 100)
        as_if_white = dyn.iterate(white, s0, steps, LEARNING_RATE, record=steps // 100)
        network = dyn.train(model, W0, steps, LEARNING_RATE, batch_size=BATCH[full], seed=SEED, record=steps // 20)
        runs[loss] = (theory, as_if_white, network)
    return runs


PANELS = panel_names(style.LOSSES, ("eigenvalues", "contributions of inputs"))


def draw(data: dict[str, Runs]) -> Figure:
    """Draw eigenvalues of the correlation on the left, and the contribution of each input to their sum on the right."""
    figure = Figure(figsize=(style.PAGE, 4.0))
    rows = figure.subplots(len(data), 2, sharex=True)
    for (left, right), (loss, (theory, as_if_white, network)) in zip(rows, data.items(), strict=True):
        for result, look in ((as_if_white, AS_IF_WHITE), (theory, style.THEORY), (network, style.NETWORK)):
            style.draw_modes(left, result, **look)
        by_input = zip(_by_input(theory).T, _by_input(network).T, AXES.items(), strict=True)
        for predicted, measured, (variance, color) in by_input:
            right.plot(theory.step, predicted, color=color, **style.THEORY)
            right.plot(network.step, measured, color=color, **style.NETWORK)
            right.annotate(
                f"{variance:.2g}",
                (np.asarray(theory.step)[-1], predicted[-1]),
                (4, 0),
                textcoords="offset points",
                color=color,
                va=LABELS[variance],
                fontsize=6.5,
            )
        left.set(title=f"{loss.capitalize()}: eigenvalues", ylabel=style.EIGENVALUE, yscale="log")
        right.set(
            title=f"{loss.capitalize()}: contributions of inputs", ylabel="variance of z\nfrom each input", yscale="log"
        )
        for ax in (left, right):
            ax.set_xlabel("step" if loss == style.LOSSES[-1] else "")
    style.legend(figure, network=style.NETWORK, theory=style.THEORY, as_if_inputs_were_white=AS_IF_WHITE)
    return figure


def _by_input(result: dyn.Trajectory) -> np.ndarray:
    """Return E|W_:j x_j|^2 (T, N), the contribution of each input j to the variance of the representation z = W x.

    W_:j is column j of W; T is the number of recorded steps, and N the number of inputs. The sum of the contributions
    over inputs is the trace of the correlation of z.
    """
    return (np.asarray(result.weights, float) ** 2).sum(axis=-2) * VARIANCES


def caption(data: dict[str, Runs], full: bool) -> str:
    """Return the caption, which describes the panels and states how modes rotate, and compares networks with theory."""
    loud = NOISE[0] ** 2 < VARIANCES
    rows = {loss: agreement(network, white_inputs=white) for loss, (_, white, network) in data.items()}
    lines = []
    for loss, (theory, _, network) in data.items():
        shares = [_by_input(run)[:, loud].sum(axis=-1) / _by_input(run).sum(axis=-1) for run in (theory, network)]
        ends = [f"{percent(share[0])} to {percent(share[-1])}" for share in shares]
        lines.append(
            f"{loss}: share {ends[0]} in theory and {ends[1]} in the network, angle {_turned(theory):.1f} degrees in "
            f"theory and {_turned(network):.1f} in the network"
        )
    variances = listing(f"{variance:.2g}" for variance in VARIANCES)
    return f"""
Linear networks (M = {MODES} modes) on {len(VARIANCES)} independent inputs with variances {variances} (condition number
{VARIANCES[0] / VARIANCES[-1]:.0f}). There is white {noise(NOISE)}, which is a variance of {NOISE[0] ** 2:.2g}. The
networks are trained at learning rate {LEARNING_RATE} with {count(BATCH[full])} samples a step. Top: Euclidean loss;
bottom: cosine loss; horizontal axes: step. Left: eigenvalues of the correlation C = W Sigma_x W^T, with encoder W and
input covariance Sigma_x; dark to light: smallest to largest. Points: network. Lines: the exact descent map of W.
Dashes: the descent map for white inputs from the same initial eigenvalues. Right: E|W_:j x_j|^2, the contribution of
input j to the variance of the representation z = W x, where W_:j is column j of W. Each input has one colour, and a
label states its variance. Points: network; lines: descent map.

With correlated inputs, modes rotate in theory towards the inputs with a variance above that of the noise, because in
these inputs the two views mostly agree. With white inputs no mode rotates. Two numbers measure the rotation: a share
and an angle. The share is the fraction of the variance of the representation that comes from the {loud.sum()} inputs
with a variance above that of the noise, at the start and at the end of training. The share also changes without
rotation if modes grow by different factors. The angle is the largest principal angle between the subspaces of the input
space that the two leading modes span at the start and at the end. The angle is 0 if modes do not rotate.
{"; ".join(lines)}.

{agreements(rows)}"""


def _turned(result: dyn.Trajectory) -> float:
    """Return the angle, in degrees, by which the two leading modes rotate in the input space during training.

    The two leading modes span a subspace of the input space. The angle is the largest principal angle between this
    subspace at the start and at the end.
    """
    ends = np.asarray(result.weights)[[0, -1]]
    leading = np.linalg.svd(ends * np.sqrt(VARIANCES))[0][..., :2]
    first, last = leading.mT @ ends
    return float(np.degrees(scipy.linalg.subspace_angles(first.T, last.T).max()))
