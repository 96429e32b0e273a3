"""What moves a model: the rates of eigenmodes, or, where inputs are correlated, the drives of the weights."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import Closure
from dynamics.vector_field.eigenmodes import Rates
from dynamics.vector_field.weights import Drives


def forces_of(model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None) -> Closure:
    """Both have ``start``, ``velocity``, ``step``, ``readings``. Arguments as of ``Closure``."""
    kind = Rates if model.inputs is None else Drives
    return kind(model, closure, rtol, parameters)
