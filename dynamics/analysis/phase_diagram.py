"""Phase diagrams: how the descent map ends over two parameters, followed as one ensemble."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dynamics import errors
from dynamics.analysis.collapse import OUTCOMES, outcome_of
from dynamics.analysis.equilibria import check_one_start
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.numerics.progress import check_progress, progress_bar
from dynamics.solvers.descent_numpy import one_step
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import each

BLOCK = 64  # steps between two looks at what has ended
SETTLED = 1e-3  # relative distance still to go at which a mode is where it ends
ROUNDING = 1e-13  # relative range of a mode that does not move
DEAD = 1e-3  # of the largest eigenvalue at the start: a mode that shrinks below it, and not to a level, dies
TURNS = 3.0  # an oscillation goes so many times as far, to and fro, as its range is wide,
PERSISTS = 0.9  # is at least this share of what it was a block before,
BLOCKS = 8  # and has been for so many blocks
ENDS = (*OUTCOMES, "oscillation", "undecided")


@dataclass(frozen=True)
class PhaseDiagram:
    """How the descent map from one start ends, over two parameters.

    x, y: names of the parameters, with their values (X,) and (Y,). outcome (Y, X): one of "isotropic" (all modes
    survive, equal), "anisotropic", "partial collapse", "collapse", "divergence", "oscillation", "undecided" (still on
    the way after all steps). s (Y, X, M): eigenvalues at the end, 0 of modes that die, inf where they diverge.
    steps (Y, X): after how many the end was told.
    """

    model: Model
    s0: np.ndarray
    x: tuple[str, np.ndarray]
    y: tuple[str, np.ndarray]
    outcome: np.ndarray
    s: np.ndarray
    steps: np.ndarray
    status: str = "complete"

    def plot(self, ax=None):
        """Draw the plane of the parameters, coloured by outcome; returns the matplotlib Axes."""
        from dynamics.results.plotting import plot_phases

        return plot_phases(self, ax)

    def __str__(self):
        (x, along_x), (y, along_y) = self.x, self.y
        rows = [
            f"Phase diagram of {self.model}, {self.outcome.size} points",
            f"  {x} {along_x[0]:.6g} to {along_x[-1]:.6g}, {y} {along_y[0]:.6g} to {along_y[-1]:.6g}",
        ]
        for end in ENDS:
            share = np.mean(self.outcome == end)
            rows += [f"  {end}: {100 * share:.3g} %"] if share else []
        return "\n".join([*rows, f"  status {self.status}"])


def phase_diagram(
    model: Model, s0, x, y, *, learning_rate=None, steps=20_000, closure=None, rtol=1e-6, progress=None
) -> PhaseDiagram:
    r"""Iterate s_m <- s_m (1 + eta (r_m - rho))^2 over two parameters until it is clear how it ends.

    s0: eigenvalues (M,) of the start. x, y: (name, values), a name of ``model.parameter_names`` or "learning_rate",
    and ascending values, such as ("weight_decay", np.linspace(0, 0.3, 50)); the model's own values do not count.
    learning_rate: eta > 0, unless it is one of them. steps: at most, in whole blocks of 64. closure, rtol: as of
    ``iterate``, by default looser: how a run ends is all that is asked.

    All points are one ensemble, which those leave that have ended: a mode has where less than 1e-3 is left to go,
    by how it slows down, or where it dies out below 1e-3 of the largest at the start; an oscillation is one that does
    not decay. Interrupting returns what is done, the rest as "undecided". Raises ArgumentError. (Theory: section 5.)
    """
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        errors.reject("model", "have white inputs and plain numbers", model)
    axes, ensemble, eta = _ensemble(model, x, y, learning_rate)
    s0 = check_one_start(model, s0)
    if not s0.any():
        errors.reject("s0", "have an eigenvalue above zero", s0)
    check_progress(progress)
    steps, rtol = errors.count("steps", steps), errors.positive_number("rtol", rtol)
    shape = tuple(len(values) for _, values in reversed(axes))
    forces = vector_field_of(ensemble, closure, rtol)
    start = forces.start(np.broadcast_to(s0, (*shape, len(s0))))
    start = each(lambda part: np.broadcast_to(part, (*shape, len(s0))).reshape(-1, len(s0)), start)

    def rows(numbers):
        return np.broadcast_to(numbers, (*shape, 1)).reshape(-1, 1)

    run = Run(forces, start, forces.parameters.map(rows), rows(eta), s0)
    status = run.follow(steps, progress)
    ends = run.outcome.reshape(shape), run.s.reshape(*shape, -1), run.steps.reshape(shape)
    return PhaseDiagram(model, s0, axes[0], axes[1], *ends, status)


def _ensemble(model: Model, x, y, learning_rate) -> tuple[list, Model, np.ndarray]:
    """The axes, the model at all points of the plane (Y, X), and the learning rates (..., 1)."""
    axes = [_axis(model, name, given) for name, given in (("x", x), ("y", y))]
    if axes[0][0] == axes[1][0]:
        errors.reject("y", "name another parameter than x", axes[1][0])
    values = dict(zip((axes[0][0], axes[1][0]), (axes[0][1], axes[1][1][:, None]), strict=True))
    swept = values.pop("learning_rate", None)
    if swept is None:
        eta = np.asarray(errors.positive_number("learning_rate", learning_rate))
    elif learning_rate is not None:
        errors.reject("learning_rate", "be left out where it is one of the axes", learning_rate)
    else:
        eta = errors.positive("learning_rate", swept)
    return axes, model.replace(**values), eta[..., None]


def _axis(model: Model, name: str, given) -> tuple[str, np.ndarray]:
    must = "be (name, values), with at least two ascending values"
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        errors.reject(name, must, given)
    values = errors.real_array(name, given[1], must)
    errors.choice(name, given[0], ("learning_rate", *model.parameter_names))
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        errors.reject(name, must, given)
    return given[0], values


class Block(NamedTuple):
    """What a mode (B, M) did in a block of steps: its last value, its range, how far it went, and its net change."""

    last: np.ndarray
    range: np.ndarray
    length: np.ndarray
    change: np.ndarray

    @classmethod
    def of(cls, s: np.ndarray) -> "Block":
        """s: (steps, B, M)."""
        return cls(s[-1], np.ptp(s, axis=0), np.abs(np.diff(s, axis=0)).sum(axis=0), s[-1] - s[0])

    def of_members(self, kept: np.ndarray) -> "Block":
        """Of some members of the ensemble."""
        return Block(*(part[kept] for part in self))


class Run:
    """An ensemble of descent maps (B,) that members leave where they have ended; their outcome, s and steps."""

    def __init__(self, forces: VectorField, start, parameters: Parameters, eta: np.ndarray, s0: np.ndarray):
        self.forces, self.state, self.parameters, self.eta = forces, start, parameters, eta
        self.smallest = DEAD * s0.max()
        self.left = np.arange(len(eta))  # who has not ended
        self.outcome = np.full(len(eta), "undecided", dtype=object)
        self.s = np.tile(s0, (len(eta), 1))
        self.steps = np.zeros(len(eta), int)
        self.oscillating = np.zeros(len(eta), int)  # for how many blocks
        self.before: Block | None = None

    def follow(self, steps: int, progress) -> str:
        """Up to so many steps, or until all have ended; how that went."""
        with progress_bar(len(self.left), "phase diagram", progress) as bar:
            try:
                for _ in range(math.ceil(steps / BLOCK)):
                    present = len(self.left)
                    self._one_block()
                    bar.update(present - len(self.left))
                    if not len(self.left):
                        break
            except KeyboardInterrupt:
                return f"interrupted with {len(self.left)} of {len(self.outcome)} points undecided"
        return "complete"

    def _one_block(self) -> None:
        """Some steps, and a look at who has ended."""
        own = vector_field_of(self.forces.model, self.forces.closure, self.forces.rtol, self.parameters)
        passed, gone = [self.state.encoder**2], np.zeros(len(self.left), bool)
        for _ in range(BLOCK):
            self.state, gone = one_step(self.state, own, self.eta)
            own.relax()
            passed.append(self.state.encoder**2)
        with np.errstate(invalid="ignore"):
            now = Block.of(np.array(passed))
        self.s[self.left], self.steps[self.left] = now.last, self.steps[self.left] + BLOCK
        ended = self._ended(now, gone)
        self.before = now.of_members(~ended)
        self.left, self.eta = self.left[~ended], self.eta[~ended]
        self.state = each(lambda part: part[~ended], self.state)
        self.parameters = self.parameters.map(lambda row: row[~ended])

    def _ended(self, now: Block, gone: np.ndarray) -> np.ndarray:
        """Which members have ended (B,); how is noted."""
        if self.before is None:
            self.before = now
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.where(now.range > 0, now.range / self.before.range, 0.0)
            to_go = np.where(decay < 1, now.range * decay / (1 - decay), np.inf)
        to_go = np.where(now.range <= ROUNDING * now.last, 0.0, to_go)
        dies = (now.last < self.smallest) & (now.change <= 0) & (to_go > now.last / 2)
        settled = dies | (to_go < SETTLED * now.last) | (now.last == 0)
        swings = (now.length > TURNS * now.range) & (now.range > SETTLED * now.last) & (decay > PERSISTS)
        count = np.where(swings.any(axis=-1), self.oscillating[self.left] + 1, 0)
        self.oscillating[self.left] = count
        ended = gone | settled.all(axis=-1) | (count >= BLOCKS)
        for i in np.flatnonzero(ended):
            level = np.where(dies[i], 0.0, np.where(gone[i], np.inf, now.last[i]))
            self.s[self.left[i]] = level
            oscillates = count[i] >= BLOCKS and not gone[i]
            self.outcome[self.left[i]] = "oscillation" if oscillates else outcome_of(level, 10 * SETTLED)
        return ended
