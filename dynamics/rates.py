"""The rates r_m(s) of a model under a closure, with NumPy or inside JAX."""

import warnings

import numpy as np

from dynamics import errors
from dynamics.model import Model
from dynamics.quadrature import Adaptive, fixed_rule, relative_error

CLOSURES = ("gaussian", "mean_field")


class Rates:
    """r(s): the generated array code of a model, bound to its parameters.

    closure: "gaussian" (exact) or "mean_field" (cosine losses only: the Euclidean ones need no closure).
    rtol: relative tolerance of the Gaussian closure's quadrature.
    """

    def __init__(self, model: Model, closure: str = "gaussian", rtol: float = 1e-9):
        errors.choice("closure", closure, CLOSURES)
        self.model, self.closure, self.rtol = model, closure, max(rtol, 1e-12)
        generated = model.generated
        if not hasattr(generated, "INTEGRALS") and closure == "mean_field":
            errors.reject(
                "closure",
                f"be 'gaussian' for the {model.loss} loss, whose rates are exact without a mean field",
                closure,
            )
        self.formula = formula_of(generated, closure)
        self.quadrature = None if self.formula else Adaptive(generated.INTEGRALS, self.rtol)

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """r (..., M) at eigenvalues s (..., M)."""
        parameters = (s, self.model.eigenvalues_of_predictor(s), *self.model.sigmas)
        if self.quadrature is None:
            return self.formula(*parameters)
        rows = [np.broadcast_to(a, (*s.shape[:-1], a.shape[-1])).reshape(-1, a.shape[-1]) for a in parameters]
        return self.quadrature(*rows).value.reshape(s.shape)

    def relax(self) -> None:
        """Let the quadrature save nodes; r changes by less than its tolerance."""
        if self.quadrature:
            self.quadrature.relax()

    @property
    def error(self) -> float:
        """Largest estimated relative error of the closure so far; 0 where it is a formula."""
        return self.quadrature.worst if self.quadrature else 0.0

    def warn_if_inaccurate(self) -> None:
        """AccuracyWarning if the quadrature missed its tolerance."""
        if self.quadrature and self.error > self.rtol:
            warnings.warn(
                f"The Gaussian closure's quadrature reached a relative error of {self.error:.1e}, "
                f"not the {self.rtol:.1e} asked for (at most {self.quadrature.max_nodes} nodes an axis).",
                errors.AccuracyWarning,
                stacklevel=3,
            )


def formula_of(generated, closure: str):
    """The generated function that gives the rates under a closure; None where they are integrals."""
    return getattr(generated, "rates_mean_field" if closure == "mean_field" else "rates", None)


def traceable(generated, closure: str, nodes: tuple[int, int] | None):
    """r and its estimated relative error, as a function of (s, lam, sigma1, sigma2) that JAX can trace."""
    if nodes is None:
        formula = formula_of(generated, closure)
        return lambda *parameters: (formula(*parameters), 0.0)

    def fixed(s, lam, sigma1, sigma2):
        found = fixed_rule(generated.INTEGRALS, (s, lam, sigma1, sigma2), nodes)
        return found.value, relative_error(s, found, found.error)

    return fixed
