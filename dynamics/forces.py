"""What moves a model: the rates of eigenmodes, or, where inputs are correlated, the drives of the weights."""

from dynamics.closure import Closure
from dynamics.drives import Drives
from dynamics.model import Model
from dynamics.rates import Rates
from dynamics.state import Parameters


def forces_of(model: Model, closure="gaussian", rtol=1e-9, parameters: Parameters | None = None) -> Closure:
    """Both have ``start``, ``velocity``, ``step``, ``readings``. Arguments as of ``Closure``."""
    kind = Rates if model.inputs is None else Drives
    return kind(model, closure, rtol, parameters)
