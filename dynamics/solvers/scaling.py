r"""Treat weight decay as a change of scale, for losses with homogeneous rates, such as cosine losses.

With weight decay rho the flow is ds/dt = 2 s (r(s) - rho); the weight decay shrinks all modes by the same factor. Let
the rates be homogeneous of degree -d: r(g x) = g^(-d) r(x) for every factor g > 0. The eigenvalues are then the product
s = e^(-2 rho t) x of a scale e^(-2 rho t) and a shape x. In the time tau, the shape obeys a flow without weight decay,
dx/dtau = 2 x r(x); here tau = (e^(2 rho d t) - 1)/(2 rho d). The eigenvalues of a learned predictor have the scale
e^(-rho t). As a function of t, the shape relaxes faster and faster while the scale shrinks, so that the flow is stiff.
As a function of tau, the shape relaxes at a rate that does not depend on the scale.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics.vector_field.base import VectorField
from dynamics.vector_field.factory import vector_field_of
from dynamics.vector_field.state import State

LATEST = 1e300  # largest tau, and largest product of tau and 2 rho d


@dataclass(frozen=True)
class Scaling:
    """A change of variables that removes the weight decay from a flow.

    The eigenvalues of the flow are a shrinking scale times a shape x, and x obeys a flow without weight decay (see the
    module). field: the vector field of the shape. decay: the weight decay rho; zero if the variables are not changed.
    degree: the number d for which the rates obey r(g x) = g^(-d) r(x) for every factor g > 0.
    """

    field: VectorField
    decay: float = 0.0
    degree: float = 0.0

    @classmethod
    def of(cls, field: VectorField) -> "Scaling":
        """Return the change of variables for the vector field of one ensemble member.

        The variables stay unchanged without weight decay, and for models to which the change does not apply
        (``_degree``).
        """
        degree, parameters = _degree(field), field.parameters
        decay = float(parameters.rho.max())
        if not degree or not decay or not np.isfinite(2 * decay * degree):
            return cls(field)
        free = parameters._replace(rho=np.zeros_like(parameters.rho))
        return cls(vector_field_of(field.model, field.closure, field.rtol, free), decay, degree)

    def tau(self, times: Any) -> Any:
        """Return the times tau in the flow without weight decay that correspond to times t in the flow with decay."""
        rate = 2 * self.decay * self.degree
        return np.minimum(np.minimum(np.expm1(rate * times), LATEST) / rate, LATEST) if rate else times

    def time(self, tau: Any) -> Any:
        """Return the time t in the flow with weight decay that corresponds to tau in the flow without decay."""
        rate = 2 * self.decay * self.degree
        return np.log1p(rate * tau) / rate if rate else tau

    def state(self, shape: State, times: Any) -> State:
        """Return the states of the flow with weight decay at times t (...).

        shape: states of the equivalent flow without weight decay at the same times, (..., M).
        """
        return shrunk(shape, self.decay, times) if self.decay else shape


def shrunk(state: State, decay: float, durations: Any) -> State:
    """Return the states (..., M) that a state of eigenmodes reaches after durations (...) of weight decay alone.

    decay: the weight decay rho.
    """
    scale = np.exp(-decay * np.asarray(durations))[..., None]
    predictor = None if state.predictor is None else scale * state.predictor
    return state._replace(encoder=scale * state.encoder, predictor=predictor)


def _degree(field: VectorField) -> float:
    """Return the number d for which the rates r obey r(g x) = g^(-d) r(x) at all eigenvalues x and factors g > 0.

    The result is zero if there is no such number, and for models with a separate target, a tracked correlation or
    correlated inputs.
    """
    structure, degrees = field.structure, field.model.generated.degrees
    if degrees is None or field.axes != 1 or structure.separate_target or structure.tracked:
        return 0.0
    in_s, in_lam = degrees
    if structure.predictor == "closed form":
        return 0.0 if field.parameters.epsilon.any() else -(in_s + float(field.parameters.alpha.max()) * in_lam)
    return -(in_s + in_lam / 2) if structure.predictor == "learned" else -float(in_s)
