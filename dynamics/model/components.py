"""The components of a model: its predictor and its target branch."""

from dataclasses import dataclass
from typing import Any, ClassVar

from dynamics import errors
from dynamics.model import checks
from dynamics.model.options import check_options, option
from dynamics.numerics.values import Value


@dataclass(frozen=True, eq=False)
class Component(Value):
    """Base class of predictors and target branches, which are dataclasses with options.

    title: name of the component in messages. flag: command-line option that chooses the component. flag_sets: name of
    the component's option that gets the value of the flag, if the flag has a value. help: help text of the flag.
    """

    title: ClassVar[str]
    flag: ClassVar[str | None] = None
    flag_sets: ClassVar[str | None] = None
    help: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, eq=False)
class ClosedForm(Component):
    r"""Predictor W_P = (C + epsilon)^alpha of the correlation C, with eigenvalues lambda = (s + epsilon)^alpha.

    Parameters
    ----------
    alpha : array_like, default 1
        Exponent, positive. 1 is DirectCopy and the paper's toy network, 1/2 is DirectPred.
    epsilon : array_like, default 0
        Offset, non-negative.
    normalize : bool, default False
        Divide C by its largest eigenvalue first, lambda = (s / max s + epsilon)^alpha, as deep implementations do.
    tracking : array_like, default 0
        Decay per step, in [0, 1), of the exponential average C~ that replaces C in the predictor:
        C~ <- tracking C~ + (1 - tracking) C. The initial C~ is the initial C.

    Raises
    ------
    ArgumentError
        If an option is out of its range.

    Notes
    -----
    alpha, epsilon and tracking may be arrays, which broadcast with an ensemble. With ``normalize``, networks deviate
    from the descent map by the size of their fluctuations if several eigenvalues are equally large, because the largest
    of several fluctuating eigenvalues exceeds their mean.

    References
    ----------
    Tian et al. 2021 (DirectPred); Wang et al. 2021 (DirectCopy); Halvagal et al. 2023, eq. 2.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", predictor=dyn.ClosedForm(alpha=0.5))
    Model(loss='cosine', predictor=ClosedForm(alpha=0.5))
    """

    title = "a closed-form predictor"

    alpha: Any = option(
        1.0,
        check=errors.positive,
        symbol="alpha",
        flag="--alpha",
        help="Exponent of the predictor W_P = (C + epsilon)^alpha: 1 DirectCopy, 0.5 DirectPred.",
    )
    epsilon: Any = option(
        0.0,
        check=errors.non_negative,
        symbol="epsilon",
        flag="--epsilon",
        help="Offset in the predictor W_P = (C + epsilon)^alpha.",
    )
    normalize: bool = option(
        False,
        check=checks.flag,
        value_type=bool,
        flag="--normalize",
        help="Divide C by its largest eigenvalue in the predictor.",
    )
    tracking: Any = option(
        0.0,
        check=checks.decay_below_one,
        symbol="tracking",
        flag="--tracking",
        help="Decay per step of the exponential average of C in the predictor.",
    )

    @property
    def form(self) -> str:
        """Name of the predictor's form in ``Structure``: "normalized" or "closed form"."""
        return "normalized" if self.normalize else "closed form"


@dataclass(frozen=True, eq=False)
class Learned(Component):
    r"""Trained linear predictor, dW_P/dt = -rate dL/dW_P - rho W_P, with the encoder's weight decay rho.

    Parameters
    ----------
    rate : array_like, default 1
        Learning rate of the predictor divided by the learning rate of the encoder, positive. An array broadcasts with
        an ensemble.
    init : array_like, default 1
        Initial eigenvalues of W_P, whose initial eigenvectors are those of C: a number, or one number per mode,
        (..., M), in the order of the modes of ``s0`` (in a network: ascending).

    Raises
    ------
    ArgumentError
        If an option is out of its range.

    References
    ----------
    Grill et al. 2020 (BYOL); Chen & He 2021 (SimSiam); Tian et al. 2021.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("euclidean", predictor=dyn.Learned(rate=2.0, init=0.5)).structure.predictor
    'learned'
    """

    title = "a learned predictor"
    form = "learned"
    flag = "--learned"
    flag_sets = "rate"
    help = "Train the predictor."

    rate: Any = option(
        1.0,
        check=errors.positive,
        symbol="rate_ratio",
        metavar="[RATE]",
        help="Train the predictor, at RATE times the encoder's learning rate; 1 if RATE is left out.",
        example=1.0,
    )
    init: Any = option(
        1.0,
        check=checks.predictor_eigenvalues,
        symbol="lam0",
        value_type=list,
        flag="--init",
        help="Initial eigenvalues of a learned predictor: a number, or one per mode.",
    )


@dataclass(frozen=True, eq=False)
class NoPredictor(Component):
    """No predictor: W_P = 1, so that the loss compares the representations of the two views themselves.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", predictor=dyn.NoPredictor()).parameter_names
    ('sigma1', 'sigma2', 'weight_decay')
    """

    title = "no predictor"
    form = "none"
    flag = "--no-predictor"
    help = "No predictor: the loss compares the representations themselves."


@dataclass(frozen=True, eq=False)
class Shared(Component):
    """Target branch that shares all weights with the encoder.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", target=dyn.Shared()) == dyn.Model("cosine")
    True
    """

    title = "a shared target"


@dataclass(frozen=True, eq=False)
class EMA(Component):
    """Target branch with weights V that average the encoder's weights W, V <- decay V + (1 - decay) W after each step.

    Parameters
    ----------
    decay : array_like
        Decay per step, between 0 and 1; with decay 1 the target keeps the initial weights of the encoder. An array
        broadcasts with an ensemble.

    Raises
    ------
    ArgumentError
        If ``decay`` is out of its range.

    Notes
    -----
    A flow needs the learning rate eta, which turns the decay per step into a rate in time:
    dV/dt = (1 - decay)/eta (W - V).

    References
    ----------
    Grill et al. 2020 (BYOL); Tian et al. 2021.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", target=dyn.EMA(0.99)).needs_learning_rate
    True
    """

    title = "a target branch with its own weights"
    flag = "--ema"
    flag_sets = "decay"
    help = "Target branch with its own weights: an average of the encoder."

    decay: Any = option(
        check=checks.decay,
        symbol="decay",
        metavar="DECAY",
        help="Target branch with its own weights: the average of the encoder with this decay per step.",
        example=0.9,
    )
