"""Define the class ``Equilibrium``: a fixed point of a model, with its stability in the flow and in the descent map."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.collapsed_mode import CollapsedMode
from dynamics.analysis.stability import MARGINAL, Complex, SurvivingModes
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.presentation.result import Result
from dynamics.presentation.text import Fact, listed
from dynamics.vector_field.eigenmode_state import initial, observables


@dataclass(frozen=True, repr=False, eq=False)
class Equilibrium(Result):
    """A fixed point s_m (r_m - rho) = 0 of a model, with correlation eigenvalues s_m, rates r_m and weight decay rho.

    Flow and descent map have the same fixed points. Momentum changes the multipliers and the largest learning rate; the
    growth rates are those of the flow without momentum.

    Attributes
    ----------
    s, predictor : ndarray of shape (M,)
        Eigenvalues of the correlation and of the predictor; ``s`` is 0 for collapsed modes. The largest is first. If
        the second moments of the views differ between modes, eigenvalues have the order of these modes instead.
    growth : complex ndarray
        Growth rates of perturbations of the surviving modes in the flow, in ascending order. They are the eigenvalues
        of the Jacobian of the flow. If a quantity is conserved, the fixed point belongs to a continuous family of fixed
        points with other values of this quantity; the growth rate along this family, which is zero, is left out.
    collapsed_growth : float or None
        Growth rate r - rho of a collapsed mode with rate r, in the limit of a vanishing singular value of this mode.
        The limit may be infinite. If the second moments of the views differ between modes, this is the largest growth
        rate of a collapsed mode. None if all modes survive.
    recovers : bool
        True if collapsed modes grow back after a small perturbation, exponentially or more slowly.
    largest_learning_rate : float
        The fixed point is stable in the descent map with learning rates below this value. The value is zero if the
        fixed point is not stable in the flow. The value is also zero if a collapsed mode has the growth rate -inf,
        because then no learning rate is small enough.
    has_order : bool
        True if the second moments of the views differ between modes, so that the order of the eigenvalues matters.

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
    has_order: bool
    _groups: tuple[SurvivingModes | CollapsedMode, ...] = field(repr=False)
    _errors: npt.NDArray[np.float64] = field(repr=False)  # numerical errors of the growth rates ``growth``
    _least_error: float = field(repr=False)

    @classmethod
    def of(cls, model: Model, groups: Sequence[SurvivingModes | CollapsedMode]) -> "Equilibrium":
        """Return the fixed point at which the modes are those in ``groups``, in this order.

        groups: collapsed modes, and groups of surviving modes that have equal eigenvalues.
        """
        s, lam = (
            np.array([value for group in groups for value in [getattr(group, name)] * group.count])
            for name in ("s", "lam")
        )
        surviving = [group for group in groups if isinstance(group, SurvivingModes)]
        collapsed = [group for group in groups if isinstance(group, CollapsedMode)]
        growth = np.concatenate([np.zeros(0, complex), *(group.growth for group in surviving)])
        uncertain = np.concatenate(
            [np.zeros(0), *(np.full(len(group.growth), group.growth_error) for group in surviving)]
        )
        order = np.lexsort((growth.imag, growth.real))
        equilibrium = cls(
            s=s,
            predictor=observables(model.structure, model.parameters, initial(model.structure, s, lam)).predictor,
            growth=growth[order],
            collapsed_growth=max((group.growth for group in collapsed), default=None),
            recovers=any(group.recovers for group in collapsed),
            largest_learning_rate=float(min(group.largest_learning_rate for group in groups)),
            has_order=model.views is not None and not model.views.are_alike,
            _groups=tuple(groups),
            _errors=uncertain[order],
            _least_error=MARGINAL * float(model.weight_decay),
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
        if self.recovers or (self.growth.real > self._errors).any():
            return "unstable"
        return "marginal" if (self.growth.real > -self._errors).any() else "stable"

    @property
    def growth_error(self) -> float:
        """Largest numerical error of growth rates; a rate whose absolute value is below its error counts as zero."""
        return float(self._errors.max(initial=self._least_error))

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
        return np.sort_complex(np.concatenate([group.multipliers(eta) for group in self._groups]))

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
        return f"{self._modes}: {self.verdict}{self._limit if self.verdict == 'stable' else ''}"

    @property
    def _modes(self) -> str:
        """The eigenvalues of all modes if their order matters; otherwise the number of modes with each eigenvalue."""
        if self.has_order:
            return f"modes at {listed(f'{s:.6g}' if s else 'zero' for s in self.s)}{' (recovering)' * self.recovers}"
        values, counts = np.unique(self.s[self.s > 0], return_counts=True)
        groups = [f"{count} at {s:.6g}" for s, count in zip(values, counts, strict=True)]
        if collapsed := len(self.s) - self.surviving:
            groups.append(f"{collapsed} collapsed{' but recovering' if self.recovers else ''}")
        return ", ".join(groups)

    @property
    def _limit(self) -> str:
        """End of the text that describes a stable fixed point: the largest learning rate at which it is stable."""
        if self.largest_learning_rate == 0:
            return " in the flow, but at no learning rate"
        return f", up to learning rate {self.largest_learning_rate:.6g}"


def _spectrum(values: npt.NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:6])
    return shown if len(values) <= 6 else f"{shown}, ... ({len(values)} modes)"
