"""Describe a deep network: its images, views, encoder, projector and predictor, and options of its training."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dynamics import errors
from dynamics.model.fingerprint import plain
from dynamics.networks.deep.augmentation import Augmentation
from dynamics.networks.deep.images import Images
from dynamics.numerics.memory import check_size
from dynamics.numerics.values import Value
from dynamics.presentation.card import card

WEIGHTS = 3  # number of arrays in memory that are as large as the weights: weights, gradient and momentum
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class MLP:
    """Fully connected encoder with layers x -> relu(norm(W x)).

    Parameters
    ----------
    widths : tuple of int
        Widths of the layers; the last width is that of the representation h. Default (128, 128).

    Raises
    ------
    ArgumentError
        If ``widths`` is not one or more whole numbers >= 1.

    Notes
    -----
    norm is batch norm, or the identity if the network has no batch norm. If the projector of the network is empty, the
    last layer has neither batch norm nor ReLU. So ``Network(images, encoder=MLP((10,)), projector=())`` is linear.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.MLP((64, 32))
    MLP(widths=(64, 32))
    """

    widths: tuple[int, ...] = (128, 128)

    def __post_init__(self) -> None:
        _keep_widths(self, "widths", least=1)


@dataclass(frozen=True)
class ConvNet:
    """Convolutional encoder with layers x -> pool(relu(norm(W * x))) of 3 x 3 convolutions.

    Parameters
    ----------
    channels : tuple of int
        Numbers of channels of the layers; the last number is the width of the representation h. Default (16, 32).

    Raises
    ------
    ArgumentError
        If ``channels`` is not one or more whole numbers >= 1.

    Notes
    -----
    norm is batch norm, or the identity if the network has no batch norm; pool is the maximum over 2 x 2 pixels. The
    representation h is the mean of the last layer over the pixels that remain.

    Examples
    --------
    >>> import dynamics as dyn
    >>> dyn.ConvNet((8, 16))
    ConvNet(channels=(8, 16))
    """

    channels: tuple[int, ...] = (16, 32)

    def __post_init__(self) -> None:
        _keep_widths(self, "channels", least=1)


@dataclass(frozen=True, eq=False)
class Network(Value):
    """Description of a deep Siamese network z = projector(encoder(x)) on images x, which ``train`` can train.

    Parameters
    ----------
    images : Images
        The data, such as ``digits()``, ``cifar10(folder)`` or ``gaussian_images()``.
    encoder : MLP or ConvNet
        The encoder. Its output is the representation h, which classifiers read out. Default ``MLP((128, 128))``.
    projector : tuple of int
        Widths of the layers of the projector; default (64, 32). The last width is M, the number of modes. If the
        projector is empty, z is h.
    predictor : tuple of int
        Widths of the hidden layers of a learned predictor; its initial weights are random. If there are no hidden
        layers (default), the predictor is a matrix.
    views : Augmentation or None
        Random augmentation, drawn independently for both views; None for no augmentation. The noise of the model is
        added after the augmentation.
    batch_norm : bool
        Use batch norm after each layer except the last layers of projector and predictor; default True. If False,
        these layers have biases instead.
    momentum : float
        Momentum of gradient descent, in [0, 1); default 0.9.
    schedule : {"constant", "cosine"}
        Schedule of the learning rate. With "cosine" the learning rate falls to 0 at the last step.
    target_schedule : {"constant", "cosine"}
        Schedule of the decay of an ``EMA`` target. With "cosine" the decay rises to 1 at the last step.

    Raises
    ------
    ArgumentError
        If an argument is not valid, or if a ConvNet has so many layers that its images cannot be halved in each layer.

    Notes
    -----
    The Model that is passed to ``train`` sets the loss, the target, the kind of predictor, the noise and the weight
    decay. Weight decay acts on matrices and filters, but not on biases and batch norm.

    References
    ----------
    Grill et al., NeurIPS 2020 (BYOL); Chen & He, CVPR 2021 (SimSiam); Tian, Chen & Ganguli, ICML 2021 (DirectPred);
    Halvagal, Laborieux & Zenke, NeurIPS 2023, appendix.

    Examples
    --------
    >>> import dynamics as dyn
    >>> images = dyn.gaussian_images(side=4, train=100, test=50)
    >>> network = dyn.Network(images, encoder=dyn.MLP((8,)), projector=(6, 4), views=None)
    >>> network.modes
    4
    >>> run = dyn.train(dyn.Model("cosine"), network, steps=2, learning_rate=0.1, batch_size=16)
    >>> run.s.shape
    (3, 4)
    """

    images: Images
    encoder: MLP | ConvNet = field(default_factory=MLP)
    projector: tuple[int, ...] = (64, 32)
    predictor: tuple[int, ...] = ()
    views: Augmentation | None = field(default_factory=Augmentation)
    batch_norm: bool = True
    momentum: float = 0.9
    schedule: str = "constant"
    target_schedule: str = "constant"

    def __post_init__(self) -> None:
        errors.instance("images", self.images, Images, "be Images, such as digits()")
        if not isinstance(self.encoder, (MLP, ConvNet)):
            errors.reject("encoder", "be MLP(widths) or ConvNet(channels)", self.encoder)
        _keep_widths(self, "projector")
        _keep_widths(self, "predictor")
        if self.views is not None:
            errors.instance("views", self.views, Augmentation, "be an Augmentation, or None")
        errors.flag("batch_norm", self.batch_norm)
        object.__setattr__(self, "batch_norm", bool(self.batch_norm))  # a NumPy bool cannot be saved
        object.__setattr__(self, "momentum", _momentum(self.momentum))
        errors.choice("schedule", self.schedule, SCHEDULES)
        errors.choice("target_schedule", self.target_schedule, SCHEDULES)
        least = 2 ** len(getattr(self.encoder, "channels", ()))
        if min(self.images.shape[:2]) < least:
            height, width = self.images.shape[:2]
            requirement = f"have so few layers that images of {height} x {width} pixels can be halved in each layer"
            errors.reject("encoder", requirement, self.encoder)

    def _repr_html_(self) -> str:
        parts = {f.name.replace("_", " "): str(getattr(self, f.name)) for f in fields(self)}
        return card(f"Network with {self.modes} modes", parts.items())

    @property
    def modes(self) -> int:
        """Number of modes M, the width of the representation z."""
        widths = self.encoder.widths if isinstance(self.encoder, MLP) else self.encoder.channels
        return (self.projector or widths)[-1]

    def layers(self) -> Iterator[tuple[int, int]]:
        """Yield, for each layer of encoder, projector and predictor, the number of weights and of outputs per image."""
        height, width, channels = self.images.shape
        if isinstance(self.encoder, ConvNet):
            for out in self.encoder.channels:
                yield 9 * channels * out, height * width * out
                height, width, channels = height // 2, width // 2, out
            inputs, widths = channels, self.projector
        else:
            inputs, widths = height * width * channels, (*self.encoder.widths, *self.projector)
        for out in (*widths, *self.predictor, self.modes):
            yield inputs * out, out
            inputs = out

    def check_memory(self, networks: int, batch_size: int, itemsize: int) -> None:
        """Raise ArgumentError unless the weights of all networks, and the outputs of their layers, fit into memory.

        networks: number of networks that are trained side by side. itemsize: number of bytes of a weight or output.
        """
        weights, outputs = map(sum, zip(*self.layers(), strict=True))
        inputs = math.prod(self.images.shape)
        remedy = "Use narrower layers, a smaller batch_size, or fewer seeds."
        what = f"{networks} networks of {weights:,} weights with batches of {batch_size:,} images"
        check_size(what, networks * (WEIGHTS * weights + 2 * batch_size * (inputs + outputs)), remedy, itemsize)


def _momentum(value: float) -> float:
    requirement = "be a number that is at least 0 and below 1"
    momentum = errors.fraction("momentum", value, requirement, below_one=True)
    if momentum.ndim:
        errors.reject("momentum", requirement, momentum)
    return float(momentum)


def _keep_widths(part: MLP | ConvNet | Network, name: str, least: int = 0) -> None:
    """Validate an attribute with the widths of layers, and store the widths as a tuple of whole numbers."""
    value, several = getattr(part, name), "one or more " if least else ""
    requirement = f"be {several}whole numbers >= 1"
    if not isinstance(value, (tuple, list)) or len(value) < least:
        errors.reject(name, requirement, value)
    try:
        widths = tuple(errors.count(name, width) for width in value)
    except errors.ArgumentError:
        errors.reject(name, requirement, value)
    object.__setattr__(part, name, widths)


def describe(network: Network) -> dict[str, Any]:
    """Return the description of a network as plain data for JSON, in which digests replace the images."""
    images = network.images
    arrays = {name: plain(name, getattr(images, name)) for name in ("train", "train_labels", "test", "test_labels")}
    parts = {f.name: getattr(network, f.name) for f in fields(network) if f.name != "images"}
    encoder = {"kind": type(network.encoder).__name__, **_as_lists(asdict(network.encoder))}
    views = None if network.views is None else asdict(network.views)
    return {"images": {"name": images.name, **arrays}, **_as_lists(parts | {"encoder": encoder, "views": views})}


def _as_lists(parts: dict[str, Any]) -> dict[str, Any]:
    """Return a dictionary in which lists replace tuples, because JSON returns a saved tuple as a list."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parts.items()}
