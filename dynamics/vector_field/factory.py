"""Choose the vector field of a model: that of eigenmodes, or that of weight matrices."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.weights import WeightField


def vector_field_of(
    model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
) -> VectorField:
    """Return the vector field of a model: of eigenmodes if the inputs are white, else of weight matrices.

    The arguments are those of ``VectorField``.
    """
    kind = WeightField if model.by_weights else EigenmodeField
    return kind(model, closure, rtol, parameters)
