"""The first rung of the ladder: formulas."""

import numpy as np

from dynamics.coordinate import Flow
from dynamics.generated import eigenvalues
from dynamics.model import Model
from dynamics.state import Readings, Structure


def has_exact_solution(model: Model) -> bool:
    """True if the flow of this model has a formula that is valid for its weight decay."""
    generated, plain = model.generated, ("none", "closed form")
    if (
        model.structure not in [Structure(predictor, False, False) for predictor in plain]
        or model.inputs is not None
        or model.parameters.epsilon.any()
    ):
        return False
    return hasattr(generated, "exact") and (generated.EXACT_FOR_ANY_WEIGHT_DECAY or not np.any(model.weight_decay))


def exact_flow(model: Model, s0: np.ndarray, times: np.ndarray) -> Flow:
    """The formula of the generated module, in extended precision where the platform has it. s0: (..., M)."""
    generated = model.generated

    def wide(a):
        return np.asarray(a, np.longdouble)

    p = model.parameters
    alpha, sigma1, sigma2, rho = (wide(a) for a in (p.alpha, p.sigma1, p.sigma2, p.rho))
    with np.errstate(all="ignore"):
        lam0 = eigenvalues.predictor(wide(s0), alpha, 0)
        blow_up = np.full(s0.shape, np.inf)
        if hasattr(generated, "blow_up_time"):
            found = generated.blow_up_time(lam0, alpha, sigma1, sigma2, rho).astype(float)
            blow_up = np.where(found > 0, found, np.inf)
        parameters = (a[..., None, :] for a in (alpha, sigma1, sigma2, rho))
        alpha_t, *others = parameters
        lam = generated.exact(lam0[..., None, :], wide(times)[:, None], alpha_t, *others)
        s = eigenvalues.predictor_inverse(lam, alpha_t).astype(float)
    gone = times[:, None] >= blow_up.min(axis=-1)[..., None, None]
    s = np.where(s0[..., None, :] == 0, 0.0, np.where(gone, np.inf, s))
    has_predictor = model.structure.predictor != "none"
    predictor = eigenvalues.predictor(s, p.alpha[..., None, :], 0) if has_predictor else np.ones_like(s)
    return Flow(Readings(s, s, predictor), blow_up.min(axis=-1))
