"""Define momentum, an option of gradient descent in ``iterate``, ``train`` and ``equilibria``."""

from dataclasses import dataclass
from typing import Any

from dynamics import errors
from dynamics.numerics.values import Value

REQUIREMENT = "be a number of at least 0 and below 1, or a Momentum"
OTHER_METHODS = (
    "Adam, LARS and other methods that rescale the gradient are not available: Adam rescales each entry, which depends "
    "on the basis, and LARS divides by the norm of the gradient of a batch; modes then do not evolve by mean rates."
)


@dataclass(frozen=True, eq=False)
class Momentum(Value):
    r"""Momentum of gradient descent (heavy ball), b <- mu b + G - rho w, then w <- w + eta b.

    G is the negative gradient with respect to the weights w, rho the weight decay, eta the learning rate, and b a
    buffer that is zero at the start. The encoder and a learned predictor each have a buffer.

    Parameters
    ----------
    mu : float
        Momentum, at least 0 and below 1; 0 is gradient descent without momentum.
    nesterov : bool, default False
        Nesterov's momentum: with g = G - rho w, the weights change by eta (mu b + g), where b is the new buffer.
    decoupled : bool, default False
        Decoupled weight decay, as in SGDW and AdamW: the term rho w does not enter the buffer, and the weights change
        by -eta rho w in addition.

    Raises
    ------
    ArgumentError
        If an argument is out of range.

    Notes
    -----
    The buffer is that of PyTorch's ``SGD`` and of ``optax.sgd``. At a small learning rate, momentum multiplies the
    speed by 1/(1 - mu): s at the time t is that of the flow at the time t/(1 - mu). With decoupled weight decay this
    flow has the weight decay (1 - mu) rho. A learned predictor moves by its own learning rate, ``rate`` times eta.

    References
    ----------
    Polyak 1964; Sutskever et al. 2013 (Nesterov's momentum); Loshchilov & Hutter 2019 (decoupled weight decay).

    Examples
    --------
    >>> import dynamics as dyn
    >>> model = dyn.Model("euclidean")
    >>> dyn.iterate(model, [0.5], 10, 0.01, momentum=dyn.Momentum(0.9, nesterov=True)).s[-1].round(4).tolist()
    [0.6281]
    """

    mu: float
    nesterov: bool = False
    decoupled: bool = False

    def __post_init__(self) -> None:
        requirement = "be a number of at least 0 and below 1"
        mu = errors.single("mu", errors.fraction("mu", self.mu, requirement, below_one=True), requirement)
        object.__setattr__(self, "mu", mu)
        for name in ("nesterov", "decoupled"):
            errors.flag(name, getattr(self, name))
            object.__setattr__(self, name, bool(getattr(self, name)))

    @property
    def speed_up(self) -> float:
        """Factor 1/(1 - mu) by which momentum speeds up descent at a small learning rate."""
        return 1 / (1 - self.mu)

    @property
    def decay_at_rest(self) -> float:
        """Factor by which momentum changes the weight decay at fixed points.

        At a fixed point the buffer is 1/(1 - mu) times the gradient, and weight decay balances the buffer. Weight decay
        that does not enter the buffer therefore acts like the weight decay (1 - mu) rho.
        """
        return 1 - self.mu if self.decoupled else 1.0

    @property
    def in_words(self) -> str:
        """The momentum in words, such as "momentum 0.9, Nesterov"."""
        options = {", Nesterov": self.nesterov, ", decoupled weight decay": self.decoupled}
        return f"momentum {self.mu:g}{''.join(text for text, given in options.items() if given)}"

    @property
    def plain(self) -> float | dict[str, Any]:
        """The momentum as plain data: the number mu, or a dictionary if there are options beside it."""
        options = {name: True for name in ("nesterov", "decoupled") if getattr(self, name)}
        return {"mu": self.mu} | options if options else self.mu


def check_momentum(momentum: Any) -> Momentum | None:
    """Return the momentum that an argument ``momentum`` describes; None for gradient descent without momentum.

    momentum: a number, a ``Momentum``, or its plain data. Raises ArgumentError for any other value.
    """
    if isinstance(momentum, dict) and momentum.keys() <= {"mu", "nesterov", "decoupled"} and "mu" in momentum:
        momentum = Momentum(**momentum)
    if not isinstance(momentum, Momentum):
        array = errors.as_array("momentum", momentum, REQUIREMENT)
        if array.dtype.kind not in "iuf" or array.ndim:
            errors.reject("momentum", REQUIREMENT, momentum, OTHER_METHODS)
        momentum = Momentum(errors.single("momentum", errors.fraction("momentum", momentum, REQUIREMENT, True), ""))
    return momentum if momentum.mu else None


def momentum_settings(momentum: Momentum | None) -> dict[str, Any]:
    """Return the entry for the momentum in the settings of a trajectory; an empty dictionary without momentum."""
    return {} if momentum is None else {"momentum": momentum.plain}
