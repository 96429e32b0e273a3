"""A network of a few units that has every part: a target of its own, a tracked correlation, momentum, a schedule."""

import numpy as np

import dynamics as dyn

RNG = np.random.default_rng(0)
PLAIN = dyn.gaussian_images(side=4, train=64, test=32)
IMAGES = dyn.Images("small", PLAIN.train, RNG.integers(0, 3, 64), PLAIN.test, RNG.integers(0, 3, 32))
MODEL = dyn.Model("cosine", predictor=dyn.ClosedForm(0.5, 0.1, True, 0.9), target=dyn.EMA(0.9), symmetrised=True)


def network(**changes):
    """Without views, which take long to compile."""
    small = {"encoder": dyn.MLP((8,)), "projector": (6, 4), "views": None, "schedule": "cosine"}
    return dyn.Network(**{"images": IMAGES} | small | changes)


def run(**changes):
    """Twelve steps of two networks; a list of steps to record keeps what is compiled."""
    given = {"model": MODEL, "W0": network(), "steps": 12, "learning_rate": 0.05, "batch_size": 16, "seed": [0, 1]}
    return dyn.train(**given | {"record": 4} | changes)


def assert_same(one, other):
    """Bit for bit."""
    assert (one.status, one.method, one.settings) == (other.status, other.method, other.settings)
    arrays = [
        {name: getattr(a, name) for name in ("t", "step", "s", "target", "predictor")} | a.measures
        for a in (one, other)
    ]
    assert arrays[0].keys() == arrays[1].keys() and len(arrays[0]) > 10
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)
