"""Iterate an ensemble of descent maps until each member has converged, collapsed, diverged, or begun to oscillate.

A member is a descent map with its own parameters. All members start from the same initial eigenvalues.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dynamics.analysis.collapse import OUTCOMES, outcome_of
from dynamics.model.parameters import Parameters
from dynamics.numerics.progress import progress_bar
from dynamics.solvers.descent_numpy import one_step
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State, each

BLOCK = 64  # number of steps of a block; after each block, the outcomes of members are tested
CONVERGED = 1e-3  # an eigenvalue has converged if its relative distance from the limit is below this value
ROUNDING = 1e-13  # an eigenvalue is stationary if its relative range in a block of steps is at most this value
COLLAPSED = 1e-3  # a mode vanishes if it shrinks below this fraction of the largest initial eigenvalue
# A member oscillates if, in each of BLOCKS successive blocks, the path of an eigenvalue is longer than TURNS times the
# range of the eigenvalue, and the range is more than PERSISTS times the range in the previous block.
TURNS, PERSISTS, BLOCKS = 3.0, 0.9, 8
ENDS = (*OUTCOMES, "oscillation", "undecided")

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class BlockMotion(NamedTuple):
    """Last value, range, path length and change of each eigenvalue in a block of steps; arrays (B, M) for B members."""

    last: Array  # last value
    range: Array  # largest minus smallest value
    length: Array  # length of the path: sum of |changes| over all steps
    change: Array  # last minus first value

    @classmethod
    def of(cls, s: Array) -> "BlockMotion":
        """Return the motion of the eigenvalues s (steps, B, M) of B ensemble members during a block of steps."""
        return cls(s[-1], np.ptp(s, axis=0), np.abs(np.diff(s, axis=0)).sum(axis=0), s[-1] - s[0])

    def of_members(self, chosen: Mask) -> "BlockMotion":
        """Return the motion of the ensemble members that the mask ``chosen`` (B,) selects."""
        return BlockMotion(*(part[chosen] for part in self))


class EnsembleDescent:
    """An ensemble of B descent maps, iterated until the outcome of each member is decided.

    A member is one descent map; its outcome is one of ENDS, such as "collapse" or "oscillation". field: vector field of
    the whole ensemble. state: initial state of each member. parameters: parameters of each member, arrays (B, 1). eta:
    learning rate of each member (B, 1). s0: initial eigenvalues (M,), the same for all members.

    The attributes ``outcome`` (B,), ``s`` (B, M) and ``steps`` (B,) contain the outcome of each member, its final
    eigenvalues and its number of steps. A member whose rates overflow is removed from the iteration, and its outcome
    stays "undecided". The attribute ``overflow`` contains the message of the error that reports the overflow, and the
    number of members that were removed.
    """

    def __init__(self, field: VectorField, state: State, parameters: Parameters, eta: Array, s0: Array):
        self.field, self.state, self.parameters, self.eta = field, state, parameters, eta
        self.smallest = COLLAPSED * s0.max()
        self.running = np.arange(len(eta))  # indices of the members whose outcome is not decided yet
        self.outcome = np.full(len(eta), "undecided", dtype=object)
        self.s = np.tile(s0, (len(eta), 1))
        self.steps = np.zeros(len(eta), int)
        self.oscillating = np.zeros(len(eta), int)  # number of successive blocks in which each member has oscillated
        self.previous: BlockMotion | None = None
        self.overflow: tuple[str, int] = "", 0

    def follow(self, steps: int, progress: bool | None) -> str:
        """Iterate until the outcomes of all members are decided, but at most ``steps`` steps; return the status.

        ``steps`` is rounded up to whole blocks. The status is "complete", or states that the user has interrupted the
        iteration, or states for how many members the rates have overflowed.
        """
        with progress_bar(len(self.running), "phase diagram", progress) as bar:
            try:
                for _ in range(math.ceil(steps / BLOCK)):
                    before = len(self.running)
                    while not self._iterate_block():
                        pass
                    bar.update(before - len(self.running))
                    if not len(self.running):
                        break
            except KeyboardInterrupt:
                return f"interrupted with {len(self.running)} of {len(self.outcome)} points undecided"
        reason, number = self.overflow
        return f"stopped at {number} of {len(self.outcome)} points: {reason}" if number else "complete"

    def _iterate_block(self) -> bool:
        """Iterate for one block of steps, and then remove the members whose outcome is decided.

        Return True if the block is complete. If the rates of some members overflow, remove these members, set all other
        members back to the start of the block, and return False.
        """
        if not len(self.running):
            return True
        first, path, diverged = self.state, [self.state.encoder**2], np.zeros(len(self.running), bool)
        field = self._field(self.parameters)
        for _ in range(BLOCK):
            try:
                self.state, diverged = one_step(self.state, field, self.eta)
            except FloatingPointError as error:
                self._remove_overflowing(first, str(error))
                return False
            path.append(self.state.encoder**2)
        with np.errstate(invalid="ignore"):
            motion = BlockMotion.of(np.array(path))
        self.s[self.running], self.steps[self.running] = motion.last, self.steps[self.running] + BLOCK
        going_on = ~self._ended(motion, diverged)
        self.previous = motion
        self._keep(going_on)
        return True

    def _field(self, parameters: Parameters) -> VectorField:
        return vector_field_of(self.field.model, self.field.closure, self.field.rtol, parameters)

    def _keep(self, chosen: Mask) -> None:
        """Remove all members from the ensemble except those that the mask ``chosen`` selects."""
        self.running, self.eta = self.running[chosen], self.eta[chosen]
        self.state = each(lambda part: part[chosen], self.state)
        self.parameters = self.parameters.map(lambda rows: rows[chosen])
        self.previous = None if self.previous is None else self.previous.of_members(chosen)

    def _remove_overflowing(self, first: State, reason: str) -> None:
        """Remove the members whose rates overflow, and set all other members back to the start of the block of steps.

        first: state of all members at the start of the block. reason: message of the error that reported the overflow.
        """
        overflows = np.zeros(len(self.running), bool)
        for i in range(len(self.running)):
            rows = np.arange(len(self.running)) == i
            field = self._field(self.parameters.map(lambda values, rows=rows: values[rows]))
            try:
                one_step(each(lambda part, rows=rows: part[rows], self.state), field, self.eta[rows])
            except FloatingPointError as error:
                overflows[i], reason = True, str(error)
        if not overflows.any():
            overflows[:] = True
        self.overflow = reason, self.overflow[1] + int(overflows.sum())
        self.state = first
        self._keep(~overflows)

    def _ended(self, motion: BlockMotion, diverged: Mask) -> Mask:
        """Record the outcomes that a block of steps decides; return a mask of the members with decided outcomes."""
        previous = motion if self.previous is None else self.previous
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.where(motion.range > 0, motion.range / previous.range, 0.0)
            to_go = np.where(decay < 1, motion.range * decay / (1 - decay), np.inf)
        to_go = np.where(motion.range <= ROUNDING * motion.last, 0.0, to_go)
        vanishes = (motion.last < self.smallest) & (motion.change <= 0) & (to_go > motion.last / 2)
        converged = vanishes | (to_go < CONVERGED * motion.last) | (motion.last == 0)
        turns = motion.length > TURNS * motion.range
        oscillates = turns & (motion.range > CONVERGED * motion.last) & (decay > PERSISTS)
        blocks = np.where(oscillates.any(axis=-1), self.oscillating[self.running] + 1, 0)
        self.oscillating[self.running] = blocks
        ended = diverged | converged.all(axis=-1) | (blocks >= BLOCKS)
        for i in np.flatnonzero(ended):
            final = np.where(vanishes[i], 0.0, np.where(diverged[i], np.inf, motion.last[i]))
            self.s[self.running[i]] = final
            persists = blocks[i] >= BLOCKS and not diverged[i]
            self.outcome[self.running[i]] = "oscillation" if persists else outcome_of(final, 10 * CONVERGED)
        return ended
