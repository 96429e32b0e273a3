"""Define the vector field of weights under the loss of measured samples, by automatic differentiation."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import DerivedLoss
from dynamics.model.model import Model
from dynamics.model.parameters import Parameters, Structure
from dynamics.model.views import MatrixViews
from dynamics.numerics.context import jax_settings
from dynamics.vector_field import weight_state
from dynamics.vector_field.state import Forces, State, each
from dynamics.vector_field.weights import WeightField

FloatArray = npt.NDArray[np.float64]
Array = Any  # an array of JAX, traced or not


class SampleField(WeightField):
    """The vector field of the weights of a model whose expectations are means over its measured samples.

    The loss is then the mean loss of these samples, whatever their distribution. The property ``error`` is the largest
    standard error of the force on a weight so far, relative to the largest root mean square of the forces of single
    samples. It is the error with respect to the distribution from which the samples were drawn, if these are
    independent. The constructor has the parameters of ``VectorField``.
    """

    def __init__(self, model: Model, closure: str, rtol: float = 1e-9, parameters: Parameters | None = None):
        super().__init__(model, closure, rtol, parameters)
        assert isinstance(model.views, MatrixViews) and model.views.samples is not None
        self.views, self.worst = model.views.samples, 0.0

    def start(self, initial: FloatArray) -> State:
        """Return the initial state at weights (..., M, N) of the encoder; a learned predictor is aligned with them."""
        return weight_state.initial(self.structure, initial, self.root, self.model.init)

    def forces(self, state: State) -> Forces:
        """Return the forces on the weights (..., M, N) of the encoder and on a learned predictor.

        The force is zero for ensemble members whose weights are all zero.
        """
        batch = self.batch(state)
        rows = self.parameters.rows(batch)
        members = [
            self._of_member(each(lambda part, i=i: part[i], state), rows.map(lambda row, n=n: float(row[n, 0])))
            for n, i in enumerate(np.ndindex(batch))
        ]
        return each(lambda *values: np.stack(values).reshape(*batch, *values[0].shape), *members)

    def _of_member(self, member: State, parameters: Parameters) -> Forces:
        if not member.encoder.any():
            return each(np.zeros_like, Forces(member.encoder, member.predictor))
        with jax_settings(x64=True):
            forces, error = _program(self.model.generated, self.structure)(parameters, member, self.root, *self.views)
            forces, error = jax.tree.map(np.asarray, (forces, error))
        if np.isfinite(error):
            self.worst = max(self.worst, float(error))
        return forces

    @property
    def error(self) -> float:
        """Largest relative standard error of the forces in all evaluations so far."""
        return self.worst


@lru_cache(maxsize=16)
def _program(generated: DerivedLoss, structure: Structure) -> Any:
    """Return a compiled function that computes the mean forces of samples, and the relative standard error."""

    def forces(parameters: Parameters, state: State, root: Array, x1: Array, x2: Array) -> tuple[Forces, Array]:
        targets = None if state.target is None else (state.target @ x1.T, state.target @ x2.T)

        def total(z1: Array, z2: Array, W_P: Array | None) -> Array:
            t1, t2 = (z1, z2) if targets is None else targets

            def predict(z: Array, function: Any = None) -> Array:
                if W_P is not None:
                    return W_P @ z
                of = {} if function is None else {"function": function}
                return weight_state.predictor(structure, parameters, state, root, **of) @ z

            losses = generated.loss(z1, z2, t1, t2, predict, _over_modes, jax.lax.stop_gradient, *parameters.of_loss)
            return losses.sum()

        count = len(x1)
        g, h, on_predictor = jax.grad(total, (0, 1, 2))(state.encoder @ x1.T, state.encoder @ x2.T, state.predictor)
        mean = -(g @ x1 + h @ x2) / count
        square = (g**2 @ x1**2 + 2 * (g * h) @ (x1 * x2) + h**2 @ x2**2) / count
        error = jnp.sqrt(jnp.maximum(square - mean**2, 0) / (count - 1)).max() / jnp.sqrt(square.max())
        return Forces(mean, None if on_predictor is None else -on_predictor / count), error

    return jax.jit(forces)


def _over_modes(a: Array) -> Array:
    return jnp.sum(a, axis=0, keepdims=True)
