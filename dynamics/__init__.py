"""Eigenvalue dynamics of non-contrastive self-supervised learning: exact solution, flow, descent map and network.

    import dynamics as dyn
    model = dyn.Model(loss="cosine", noise=(0.0, 0.1))
    flow = dyn.solve(model, s0=[0.1, 0.5, 1.0], times=range(10))

Time is learning rate times steps. Neither SymPy nor JAX nor matplotlib is imported before it is needed.
"""

import importlib

from dynamics.errors import AccuracyWarning, ArgumentError, SweepError
from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor, Shared
from dynamics.model.expressions import Gain, Loss
from dynamics.model.model import Model
from dynamics.results.trajectory import Trajectory, load

_LAZY = {
    "solve": "dynamics.solvers.flow",
    "prepare": "dynamics.solvers.flow",
    "PreparedSolver": "dynamics.solvers.flow",
    "iterate": "dynamics.solvers.descent",
    "train": "dynamics.networks.train",
    "check": "dynamics.verification.check",
    "Check": "dynamics.verification.check",
    "compare": "dynamics.verification.compare",
    "Comparison": "dynamics.verification.compare",
    "equilibria": "dynamics.analysis.equilibria",
    "Equilibria": "dynamics.analysis.equilibria",
    "Equilibrium": "dynamics.analysis.equilibria",
    "invariants": "dynamics.analysis.invariants",
    "Invariant": "dynamics.analysis.invariants",
    "bifurcation": "dynamics.analysis.bifurcation",
    "Bifurcation": "dynamics.analysis.bifurcation",
    "design": "dynamics.analysis.design",
    "Design": "dynamics.analysis.design",
    "RateFunction": "dynamics.analysis.design_targets",
    "ArrivalTimes": "dynamics.analysis.design_targets",
    "SimultaneousArrival": "dynamics.analysis.design_targets",
    "ThresholdRecruitment": "dynamics.analysis.design_targets",
    "FastestUniform": "dynamics.analysis.design_targets",
    "collapse": "dynamics.analysis.collapse",
    "Collapse": "dynamics.analysis.collapse",
    "phase_diagram": "dynamics.analysis.phase_diagram",
    "PhaseDiagram": "dynamics.analysis.phase_diagram",
    "convergence_time": "dynamics.analysis.timescales",
    "effective_rates": "dynamics.analysis.timescales",
    "sweep": "dynamics.sweeps.sweep",
    "Network": "dynamics.networks.deep.network",
    "MLP": "dynamics.networks.deep.network",
    "ConvNet": "dynamics.networks.deep.network",
    "Augmentation": "dynamics.networks.deep.augmentation",
    "Images": "dynamics.networks.deep.datasets",
    "digits": "dynamics.networks.deep.datasets",
    "cifar10": "dynamics.networks.deep.datasets",
    "gaussian_images": "dynamics.networks.deep.datasets",
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
