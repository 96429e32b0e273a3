"""The description of a deep network: its parts, defaults, and plain data."""

import re

import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep.network import describe
from tests.networks.deep.small import IMAGES, PLAIN, network


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dyn.MLP(()), "`widths` must be one or more whole numbers >= 1, but is ()."),
        (lambda: dyn.MLP(8), "`widths` must be one or more whole numbers >= 1, but is 8."),
        (lambda: dyn.MLP((8, 0)), "`widths` must be one or more whole numbers >= 1, but is (8, 0)."),
        (lambda: dyn.ConvNet(()), "`channels` must be one or more whole numbers >= 1, but is ()."),
        (lambda: dyn.ConvNet((2.5,)), "`channels` must be one or more whole numbers >= 1, but is (2.5,)."),
        (lambda: network(images=np.eye(3)), "`images` must be Images, such as digits(), but is "),
        (lambda: network(encoder=(8,)), "`encoder` must be MLP(widths) or ConvNet(channels), but is (8,)."),
        (lambda: network(projector=6), "`projector` must be whole numbers >= 1, but is 6."),
        (lambda: network(projector=(6, True)), "`projector` must be whole numbers >= 1, but is (6, True)."),
        (lambda: network(predictor=(-1,)), "`predictor` must be whole numbers >= 1, but is (-1,)."),
        (lambda: network(views=0.5), "`views` must be an Augmentation, or None, but is 0.5."),
        (lambda: network(batch_norm=1), "`batch_norm` must be True or False, but is 1."),
        (lambda: network(momentum=1), "`momentum` must be a number that is at least 0 and below 1, but is 1."),
        (lambda: network(momentum=[0.1, 0.2]), "`momentum` must be a number that is at least 0 and below 1"),
        (lambda: network(schedule="cosin"), "`schedule` must be one of 'constant', 'cosine', but is 'cosin'. Did you"),
        (lambda: network(target_schedule=None), "`target_schedule` must be one of 'constant', 'cosine', but is None."),
        (
            lambda: network(encoder=dyn.ConvNet((2, 2, 2))),
            "`encoder` must have so few layers that images of 4 x 4 pixels can be halved in each layer, but is ConvNet",
        ),
    ],
)
def test_parts_are_checked(make, message):
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        make()


def test_defaults():
    net = dyn.Network(PLAIN)
    assert (net.encoder, net.projector, net.predictor, net.modes) == (dyn.MLP((128, 128)), (64, 32), (), 32)
    assert (net.views, net.batch_norm, net.momentum) == (dyn.Augmentation(), True, 0.9)
    assert dyn.Network(PLAIN, encoder=dyn.ConvNet(), projector=()).modes == 32
    assert network(projector=()).modes == 8 and IMAGES.shape == (4, 4, 1)


def test_a_description_is_plain_data():
    data = describe(network(encoder=dyn.ConvNet((3,)), views=dyn.Augmentation(flip=True), predictor=[5]))
    assert data["encoder"] == {"kind": "ConvNet", "channels": [3]}
    assert data["views"] == {"shift": 1.0, "rotation": 15.0, "scale": 0.15, "contrast": 0.3, "flip": True}
    assert (data["projector"], data["predictor"], data["schedule"]) == ([6, 4], [5], "cosine")
    assert data["images"].keys() == {"name", "train", "train_labels", "test", "test_labels"}
    assert describe(network(views=None))["views"] is None


def test_descriptions_differ_with_their_images():
    other = dyn.Images("small", IMAGES.train + 0.1, IMAGES.train_labels, IMAGES.test, IMAGES.test_labels)
    first, second = (describe(network(images=images))["images"] for images in (IMAGES, other))
    assert first["train"] != second["train"] and first["test"] == second["test"]


def test_numpy_numbers_become_those_of_python():
    numbers = network(batch_norm=np.True_, momentum=np.float64(0.5), projector=[np.int64(6), 4])
    assert (numbers.batch_norm, numbers.momentum, numbers.projector) == (True, 0.5, (6, 4))
    assert [type(value) for value in (numbers.batch_norm, numbers.momentum, *numbers.projector)] == [
        bool,
        float,
        int,
        int,
    ]
