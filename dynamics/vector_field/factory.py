"""Choose the vector field of a model: that of eigenmodes, of the layers of a deep encoder, or of weight matrices."""

from dynamics.model.model import Model
from dynamics.model.parameters import Parameters
from dynamics.vector_field.base import VectorField
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.layers import LayerField
from dynamics.vector_field.weights import WeightField


def vector_field_of(
    model: Model, closure: str = "gaussian", rtol: float = 1e-9, parameters: Parameters | None = None
) -> VectorField:
    """Return the vector field of a model: of eigenmodes or layers if eigenvectors do not rotate, else of weights.

    The arguments are those of ``VectorField``.
    """
    by_modes = EigenmodeField if model.depth == 1 else LayerField
    if closure == "samples":
        from dynamics.vector_field.measured_samples import SampleField

        return SampleField(model, closure, rtol, parameters)
    kind = WeightField if model.by_weights else by_modes
    return kind(model, closure, rtol, parameters)
