"""Choice of the vector field of a model: of eigenmodes, or of weight matrices."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.weights import WeightField


def vector_field_of(
    model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
) -> VectorField:
    """Return the vector field of a model: of eigenmodes, or of weight matrices if the inputs are correlated.

    The arguments are those of ``VectorField``.
    """
    kind = EigenmodeField if model.inputs is None else WeightField
    return kind(model, closure, rtol, parameters)
