"""Expectations as means over samples, with a standard error: the closure of losses without exact expectations."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters

FloatArray = npt.NDArray[np.float64]

REPLICATES = 8  # independent sets of points; the spread of their means gives the standard error
POINTS = 11  # 2^11 points in each set
SMALLEST_CHANCE = 1e-12  # least distance of uniform numbers from 0 and 1, for finite normals


def sampled_forces(
    generated: Any,  # with a force on the predictor where it is learned
    w: FloatArray,
    lam: FloatArray,
    ratio: FloatArray,
    parameters: Parameters,
    zeta1: FloatArray,
    zeta2: FloatArray,
    learned: bool,
) -> list[FloatArray]:
    """Return the forces of each sample (samples, M): on singular values and, if ``learned``, on the predictor.

    The force on singular value w_m is g_m zeta1_m + h_m zeta2_m, with -dL/dz of the two views, g and h. zeta1, zeta2:
    views along the input directions of the modes (samples, M), z = w zeta.
    """
    arguments = (w * zeta1, w * zeta2, lam, ratio, *parameters.of_loss)
    on_encoder = generated.force_on_view1(*arguments) * zeta1 + generated.force_on_view2(*arguments) * zeta2
    return [on_encoder, generated.force_on_predictor(*arguments)] if learned else [on_encoder]


class Samples:
    """Means over scrambled Sobol points, which are the same for every state, so that rates are smooth functions of it.

    worst: largest standard error so far, relative to the mean absolute value of the samples of a state.
    """

    def __init__(self, generated: DerivedLoss, learned: bool):
        self.generated, self.learned, self.worst = generated, learned, 0.0
        self.normals: FloatArray | None = None

    def __call__(self, w: FloatArray, lam: FloatArray, ratio: FloatArray, parameters: Parameters) -> list[FloatArray]:
        """Return r_m and, for a learned predictor, the force on it, each (..., M)."""
        batch = w.shape[:-1]
        found = [np.empty(w.shape) for _ in range(1 + self.learned)]
        for i in np.ndindex(batch):
            own = parameters.map(lambda a, i=i: np.broadcast_to(a, (*batch, 1))[i])
            row = [np.broadcast_to(a, (*batch, a.shape[-1]))[i] for a in (w, lam, ratio)]
            for whole, one in zip(found, self._of_one(row[0], row[1], row[2], own), strict=True):
                whole[i] = one
        return found

    def _of_one(self, w: FloatArray, lam: FloatArray, ratio: FloatArray, parameters: Parameters) -> list[FloatArray]:
        zeta1, zeta2 = self._views(len(w), parameters)
        with np.errstate(all="ignore"):
            forces = sampled_forces(self.generated, w, lam, ratio, parameters, zeta1, zeta2, self.learned)
            forces[0] = np.where(w == 0, 0.0, forces[0] / w)
        values = []
        for force in forces:
            means = force.reshape(REPLICATES, -1, len(w)).mean(axis=1)
            value, error = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(REPLICATES)
            scale = np.abs(force).mean()
            self.worst = max(self.worst, float(error.max() / scale) if scale > 0 else 0.0)
            values.append(value)
        return values

    def _views(self, modes: int, parameters: Parameters) -> list[FloatArray]:
        if self.normals is None or self.normals.shape[-1] != modes:
            self.normals = normals(modes)
        x, *noise = self.normals
        return [x + sigma * xi for sigma, xi in zip((parameters.sigma1, parameters.sigma2), noise, strict=True)]


@lru_cache(maxsize=4)  # shared by the members of an ensemble
def normals(modes: int, first: int = 0) -> FloatArray:
    """Return standard normal numbers for the inputs and the noise of both views, (3, samples, M).

    first: seed of the first set of points; each further set has the next seed.
    """
    from scipy.special import ndtri  # slow to import
    from scipy.stats import qmc

    drawn = []
    for seed in range(first, first + REPLICATES):
        uniform = qmc.Sobol(3 * modes, rng=np.random.default_rng(seed)).random_base2(POINTS)
        drawn.append(np.clip(uniform, SMALLEST_CHANCE, 1 - SMALLEST_CHANCE))
    found = ndtri(np.concatenate(drawn)).reshape(-1, 3, modes).swapaxes(0, 1)
    found.setflags(write=False)
    return found
