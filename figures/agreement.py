"""Compare linear networks with the theory, and with other theories, in units of the standard error."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # scipy.stats takes half a second to import

import dynamics as dyn
from dynamics.verification.compare import ROUNDING
from figures.captions import percent, table

LEVEL = 0.05  # probability with which some distance of a table exceeds its bound if theory holds
FASTER = 1.01  # factor of the learning rate in a theory with which the sensitivity of a comparison is measured
SEEDS_NEEDED = 3  # from this number of networks on, the standard error is that over networks
LARGEST = 1000  # distances above this are not shown in full
THEORY = "theory"

Array = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """The largest distances of networks from the theory, and from other theories, in standard errors.

    A distance is |network - theory| for the variance of one mode at one step; ``network`` is the mean over networks.
    """

    until: int  # last step that is counted
    relative: float  # largest |network/theory - 1|
    distances: dict[str, float]  # keys: THEORY and the names of other theories
    counted: int  # number of pairs (mode, step) that are counted
    seeds: int  # number of networks
    corrected: bool  # True if the theory includes the change of the mean by finite batches at all counted steps

    def bound(self, rows: int = 1) -> float:
        """Return the bound below which all distances in a table stay with probability 1 - LEVEL if theory holds.

        rows: the number of rows of the table. This is Bonferroni's bound for all rows and all counted values. The
        distribution is Student's t if the standard error is measured over networks, and the normal distribution if the
        standard error is predicted.
        """
        tail = LEVEL / (2 * rows * max(self.counted, 1))
        return -float(special.stdtrit(self.seeds - 1, tail) if self.seeds >= SEEDS_NEEDED else special.ndtri(tail))


def agreement(network: dyn.Trajectory, above: float = 0.0, **others: dyn.Trajectory) -> Agreement:
    """Return the distances of networks from the theory, from the flow, and from other theories.

    The theory is the descent map plus the predicted change of its mean by finite batches. The change is added at the
    steps at which its prediction is reliable. One of the other theories is the descent map with a learning rate that is
    FASTER times that of the networks. With at least SEEDS_NEEDED networks, the standard error is that of the mean over
    networks. With fewer networks, the standard error is predicted, and only steps at which the prediction is reliable
    are counted.

    above: a mode is counted only at steps at which its variance in theory exceeds this value.
    others: trajectories of further theories, by name, recorded at least at the steps of the networks; underscores in
    names become spaces.
    """
    steps, eta = np.asarray(network.step), network.settings["learning_rate"]
    modes = network.modes.reshape(-1, *network.s.shape[-2:])
    assert network.weights is not None  # networks of one layer have weights
    weights = np.asarray(network.weights.reshape(-1, *network.weights.shape[-3:])[0, 0], float)
    start = weights if network.model.inputs is not None else np.sort(network.members()[0, 0])
    options: dict[str, Any] = {"steps": int(steps[-1]), "record": steps.tolist()}
    finite = {"batch_size": network.settings["batch_size"], "input_dimension": weights.shape[-1]}
    population = dyn.iterate(network.model, start, learning_rate=eta, **options).modes
    predicted = dyn.iterate(network.model, start, learning_rate=eta, **options, **finite)
    reliable, mean, deviation = _law(predicted, population)

    over_networks = len(modes) >= SEEDS_NEEDED
    error = (modes.std(axis=0, ddof=1) if over_networks else deviation) / np.sqrt(len(modes))
    rows = (steps > 0) & (reliable | over_networks)
    counted = rows[:, None] & (mean > above) & (error > 0)
    averaged = modes.mean(axis=0)

    def largest(other: Array) -> float:
        expected = mean + other - population
        away = counted & (np.abs(averaged - expected) > ROUNDING[network.settings["dtype"]] * mean)
        return float(np.max(np.abs(averaged - expected)[away] / error[away], initial=0.0))

    theories = {
        THEORY: population,
        "flow": dyn.solve(network.model, start, network.t, learning_rate=_rate_of_averages(network)).modes,
        f"learning rate x {FASTER:g}": dyn.iterate(network.model, start, learning_rate=FASTER * eta, **options).modes,
        **{name.replace("_", " "): run.modes[np.isin(np.asarray(run.step), steps)] for name, run in others.items()},
    }
    relative = float(np.max(np.abs(averaged[counted] / mean[counted] - 1), initial=0.0))
    distances = {name: largest(other) for name, other in theories.items()}
    corrected = bool(reliable[rows].all())
    return Agreement(int(steps[rows].max(initial=0)), relative, distances, int(counted.sum()), len(modes), corrected)


def _rate_of_averages(network: dyn.Trajectory) -> float | None:
    """Return the learning rate of a network if the flow depends on it, otherwise None.

    The flow depends on the learning rate if the model has an average over steps: an averaged target, or a tracked
    correlation.
    """
    structure = network.model.structure
    return network.settings["learning_rate"] if structure.separate_target or structure.tracked else None


def _law(predicted: dyn.Trajectory, population: Array) -> tuple[npt.NDArray[np.bool_], Array, Array]:
    """Return the prediction for finite batches as three arrays: reliable (T,), mean (T, M), standard deviation (T, M).

    An element of the first array is True if the prediction is reliable at this step. predicted: the descent map with
    finite batches. population: the variances of modes (T, M) for infinite batches, which replace the mean at steps at
    which the prediction is not reliable.
    """
    along = predicted.mode_deviation is not None  # correlated inputs: modes along the initial eigenvectors
    end = len(predicted.t)
    reliable, deviation, mean = np.zeros(len(population), bool), np.zeros_like(population), population.copy()
    reliable[:end] = predicted.mode_reliable if along else predicted.reliable
    deviation[:end] = predicted.mode_deviation if along else predicted.deviation
    mean[reliable] = predicted.modes[reliable[:end]]
    return reliable, mean, deviation


EXPLANATIONS = {
    THEORY: "the theory",
    "flow": "the flow, the limit of small learning rates",
    f"learning rate x {FASTER:g}": f"the descent map with a learning rate {percent(FASTER - 1)} larger",
    "mean field": "the descent map in the mean-field approximation",
    "white inputs": "the theory for white inputs",
}
UNCORRECTED = """
In rows with a star, this effect cannot be predicted at some or all of the compared steps. One reason is that the
gradient of a sample has no finite variance (under the cosine loss of two modes); another reason is that fluctuations
are too large. At these steps the theory is the descent map without a shift, from which networks deviate in proportion
to one over the batch size (the figure fig5_fixed_points tests this)."""


def _shown(distance: float) -> str:
    return f"{distance:.1f}" if distance < LARGEST else f"> {LARGEST}"


def agreements(rows: dict[str, Agreement]) -> str:
    """Format a table with one comparison in each row, and sentences that explain it and state the excluded theories."""
    tested = {name: row for name, row in rows.items() if row.counted}
    bounds = {name: row.bound(len(tested)) for name, row in tested.items()}
    theories = list(dict.fromkeys(name for row in tested.values() for name in row.distances))
    distances_from = (f"distance from {name} (standard errors)" for name in theories)
    lines = [["", "last step compared", "largest deviation from theory", *distances_from, "bound of the distances"]]
    for name, row in rows.items():
        distances = [_shown(row.distances[title]) if title in row.distances else "" for title in theories]
        cells = [str(row.until), percent(row.relative), *distances, f"{bounds[name]:.1f}"] if row.counted else []
        lines.append([name + "*" * (not row.corrected), *(cells or ["none", *[""] * (len(theories) + 2)])])
    verdicts = []
    for title in theories:
        beyond = [row.distances[title] > bounds[name] for name, row in tested.items() if title in row.distances]
        verdicts.append(f"{EXPLANATIONS[title]}: {sum(beyond)} of {len(beyond)}")
    seeds = max(row.seeds for row in rows.values())
    error = (
        f"that of the mean over {seeds} networks that differ in their batches"
        if seeds >= SEEDS_NEEDED
        else "predicted (docs/finite_batches.md), and only steps at which this prediction is reliable are compared"
    )
    uncorrected = "" if all(row.corrected for row in tested.values()) else UNCORRECTED
    return f"""
The table below compares linear networks with the theory. The theory is the descent map, shifted by the predicted effect
of finite batches on the mean over networks.{uncorrected} The compared values are the variances of the representation
along the eigenvectors of the initial correlation, at the recorded steps. The largest deviation is the maximum of
|network/theory - 1| over modes and steps. A distance is the maximum of |network - theory| over modes and steps, in
standard errors. The standard error is {error}. If the theory holds, every distance from the theory stays below its
bound with a probability of at least {percent(1 - LEVEL)} (Bonferroni). The other distances are distances from wrong or
approximate theories, with the same shift; they show which of these theories the comparison excludes. Number of rows in
which a distance exceeds the bound: {"; ".join(verdicts)}.

{table(lines)}"""
