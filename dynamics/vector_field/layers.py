r"""Define the vector field of the layers of a deep linear encoder, for each eigenmode.

An encoder W = W_L ... W_1 with L layers, whose singular vectors are aligned, has L singular values u_1, ..., u_L for
each mode, and w = u_1 ... u_L. If G is the force on w, gradient descent moves layer l by the force G w / u_l, the
product of G and of the singular values of all other layers. All layers have the same weight decay, and an ``EMA``
target averages each layer.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.model.parameters import Parameters
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import Forces, Observables, State, each

FloatArray = npt.NDArray[np.float64]


class LayerField(EigenmodeField):
    """The vector field of the eigenmodes of a model with a deep encoder.

    Dynamical variables have an axis of layers before that of the modes: singular values of the encoder and of a
    separate target are (..., L, M). A learned predictor and a tracked correlation, which have one value for each mode,
    are (..., 1, M). The constructor has the parameters of ``VectorField``.
    """

    axes = 2

    def start(self, initial: FloatArray) -> State:
        """Return the initial state at eigenvalues (..., M) of the correlation, in which all layers are equal.

        Raises ArgumentError if the expected gradient of the loss is infinite in this state.
        """
        depth = self.model.depth

        def in_layers(w: FloatArray) -> FloatArray:
            return np.repeat((w / self._unit) ** (1 / depth), depth, axis=-2)

        start = each(lambda part: part[..., None, :], super().start(initial))
        target = None if start.target is None else in_layers(start.target)
        return start._replace(encoder=in_layers(start.encoder), target=target)

    def forces(self, state: State) -> Forces:
        """Return the forces on the singular values of the layers, and on a learned predictor."""
        forces = super().forces(self._modes(state))
        predictor = None if forces.predictor is None else forces.predictor[..., None, :]
        return Forces(forces.encoder[..., None, :] / self._unit * _others(state.encoder), predictor)

    def correlation(self, encoder: FloatArray) -> FloatArray:
        """Return the eigenvalues (..., 1, M) of the correlation for singular values (..., L, M) of the layers."""
        return super().correlation(self._unit * encoder.prod(axis=-2, keepdims=True))

    def observables(self, state: State) -> Observables:
        """Return the eigenvalues of the encoder's correlation, of the target's correlation and of the predictor."""
        return super().observables(self._modes(state))

    def distance_to_kink(self, state: State) -> float:
        """Return the smallest root mean square of a difference whose norm is a part of the loss (``VectorField``)."""
        return super().distance_to_kink(self._modes(state))

    @property
    def broadcast(self) -> Parameters:
        """Parameters of the model as arrays (..., 1, 1) or (..., 1, M), which broadcast against layers."""
        return self.parameters.map(lambda a: a[..., None, :])

    @property
    def _unit(self) -> Any:
        """Factor c^(1/2) that converts singular values of the weights to the units of ``dynamics.model.views``."""
        return np.sqrt(self.broadcast.cross)

    def _modes(self, state: State) -> State:
        """Return the state of the modes, with the products of the singular values of all layers."""

        def product(layers: FloatArray) -> FloatArray:
            return (self._unit * layers.prod(axis=-2, keepdims=True))[..., 0, :]

        flat = each(lambda part: part[..., 0, :], state)
        target = None if state.target is None else product(state.target)
        return flat._replace(encoder=product(state.encoder), target=target)


def _others(layers: FloatArray) -> FloatArray:
    """Return for each layer the product of the singular values (..., L, M) of all other layers."""
    ones = np.ones_like(layers[..., :1, :])
    below = np.cumprod(np.concatenate([ones, layers[..., :-1, :]], axis=-2), axis=-2)
    above = np.cumprod(np.concatenate([ones, layers[..., :0:-1, :]], axis=-2), axis=-2)[..., ::-1, :]
    return below * above
