"""One fixed point of flow and descent map, with its stability."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.analysis.stability import MARGINAL, Complex, SurvivingModes
from dynamics.model.model import Model
from dynamics.vector_field.eigenmode_state import initial, observables


@dataclass(frozen=True)
class Equilibrium:
    """A fixed point s_m (r_m - rho) = 0 of a model, the same for flow and descent map.

    Attributes
    ----------
    s, predictor : ndarray of shape (M,)
        Eigenvalues of correlation and predictor, the largest first; 0 of collapsed modes.
    growth : complex ndarray
        Growth rates of perturbations of the surviving modes in the flow, ascending: eigenvalues of the Jacobian,
        without the zero along a family of equilibria that an invariant distinguishes.
    collapsed_growth : float or None
        Growth rate r - rho of the singular value of a collapsed mode; None where all survive.
    recovers : bool
        True if collapsed modes grow back, be it slower than exponentially.
    largest_learning_rate : float
        Learning rate at which the descent map loses stability; zero where the flow is not stable.

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
    _multipliers: Callable[[float], Complex] = field(repr=False)

    @classmethod
    def of(
        cls, model: Model, groups: list[SurvivingModes], modes: int, collapsed_growth: float, recovers: bool
    ) -> "Equilibrium":
        """The fixed point with these groups of surviving modes; the others of all the modes have collapsed."""
        collapsed = modes - sum(group.count for group in groups)
        s, lam = (
            np.array([value for group in groups for value in [getattr(group, name)] * group.count] + [0.0] * collapsed)
            for name in ("s", "lam")
        )

        def multipliers(learning_rate: float) -> Complex:
            of_collapsed = np.full(collapsed, 1 + learning_rate * collapsed_growth)
            return np.sort_complex(np.concatenate([*(g.multipliers(learning_rate) for g in groups), of_collapsed]))

        limits = [group.largest_learning_rate for group in groups]
        if collapsed and collapsed_growth < 0:
            limits.append(2 / -collapsed_growth)
        equilibrium = cls(
            s=s,
            predictor=observables(model.structure, model.parameters, initial(model.structure, s, lam)).predictor,
            growth=np.sort_complex(np.concatenate([np.zeros(0), *(group.growth for group in groups)])),
            collapsed_growth=collapsed_growth if collapsed else None,
            recovers=collapsed > 0 and recovers,
            largest_learning_rate=float(min(limits, default=np.inf)),
            _multipliers=multipliers,
        )
        return equilibrium if equilibrium.verdict == "stable" else replace(equilibrium, largest_learning_rate=0.0)

    @property
    def surviving(self) -> int:
        """Number of surviving modes."""
        return int(np.count_nonzero(self.s))

    @property
    def verdict(self) -> str:
        """Stability in the flow under small perturbations that keep the invariants: "stable", "unstable", "marginal".

        "marginal" where the Jacobian has another zero: as at a fold, which attracts from one side only.
        """
        if self.recovers or (self.growth.real > MARGINAL).any():
            return "unstable"
        return "marginal" if (self.growth.real > -MARGINAL).any() else "stable"

    @property
    def largest_growth(self) -> float:
        """Largest growth rate of a perturbation in the flow, of surviving or of collapsed modes."""
        rates = [*self.growth.real, *([] if self.collapsed_growth is None else [self.collapsed_growth])]
        return max(rates, default=-np.inf)

    def multipliers(self, learning_rate: float) -> Complex:
        """Return the complex factors by which a step of the descent map multiplies perturbations.

        Of surviving and of collapsed modes; the map is stable where all are below 1 in size.
        """
        return self._multipliers(errors.positive_number("learning_rate", learning_rate))

    def __str__(self) -> str:
        values, counts = np.unique(self.s[self.s > 0], return_counts=True)
        groups = [f"{count} at {s:.6g}" for s, count in zip(values, counts, strict=True)]
        if collapsed := len(self.s) - self.surviving:
            groups.append(f"{collapsed} collapsed{' but recovering' if self.recovers else ''}")
        limit = f", up to learning rate {self.largest_learning_rate:.6g}" if self.verdict == "stable" else ""
        return f"{', '.join(groups)}: {self.verdict}{limit}"
