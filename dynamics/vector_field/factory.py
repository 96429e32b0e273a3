"""The vector field of a model."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.weights import WeightField


def vector_field_of(
    model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
) -> VectorField:
    """Return the field of eigenmodes, or of weights if inputs are correlated; ``VectorField`` has the parameters."""
    kind = EigenmodeField if model.inputs is None else WeightField
    return kind(model, closure, rtol, parameters)
