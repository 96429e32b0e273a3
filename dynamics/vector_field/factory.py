"""What moves a model: the rates of eigenmodes, or, where inputs are correlated, the drives of the weights."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.weights import WeightField


def vector_field_of(model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None) -> VectorField:
    """Both have ``start``, ``velocity``, ``step``, ``observables``. Arguments as of ``VectorField``."""
    kind = EigenmodeField if model.inputs is None else WeightField
    return kind(model, closure, rtol, parameters)
