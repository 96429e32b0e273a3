"""Compute expectations as means over samples, with a standard error, for losses without exact expectations."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dynamics.derived_loss import DerivedLoss
from dynamics.model.parameters import Parameters

FloatArray = npt.NDArray[np.float64]

REPLICATES = 8  # number of independent sets of points; the spread of the sets' means gives the standard error
POINTS = 11  # binary logarithm of the number of points in each set
SMALLEST_CHANCE = 1e-12  # smallest distance of uniform numbers from 0 and 1, so that the normal numbers are finite


def sampled_forces(
    generated: Any,  # a DerivedLoss, with a force on the predictor if the predictor is learned
    w: FloatArray,
    lam: FloatArray,
    ratio: FloatArray,
    parameters: Parameters,
    zeta1: FloatArray,
    zeta2: FloatArray,
    learned: bool,
) -> list[FloatArray]:
    """Return the forces on the encoder's singular values in each sample, as an array (samples, M) in a list.

    If ``learned`` is True, a second array in the list contains the forces on the eigenvalues of the predictor.

    w: singular values of the encoder. zeta1, zeta2: components of view 1 and of view 2 along the input directions of
    the modes, (samples, M). The representations of the views are z1 = w zeta1 and z2 = w zeta2. The force on w_m is
    g_m zeta1_m + h_m zeta2_m, where g = -dL/dz1 and h = -dL/dz2 are the negative gradients of the loss L with respect
    to these representations. lam: eigenvalues of the predictor. ratio: singular values of the target branch divided by
    w.
    """
    arguments = (w * zeta1, w * zeta2, lam, ratio, *parameters.of_loss)
    on_encoder = generated.force_on_view1(*arguments) * zeta1 + generated.force_on_view2(*arguments) * zeta2
    return [on_encoder, generated.force_on_predictor(*arguments)] if learned else [on_encoder]


class Samples:
    """Rates of modes and forces on a learned predictor, computed as means over scrambled Sobol points.

    The same points are used in all states, so that the rates are smooth functions of the state. worst: largest relative
    error so far. The rates have one mean for each mode. Their relative error in a state is the largest standard error
    of these means, divided by the mean absolute value over all samples and modes. The relative error of the forces is
    computed in the same way.
    """

    def __init__(self, generated: DerivedLoss, learned: bool):
        self.generated, self.learned, self.worst = generated, learned, 0.0
        self.normals: FloatArray | None = None

    def __call__(self, w: FloatArray, lam: FloatArray, ratio: FloatArray, parameters: Parameters) -> list[FloatArray]:
        """Return the rates r_m of the modes and, for a learned predictor, the force on its eigenvalues, each (..., M).

        w: singular values of the encoder. lam: eigenvalues of the predictor. ratio: singular values of the target
        branch divided by w.
        """
        batch = w.shape[:-1]
        found = [np.empty(w.shape) for _ in range(1 + self.learned)]
        rows = parameters.rows(batch)
        for number, i in enumerate(np.ndindex(batch)):
            own = rows.map(lambda a, number=number: a[number])
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

    def _views(self, modes: int, parameters: Parameters) -> tuple[FloatArray, FloatArray]:
        if self.normals is None or self.normals.shape[-1] != modes:
            self.normals = normals(modes)
        return parameters.views(*self.normals)


@lru_cache(maxsize=4)  # all members of an ensemble use the same numbers
def normals(modes: int, first: int = 0) -> FloatArray:
    """Return standard normal numbers (3, samples, M): for the inputs, the noise on view 1 and the noise on view 2.

    The numbers are computed from REPLICATES sets of scrambled Sobol points. first: seed of the first set; the following
    sets have the seeds first + 1, first + 2, and so on.
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
