"""What a deep network is made of: images, their views, encoder, projector, predictor, and how it is trained."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dynamics import errors
from dynamics.model.fingerprint import plain
from dynamics.networks.deep.augmentation import Augmentation
from dynamics.networks.deep.datasets import Images

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class MLP:
    """Fully connected layers of these widths, the last of which is that of the representation h.

    ReLU (and batch norm) after each of them, but after the very last layer of encoder and projector together:
    ``Network(encoder=MLP((10,)), projector=())`` is linear. Raises ArgumentError.
    """

    widths: tuple[int, ...] = (128, 128)

    def __post_init__(self):
        _own_widths(self, "widths", least=1)


@dataclass(frozen=True)
class ConvNet:
    """3 x 3 convolutions with these numbers of channels, each with ReLU (and batch norm) and a pooling by 2.

    The representation h is the mean over what is left of the image, as wide as the last number. Raises ArgumentError.
    """

    channels: tuple[int, ...] = (16, 32)

    def __post_init__(self):
        _own_widths(self, "channels", least=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A Siamese network on images, z = projector(encoder(x)), for ``train(model, network, ...)``.

    images: ``digits()``, ``cifar10(folder)``, ``gaussian_images()``, or Images of one's own.
    encoder: MLP(widths) or ConvNet(channels). projector: widths of its layers; the last is M, the number of modes.
    Default (64, 32). Empty: the encoder's last layer is z.
    predictor: widths of the hidden layers of a learned predictor (``Learned``); default (): one matrix. It starts at
    random, as all layers do.
    views: Augmentation of both views, drawn anew for each; None: none. The model's ``noise`` comes after it.
    batch_norm: after each layer but the last of projector and predictor; layers have biases where it is off.
    momentum: of gradient descent, in [0, 1); default 0.9. schedule: of the learning rate, "constant" or "cosine" (down
    to 0 at the last step). target_schedule: of an ``EMA`` target's decay, "constant" or "cosine" (up to 1).
    Raises ArgumentError. (Grill et al. 2020; Chen and He 2021; Tian et al. 2021; Halvagal et al. 2023, appendix.)
    """

    images: Images
    encoder: MLP | ConvNet = field(default_factory=MLP)
    projector: tuple[int, ...] = (64, 32)
    predictor: tuple[int, ...] = ()
    views: Augmentation | None = field(default_factory=Augmentation)
    batch_norm: bool = True
    momentum: Any = 0.9
    schedule: str = "constant"
    target_schedule: str = "constant"

    def __post_init__(self):
        errors.instance("images", self.images, Images, "be Images, such as digits()")
        if not isinstance(self.encoder, (MLP, ConvNet)):
            errors.reject("encoder", "be MLP(widths) or ConvNet(channels)", self.encoder)
        _own_widths(self, "projector")
        _own_widths(self, "predictor")
        if self.views is not None:
            errors.instance("views", self.views, Augmentation, "be an Augmentation, or None")
        errors.flag("batch_norm", self.batch_norm)
        object.__setattr__(self, "batch_norm", bool(self.batch_norm))  # NumPy's own cannot be saved
        object.__setattr__(self, "momentum", _momentum(self.momentum))
        errors.choice("schedule", self.schedule, SCHEDULES)
        errors.choice("target_schedule", self.target_schedule, SCHEDULES)
        least = 2 ** len(getattr(self.encoder, "channels", ()))
        if min(self.images.shape[:2]) < least:
            must = f"have no more than one layer for each halving of images of {self.images.shape[:2]}"
            errors.reject("encoder", must, self.encoder)

    @property
    def modes(self) -> int:
        """M, the width of z."""
        own = self.encoder.widths if isinstance(self.encoder, MLP) else self.encoder.channels
        return (self.projector or own)[-1]


def _momentum(value) -> float:
    must = "be a number, at least 0 and below 1"
    momentum = errors.fraction("momentum", value, must, below_one=True)
    if momentum.ndim:
        errors.reject("momentum", must, momentum)
    return float(momentum)


def _own_widths(part, name: str, least: int = 0) -> None:
    """Keep a checked tuple of whole numbers as the part's own."""
    given, some = getattr(part, name), "one or more " if least else ""
    must = f"be {some}whole numbers >= 1"
    if not isinstance(given, (tuple, list)) or len(given) < least:
        errors.reject(name, must, given)
    try:
        widths = tuple(errors.count(name, width) for width in given)
    except errors.ArgumentError:
        errors.reject(name, must, given)
    object.__setattr__(part, name, widths)


def describe(network: Network) -> dict[str, Any]:
    """Return a network as plain data; its images as their digests."""
    images = network.images
    arrays = {name: plain(name, getattr(images, name)) for name in ("train", "train_labels", "test", "test_labels")}
    parts = {f.name: getattr(network, f.name) for f in fields(network) if f.name != "images"}
    encoder = {"kind": type(network.encoder).__name__, **_as_lists(asdict(network.encoder))}
    views = None if network.views is None else asdict(network.views)
    return {"images": {"name": images.name, **arrays}, **_as_lists(parts | {"encoder": encoder, "views": views})}


def _as_lists(parts: dict[str, Any]) -> dict[str, Any]:
    """Replace tuples by lists, as they come back from a file."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in parts.items()}
