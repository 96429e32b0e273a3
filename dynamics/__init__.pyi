# The public names, and the module that defines each name. Type checkers read this file. At run time lazy_loader reads
# it, and imports a module when a name that the module defines is first used.

from .analysis.bifurcation import Bifurcation as Bifurcation
from .analysis.bifurcation import bifurcation as bifurcation
from .analysis.collapse import Collapse as Collapse
from .analysis.collapse import collapse as collapse
from .analysis.design import Design as Design
from .analysis.design import design as design
from .analysis.design_targets import ArrivalTimes as ArrivalTimes
from .analysis.design_targets import FastestUniform as FastestUniform
from .analysis.design_targets import RateFunction as RateFunction
from .analysis.design_targets import SimultaneousArrival as SimultaneousArrival
from .analysis.design_targets import ThresholdRecruitment as ThresholdRecruitment
from .analysis.equilibria import Equilibria as Equilibria
from .analysis.equilibria import Equilibrium as Equilibrium
from .analysis.equilibria import equilibria as equilibria
from .analysis.invariants import Invariant as Invariant
from .analysis.invariants import invariants as invariants
from .analysis.phase_diagram import PhaseDiagram as PhaseDiagram
from .analysis.phase_diagram import phase_diagram as phase_diagram
from .analysis.timescales import convergence_time as convergence_time
from .analysis.timescales import effective_rates as effective_rates
from .errors import AccuracyWarning as AccuracyWarning
from .errors import ArgumentError as ArgumentError
from .errors import SweepError as SweepError
from .model.components import EMA as EMA
from .model.components import ClosedForm as ClosedForm
from .model.components import Learned as Learned
from .model.components import NoPredictor as NoPredictor
from .model.components import Shared as Shared
from .model.expressions import Gain as Gain
from .model.expressions import Loss as Loss
from .model.model import Model as Model
from .networks.deep.augmentation import Augmentation as Augmentation
from .networks.deep.datasets import cifar10 as cifar10
from .networks.deep.datasets import digits as digits
from .networks.deep.datasets import gaussian_images as gaussian_images
from .networks.deep.images import Images as Images
from .networks.deep.network import MLP as MLP
from .networks.deep.network import ConvNet as ConvNet
from .networks.deep.network import Network as Network
from .networks.train import train as train
from .results.concatenation import concatenate as concatenate
from .results.storage import load as load
from .results.trajectory import Trajectory as Trajectory
from .solvers.descent import iterate as iterate
from .solvers.flow import PreparedSolver as PreparedSolver
from .solvers.flow import prepare as prepare
from .solvers.flow import solve as solve
from .sweeps.plotting import plot_sweep as plot_sweep
from .sweeps.sweep import sweep as sweep
from .verification.check import Check as Check
from .verification.check import check as check
from .verification.compare import compare as compare
from .verification.comparison import Comparison as Comparison

__version__: str
