"""Define the components of a model: predictors and target branches."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dynamics import errors
from dynamics.model import checks
from dynamics.model.options import check_names, check_options, option
from dynamics.numerics.values import Value


@dataclass(frozen=True, eq=False)
class Component(Value):
    """Base class of predictors and target branches, which are dataclasses with options.

    title: name of the component in messages. flag: command-line flag that selects the component, such as "--ema"; None
    if there is no such flag. flag_sets: name of the component's option whose value follows the flag, such as "decay"
    for "--ema 0.99"; None if the flag takes no value. help: help text of the flag.
    """

    title: ClassVar[str]
    flag: ClassVar[str | None] = None
    flag_sets: ClassVar[str | None] = None
    help: ClassVar[str] = ""

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Create a component; a keyword that is no option is refused with advice."""
        check_names(cls, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, eq=False)
class ClosedForm(Component):
    r"""Closed-form predictor W_P = (C + epsilon)^alpha, with eigenvalues lambda = (s + epsilon)^alpha.

    C is the correlation of the representations, and s are the eigenvalues of C. The exponent alpha and the offset
    epsilon are parameters.

    Parameters
    ----------
    alpha : array_like, default 1
        Positive exponent. The value 1 gives DirectCopy, which Halvagal et al. also use for their linear network; 1/2
        gives DirectPred.
    epsilon : array_like, default 0
        Non-negative offset.
    normalize : bool, default False
        If True, C is first divided by its largest eigenvalue, so that lambda = (s / max s + epsilon)^alpha.
        Implementations for deep networks divide C in this way.
    tracking : array_like, default 0
        Decay per step, in [0, 1), of an exponential average of C. The average C~ replaces C in the predictor, and
        obeys C~ <- tracking C~ + (1 - tracking) C. The initial C~ is the initial C.

    Raises
    ------
    ArgumentError
        If an option is out of range.

    Notes
    -----
    alpha, epsilon and tracking may be arrays, which define an ensemble of models. Suppose that ``normalize`` is True
    and that several eigenvalues are equally large. Then networks deviate from the descent map by about the size of the
    fluctuations of these eigenvalues, because the largest of several fluctuating eigenvalues exceeds their mean.

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
        help="Exponent of the predictor W_P = (C + epsilon)^alpha; 1 is DirectCopy, 0.5 is DirectPred.",
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
        help="Divide the correlation C by its largest eigenvalue in the predictor.",
    )
    tracking: Any = option(
        0.0,
        check=checks.decay_below_one,
        symbol="tracking",
        flag="--tracking",
        help="Decay per step of an exponential average of the correlation C, from which the predictor is built.",
    )

    @property
    def form(self) -> str:
        """Kind of the predictor, as stored in ``Structure.predictor``: "normalized" or "closed form"."""
        return "normalized" if self.normalize else "closed form"


@dataclass(frozen=True, eq=False)
class Learned(Component):
    r"""Learned linear predictor, dW_P/dt = -rate dL/dW_P - rho W_P.

    L is the loss. The factor ``rate`` is the learning rate of the predictor divided by the learning rate of the
    encoder. The weight decay rho is the same for predictor and encoder.

    Parameters
    ----------
    rate : array_like, default 1
        Learning rate of the predictor divided by the learning rate of the encoder, a positive number. An array defines
        an ensemble of models.
    init : array_like, default 1
        Initial eigenvalues of W_P: one number, or one number for each mode, (..., M). The modes have the same order as
        in the initial eigenvalues ``s0``; for ``train``, they have the ascending order of the initial eigenvalues of
        the correlation C. The initial eigenvectors of W_P are the eigenvectors of C.

    Raises
    ------
    ArgumentError
        If an option is out of range.

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
        help="Train the predictor at RATE times the learning rate of the encoder; RATE is 1 if left out.",
        example=1.0,
    )
    init: Any = option(
        1.0,
        check=checks.predictor_eigenvalues,
        symbol="lam0",
        value_type=list,
        flag="--init",
        help="Initial eigenvalues of a learned predictor: one number, or one number per mode.",
    )


@dataclass(frozen=True, eq=False)
class NoPredictor(Component):
    """No predictor: W_P = 1, so that the loss compares the representations of the two views directly.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", predictor=dyn.NoPredictor()).parameter_names
    ('sigma1', 'sigma2', 'weight_decay')
    """

    title = "no predictor"
    form = "none"
    flag = "--no-predictor"
    help = "Use no predictor: the loss compares the representations directly."


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
    """Target branch with separate weights V, an exponential average of the weights W of the encoder.

    After each step of the encoder, V <- decay V + (1 - decay) W.

    Parameters
    ----------
    decay : array_like
        Decay per step, between 0 and 1. If decay is 1, the target keeps the initial weights of the encoder. An array
        defines an ensemble of models.

    Raises
    ------
    ArgumentError
        If ``decay`` is out of range.

    Notes
    -----
    The flow is dV/dt = (1 - decay)/eta (W - V). The flow depends on the learning rate eta, which converts the decay per
    step into a rate in time.

    References
    ----------
    Grill et al. 2020 (BYOL); Tian et al. 2021.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.Model("cosine", target=dyn.EMA(0.99)).needs_learning_rate
    True
    """

    title = "a target branch with separate weights"
    flag = "--ema"
    flag_sets = "decay"
    help = "Use a target branch whose weights are an exponential average of the weights of the encoder."

    decay: Any = option(
        check=checks.decay,
        symbol="decay",
        metavar="DECAY",
        help="Use a target branch whose weights average the weights of the encoder, with this decay per step.",
        example=0.9,
    )


@dataclass(frozen=True, eq=False)
class Reconstruction(Component):
    """Target branch that returns view 2 itself: the loss compares the prediction with the input.

    With a learned predictor, which is then a decoder, and the Euclidean loss, this is a linear masked autoencoder. With
    ``NoPredictor`` it is supervised regression of view 2 on view 1.

    Notes
    -----
    In each mode, the target branch has the constant singular value 1, so that the target's correlation has the
    eigenvalues c_m, the second moments that the views share (1 for white inputs).

    References
    ----------
    Littwin et al. 2024, arXiv:2407.03475 (MAE); Saxe et al. 2014 (deep linear networks).

    Examples
    --------
    >>> import dynamics as dyn
    >>> supervised = dyn.Model("euclidean", predictor=dyn.NoPredictor(), target=dyn.Reconstruction(), depth=2)
    >>> float(dyn.solve(supervised, [0.01], [0.0, 20.0]).s[-1, 0].round(6))
    1.0
    """

    title = "view 2 as the target"
    flag = "--reconstruction"
    help = "Compare the prediction with view 2 itself."
