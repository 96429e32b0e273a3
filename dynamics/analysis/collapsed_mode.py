"""Compute the growth rate r - rho of a collapsed mode: its limit as the singular value w of the mode goes to zero.

r is the rate of the collapsed mode, and rho is the weight decay. All other modes survive. The limit of r may be
infinite. For example, r is about -(2/pi)/(w1 w) under the cosine loss without stop-gradient, if there is one surviving
mode with the singular value w1. To detect an infinite limit, the power of w with which r scales is derived first: the
generated code of the rate is run on powers of w in place of numbers (see ``numerics.orders``). If the powers do not
determine the sign of the limit, the sign is that of r at a tiny w. If the views share the second moment c in the mode,
its growth rate is c r - rho.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dynamics.analysis.stability import MARGINAL, Complex, collapsed_multipliers, onset_of_instability
from dynamics.derived_loss import Expectation
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.numerics.adaptive_quadrature import Adaptive
from dynamics.numerics.orders import PowerLaw, SignedOrder, scalings
from dynamics.numerics.values import Value
from dynamics.vector_field.eigenmode_state import closed_form, initial, predictor
from dynamics.vector_field.eigenmodes import EigenmodeField

TINY = (1e-10, 1e-20)  # tiny eigenvalues at which rates are computed, relative to the largest surviving eigenvalue
TINY_PREDICTOR = (1e-100, 1e-200)  # tiny predictor eigenvalues at which the rate of an independent mode is computed
SMALL = np.logspace(-6, -2, 5)  # small values of lambda; small relative changes of lambda, if lambda > 0 at s = 0
GROWS = 1.5  # a rate diverges if it grows by more than this factor between two tiny eigenvalues; a logarithm doubles

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CollapsedMode(Value):
    """A collapsed mode at a fixed point.

    growth: growth rate r - rho of the mode. recovers: True if the mode grows back when perturbed. momentum: momentum of
    the descent map.
    """

    model: Model
    growth: float
    recovers: bool
    momentum: Momentum | None = None

    s: ClassVar[float] = 0.0
    lam: ClassVar[float] = 0.0
    count: ClassVar[int] = 1

    @classmethod
    def beside(cls, model: Model, surviving: list[float], momentum: Momentum | None = None) -> "CollapsedMode":
        """Return a collapsed mode beside surviving modes with given eigenvalues (see ``collapsed_growth``)."""
        return cls(model, *collapsed_growth(model, surviving), momentum)

    @property
    def largest_learning_rate(self) -> float:
        """Learning rate at which a step of the descent map reverses the singular value w of the mode, w -> -w."""
        if self.growth >= 0:
            return np.inf
        if self.momentum is None or not np.isfinite(self.growth):
            return 2 / -self.growth
        return onset_of_instability(self.multipliers, -self.growth)

    def multipliers(self, learning_rate: float) -> Complex:
        """Return the factors by which a step multiplies perturbations of the mode: two with momentum, else one."""
        return collapsed_multipliers(self.model, self.growth, self.momentum, learning_rate)


def collapsed_growth(model: Model, surviving: list[float]) -> tuple[float, bool]:
    """Return the growth rate r - rho of a collapsed mode, and a bool: True if the mode grows back when perturbed.

    r is the rate of the mode, and rho the weight decay. surviving: eigenvalues of the surviving modes. The growth rate
    is the limit of r - rho as the singular value w of the mode goes to zero; the limit may be infinite. A mode with a
    positive limit grows back. If the limit is zero, the sign of r - rho near w = 0 determines whether the mode grows
    back.
    """
    rho, cross = float(model.weight_decay), float(model.parameters.cross[0])
    independent = model.generated.independent_modes
    rates = _of_independent_mode(model) if independent else _beside(model, surviving)
    limit, near = (cross * rate for rate in rates)
    uncertainty = MARGINAL * max(abs(limit), rho) if np.isfinite(limit) and not independent else 0.0
    growth = limit - rho
    return growth, bool(growth > 0 if abs(growth) > uncertainty else near - rho > 0)


def _limit(far: float, near: float) -> float:
    """Return the limit of a rate as the eigenvalue goes to zero, from the rates at two tiny eigenvalues.

    far: rate at the larger eigenvalue. near: rate at the smaller eigenvalue. The limit may be zero, finite or infinite.
    """
    if not np.isfinite(near) or abs(near) > GROWS * abs(far):
        return float(np.copysign(np.inf, near))
    return 0.0 if abs(near) < abs(far) / GROWS else near


def _of_independent_mode(model: Model) -> tuple[float, float]:
    """Return two rates of an independent mode: the limit of its rate as the mode collapses, and a rate near the limit.

    The rate near the limit is that of a mode with a small predictor eigenvalue. It shows from which side the rate
    approaches the limit.
    """
    rates = model.generated.rates
    assert rates is not None and rates.formula is not None
    at_zero, parameters = float(_predictor(model, np.zeros(1))[0]), model.parameters.of_expectations
    lam = np.array([[at_zero, *TINY_PREDICTOR, *(at_zero * (1 + SMALL) if at_zero else SMALL)]]).T
    with np.errstate(all="ignore"):  # part of the gradient may have a pole at zero
        values = np.broadcast_to(rates.formula(np.ones_like(lam), lam, np.ones_like(lam), *parameters), lam.shape)
    exact, far, near, *beside = values[:, 0].tolist()
    if model.pole_at_collapse:
        return _limit(far, near), near
    return exact, next((rate for rate in beside if rate != exact), exact)  # the first rate that differs from the limit


def _beside(model: Model, surviving: list[float]) -> tuple[float, float]:
    """Return the limit of the rate of a mode as the mode collapses beside surviving modes, and a rate near the limit.

    The rate near the limit is that of a mode with a tiny eigenvalue. It shows from which side the rate approaches the
    limit. If the limit is infinite, 1 or -1 is returned in place of the rate near the limit. surviving: eigenvalues of
    the surviving modes.
    """
    far, near = (_rate(model, [*surviving, share * max(surviving)]) for share in TINY)
    try:
        positive, negative = _scalings(model, len(surviving))
    except NotImplementedError:
        return _limit(far, near), near
    leading, sign = min(positive, negative), np.sign(near)
    if positive != negative:
        sign = 1.0 if positive < negative else -1.0
    elif leading.diverges and not abs(near) > GROWS * abs(far):  # the leading terms cancel
        return near, near
    if leading.diverges:
        return float(sign * np.inf), float(sign)
    return 0.0 if leading.vanishes else _rate(model, [*surviving, 0.0]), sign * abs(near)


def _scalings(model: Model, surviving: int) -> tuple[PowerLaw, PowerLaw]:
    """Return the power laws in w with which the positive terms of a rate, and its negative terms, scale as w -> 0.

    w is the singular value of the mode to which the rate belongs. surviving: number of the other modes, which all
    survive.
    """
    rates, p = model.generated.rates, model.parameters
    assert rates is not None
    s, one = SignedOrder.power([0.0] * surviving + [2.0]), SignedOrder.of(np.ones(1))
    lam = one if model.structure.predictor == "none" else closed_form(model.structure, p, s)
    return scalings(rates, (s, lam, one, *map(SignedOrder.of, p.of_expectations)), surviving)


def _rate(model: Model, eigenvalues: list[float]) -> float:
    """Return the rate of one mode: the mode to which the last of the correlation ``eigenvalues`` belongs.

    eigenvalues: correlation eigenvalues of all modes. A separate target branch is taken to have the weights of the
    encoder.
    """
    s = np.array(eigenvalues)
    arguments = (s, _predictor(model, s), np.ones(1), *model.parameters.of_expectations)
    return float(_LastModeField(model, rtol=1e-8).expectation("rates", arguments)[-1])


def _predictor(model: Model, s: Array) -> Array:
    """Return the predictor eigenvalues at correlation eigenvalues s.

    Those of a learned predictor are taken to be zero.
    """
    return np.asarray(predictor(model.structure, model.parameters, initial(model.structure, s, 0.0), s), float)


class _LastModeField(EigenmodeField):
    """A vector field in which the tolerance of the quadrature is relative to the rate of the mode of largest index."""

    def _quadrature(self, expectation: Expectation) -> Adaptive:
        return Adaptive(expectation.integrals, self.rtol, error_weights=lambda s: (np.eye(s.shape[-1])[-1],))
