"""Define the class ``Equilibrium``: a fixed point of a model, with its stability in the flow and in the descent map."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.stability import (
    MARGINAL,
    Complex,
    SurvivingModes,
    collapsed_multipliers,
    onset_of_instability,
)
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.numerics.context import isolated
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact
from dynamics.vector_field.eigenmode_state import initial, observables


@dataclass(frozen=True, repr=False, eq=False)
class Equilibrium(Result):
    """A fixed point s_m (r_m - rho) = 0 of a model, with correlation eigenvalues s_m, rates r_m and weight decay rho.

    Flow and descent map have the same fixed points. Momentum changes the multipliers and the largest learning rate; the
    growth rates are those of the flow without momentum.

    Attributes
    ----------
    s, predictor : ndarray of shape (M,)
        Eigenvalues of the correlation and of the predictor, the largest first; ``s`` is 0 for collapsed modes.
    growth : complex ndarray
        Growth rates of perturbations of the surviving modes in the flow, in ascending order. They are the eigenvalues
        of the Jacobian of the flow. If a quantity is conserved, the fixed point belongs to a continuous family of fixed
        points with other values of this quantity; the growth rate along this family, which is zero, is left out.
    collapsed_growth : float or None
        Growth rate r - rho of a collapsed mode with rate r, in the limit of a vanishing singular value of this mode.
        The limit may be infinite. None if all modes survive.
    recovers : bool
        True if collapsed modes grow back after a small perturbation, exponentially or more slowly.
    largest_learning_rate : float
        The fixed point is stable in the descent map with learning rates below this value. The value is zero if the
        fixed point is not stable in the flow. The value is also zero if a collapsed mode has the growth rate -inf,
        because then no learning rate is small enough.

    Examples
    --------
    >>> import dynamics as dyn
    >>> equilibrium = dyn.equilibria(dyn.Model("euclidean"), [0.1, 0.5])[0]
    >>> print(equilibrium)
    2 at 1: stable, up to learning rate 1
    """

    s: npt.NDArray[np.float64]
    predictor: npt.NDArray[np.float64]
    growth: Complex
    collapsed_growth: float | None
    recovers: bool
    largest_learning_rate: float
    _groups: tuple[SurvivingModes, ...] = field(repr=False)
    _of_collapsed: Callable[[float], Complex] = field(repr=False, compare=False)  # multipliers of a collapsed mode
    _scale: float = field(repr=False)  # size of the rates near the fixed point, to which growth rates are compared

    @classmethod
    def of(
        cls,
        model: Model,
        groups: list[SurvivingModes],
        modes: int,
        collapsed_growth: float,
        recovers: bool,
        momentum: Momentum | None = None,
    ) -> "Equilibrium":
        """Return the fixed point at which the modes in ``groups`` survive and all other modes have collapsed.

        groups: groups of surviving modes; the modes of a group have equal eigenvalues. modes: number of all modes.
        collapsed_growth: growth rate of a collapsed mode. recovers: True if a collapsed mode grows back after a small
        perturbation. momentum: momentum of the descent map.
        """
        collapsed = modes - sum(group.count for group in groups)
        s, lam = (
            np.array([value for group in groups for value in [getattr(group, name)] * group.count] + [0.0] * collapsed)
            for name in ("s", "lam")
        )
        limits = [group.largest_learning_rate for group in groups]
        of_collapsed = partial(collapsed_multipliers, model, collapsed_growth, momentum)
        if collapsed and collapsed_growth < 0:
            exact = momentum is None or not np.isfinite(collapsed_growth)
            limits.append(2 / -collapsed_growth if exact else onset_of_instability(of_collapsed, -collapsed_growth))
        equilibrium = cls(
            s=s,
            predictor=observables(model.structure, model.parameters, initial(model.structure, s, lam)).predictor,
            growth=np.sort_complex(np.concatenate([np.zeros(0), *(group.growth for group in groups)])),
            collapsed_growth=collapsed_growth if collapsed else None,
            recovers=collapsed > 0 and recovers,
            largest_learning_rate=float(min(limits, default=np.inf)),
            _groups=tuple(groups),
            _of_collapsed=of_collapsed,
            _scale=max([float(model.weight_decay), *(group.scale for group in groups)]),
        )
        return equilibrium if equilibrium.verdict == "stable" else replace(equilibrium, largest_learning_rate=0.0)

    @property
    def surviving(self) -> int:
        """Number of surviving modes."""
        return int(np.count_nonzero(self.s))

    @property
    def verdict(self) -> str:
        """Stability in the flow: "stable", "unstable" or "marginal".

        Only perturbations that do not change conserved quantities count. "marginal" means that the largest growth rate
        of such perturbations is zero. For example, the fixed point at a fold is marginal, because it attracts
        trajectories from one side only.
        """
        if self.recovers or (self.growth.real > self.growth_error).any():
            return "unstable"
        return "marginal" if (self.growth.real > -self.growth_error).any() else "stable"

    @property
    def growth_error(self) -> float:
        """Numerical error of growth rates; a growth rate whose absolute value is below this error counts as zero."""
        return MARGINAL * self._scale

    @property
    def largest_growth(self) -> float:
        """Largest growth rate, in the flow, of a perturbation of surviving or collapsed modes."""
        rates = [*self.growth.real, *([] if self.collapsed_growth is None else [self.collapsed_growth])]
        return max(rates, default=-np.inf)

    @isolated
    def multipliers(self, learning_rate: float) -> Complex:
        """Return the complex factors by which a step of the descent map multiplies perturbations of the fixed point.

        The fixed point is stable in the descent map if the absolute values of all factors are below 1. The result
        contains the factors of both surviving and collapsed modes; with momentum also those of the buffers.
        """
        eta = errors.positive_number("learning_rate", learning_rate)
        collapsed = [self._of_collapsed(eta)] * (len(self.s) - self.surviving)
        return np.sort_complex(np.concatenate([*(group.multipliers(eta) for group in self._groups), *collapsed]))

    @property
    def headline(self) -> str:
        """The surviving and collapsed modes, and their stability."""
        return str(self)

    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the fixed point."""
        rates = "" if self.collapsed_growth is None else f", of collapsed modes {self.collapsed_growth:.4g}"
        return [
            ("eigenvalues s", _spectrum(self.s)),
            ("predictor", _spectrum(self.predictor)),
            ("largest growth rate", f"{self.largest_growth:.4g}{rates}"),
            ("largest learning rate", f"{self.largest_learning_rate:.4g}"),
        ]

    def __str__(self) -> str:
        values, counts = np.unique(self.s[self.s > 0], return_counts=True)
        groups = [f"{count} at {s:.6g}" for s, count in zip(values, counts, strict=True)]
        if collapsed := len(self.s) - self.surviving:
            groups.append(f"{collapsed} collapsed{' but recovering' if self.recovers else ''}")
        return f"{', '.join(groups)}: {self.verdict}{self._limit if self.verdict == 'stable' else ''}"

    @property
    def _limit(self) -> str:
        """End of the text that describes a stable fixed point: the largest learning rate at which it is stable."""
        if self.largest_learning_rate == 0:
            return " in the flow, but at no learning rate"
        return f", up to learning rate {self.largest_learning_rate:.6g}"


def _spectrum(values: npt.NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:6])
    return shown if len(values) <= 6 else f"{shown}, ... ({len(values)} modes)"
