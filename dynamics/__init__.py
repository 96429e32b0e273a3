"""Eigenvalue dynamics of non-contrastive self-supervised learning: exact solution, flow, descent map and network.

    import dynamics as dyn
    model = dyn.Model(loss="cosine", noise=(0.0, 0.1))
    flow = dyn.solve(model, s0=[0.1, 0.5, 1.0], times=range(10))

Time is learning rate times steps. Neither SymPy nor JAX nor matplotlib is imported before it is needed.
"""

import importlib

from dynamics.errors import AccuracyWarning, ArgumentError, SweepError
from dynamics.loss import Gain, Loss
from dynamics.model import EMA, ClosedForm, Learned, Model, NoPredictor, Shared
from dynamics.trajectory import Trajectory, load

_LAZY = {
    "solve": "dynamics.flow",
    "iterate": "dynamics.descent",
    "train": "dynamics.training",
    "check": "dynamics.ladder",
    "Check": "dynamics.ladder",
    "compare": "dynamics.comparison",
    "Comparison": "dynamics.comparison",
    "equilibria": "dynamics.fixed_points",
    "Equilibria": "dynamics.fixed_points",
    "Equilibrium": "dynamics.fixed_points",
    "invariants": "dynamics.conserved",
    "Invariant": "dynamics.conserved",
    "bifurcation": "dynamics.bifurcations",
    "Bifurcation": "dynamics.bifurcations",
    "design": "dynamics.designs",
    "Design": "dynamics.designs",
    "RateFunction": "dynamics.wishes",
    "ArrivalTimes": "dynamics.wishes",
    "SimultaneousArrival": "dynamics.wishes",
    "ThresholdRecruitment": "dynamics.wishes",
    "FastestUniform": "dynamics.wishes",
    "collapse": "dynamics.diagnosis",
    "Collapse": "dynamics.diagnosis",
    "phase_diagram": "dynamics.phases",
    "PhaseDiagram": "dynamics.phases",
    "convergence_time": "dynamics.speed",
    "effective_rates": "dynamics.speed",
    "sweep": "dynamics.sweeps",
    "Network": "dynamics.deep.description",
    "MLP": "dynamics.deep.description",
    "ConvNet": "dynamics.deep.description",
    "Augmentation": "dynamics.deep.views",
    "Images": "dynamics.deep.images",
    "digits": "dynamics.deep.images",
    "cifar10": "dynamics.deep.images",
    "gaussian_images": "dynamics.deep.images",
}

__all__ = [
    "AccuracyWarning",
    "ArgumentError",
    "ClosedForm",
    "EMA",
    "Gain",
    "Learned",
    "Loss",
    "Model",
    "NoPredictor",
    "Shared",
    "SweepError",
    "Trajectory",
    "load",
    *_LAZY,
]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'dynamics' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted(__all__)
