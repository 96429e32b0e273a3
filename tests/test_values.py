"""Models and results are values: equal if their contents are, copied and pickled with their contents."""

import copy
import inspect
import pickle
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

import dynamics as dyn
from dynamics.numerics.values import Value, same
from tests.marks import parametrize

DECAY = dyn.Model("euclidean", weight_decay=0.1)
LOSS = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=[0.1, 0.2])
RANGES = (("weight_decay", (0.0, 0.4)), ("learning_rate", (0.1, 0.5)))
IMAGES = dyn.gaussian_images(side=2, train=8, test=4)


@cache
def network():
    return dyn.train(dyn.Model("euclidean"), np.eye(2, 3), 3, 0.1, batch_size=10)


MODELS = {
    "model": lambda: dyn.Model("cosine", noise=(0.1, 0.2)),
    "ensemble": lambda: dyn.Model("cosine", noise=([0.1, 0.2], 0.3), weight_decay=[0.0, 0.1], target=dyn.EMA([0.5, 1])),
    "model with a loss": lambda: dyn.Model(LOSS, predictor=dyn.ClosedForm([[0.5], [1.0]])),
    "model with a gain": lambda: dyn.Model("euclidean", gain=dyn.Gain.parse("lambda^gamma", gamma=0.5)),
    "model with inputs": lambda: dyn.Model("euclidean", inputs=np.diag([1.0, 0.5])),
    "model with views": lambda: dyn.Model("euclidean", views=made("views of modes")),
    "views of modes": lambda: dyn.Views.modes([1.0, 2.0], [1.0, 0.5], [1.0, 1.5]),
    "views of moments": lambda: dyn.Views.moments(2 * np.eye(2), [[1.0, 0.2], [0.0, 1.0]], 2 * np.eye(2)),
    "measured views": lambda: dyn.Views.measured(np.eye(3), np.eye(3)),
    "predictor": lambda: dyn.ClosedForm([1.0, 2.0], epsilon=0.1),
    "learned predictor": lambda: dyn.Learned(2.0, [0.5, 1.0]),
    "no predictor": dyn.NoPredictor,
    "shared target": dyn.Shared,
    "reconstruction": dyn.Reconstruction,
    "target": lambda: dyn.EMA([0.5, 0.9]),
    "views": lambda: dyn.Views.modes([1.0, 1.5], [1.0, 0.5], [1.0, 2.0]),
    "momentum": lambda: dyn.Momentum(0.9, nesterov=True),
    "loss": lambda: LOSS,
    "gain": lambda: dyn.Gain.parse("lambda^gamma", gamma=[0.5, 1.0]),
    "rates": lambda: dyn.RateFunction("1 - lambda/rest"),
    "times": lambda: dyn.ArrivalTimes("-3 * log(lambda)"),
    "simultaneous": lambda: dyn.SimultaneousArrival(10.0),
    "recruitment": lambda: dyn.ThresholdRecruitment(0.1),
    "fastest": lambda: dyn.FastestUniform(0.4),
    "augmentation": dyn.Augmentation,
    "images": lambda: IMAGES,
    "mlp": lambda: dyn.MLP((3, 2)),
    "convnet": lambda: dyn.ConvNet((3, 2)),
    "deep network": lambda: dyn.Network(IMAGES, dyn.MLP((3,)), (2,), views=None),
}
RESULTS = {
    "flow": lambda: dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0.0, 1.0]),
    "descent map": lambda: dyn.iterate(dyn.Model("euclidean"), [0.1, 0.5], 3, 0.1),
    "network": network,
    "comparison": lambda: dyn.compare(dyn.iterate(network().model, network().s[0], 3, 0.1), network()),
    "check": lambda: dyn.check(dyn.Model("euclidean"), [0.2, 0.7]),
    "equilibria": lambda: dyn.equilibria(DECAY, [0.5, 0.1]),
    "equilibria with momentum": lambda: dyn.equilibria(DECAY, [0.5, 0.1], momentum=dyn.Momentum(0.9, decoupled=True)),
    "scheduled descent map": lambda: dyn.iterate(dyn.Model("euclidean"), [0.5], 3, [0.1, 0.2, 0.3]),
    "equilibria of a user-defined loss": lambda: dyn.equilibria(dyn.Model(LOSS.replace(beta=0.1)), [0.5]),
    "equilibrium": lambda: dyn.equilibria(dyn.Model("cosine"), [0.5, 0.1])[1],
    "bifurcation": lambda: dyn.bifurcation(DECAY, "weight_decay", (0, 0.3), points=5),
    "collapse": lambda: dyn.collapse(DECAY, [0.5, 0.01]),
    "invariant": lambda: dyn.invariants(dyn.Model("cosine"))[0],
    "invariant of a learned predictor": lambda: dyn.invariants(dyn.Model("euclidean", predictor=dyn.Learned()))[0],
    "design": lambda: dyn.design(dyn.FastestUniform(0.4)),
    "phase diagram": lambda: dyn.phase_diagram(dyn.Model("euclidean"), [0.5], *RANGES, points=2),
    "prepared solver": lambda: dyn.prepare(dyn.Model("euclidean"), modes=2, times=[0.0, 1.0]),
}
VALUES = MODELS | RESULTS


@cache
def made(name):
    return VALUES[name]()


def arrays_of(value, path=""):
    """All arrays in a value, by their place."""
    if isinstance(value, np.ndarray):
        return {path: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (tuple, list)) else ()
    if isinstance(value, Value):
        parts = [(name, getattr(value, name)) for name in value.__dataclass_fields__]
    return {place: a for name, part in parts for place, a in arrays_of(part, f"{path}.{name}").items()}


def test_every_public_class_is_tried():
    classes = {kind for kind in (getattr(dyn, name) for name in dyn.__all__) if inspect.isclass(kind)}
    tried = {type(made(name)) for name in VALUES if name != "check"} | {dyn.Check}
    values = {kind for kind in classes if not issubclass(kind, BaseException)}
    assert not {kind for kind in values if not any(issubclass(one, kind) for one in tried)}


COPIES = {"pickle": lambda value: pickle.loads(pickle.dumps(value)), "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize("by", COPIES)
@parametrize("name", VALUES, [name for name in VALUES if name != "check"])
def test_a_copy_equals_the_original(name, by):
    original, copied = made(name), COPIES[by](made(name))
    assert copied == original and hash(copied) == hash(original)
    assert (str(copied), repr(copied)) == (str(original), repr(original))


@parametrize("name", VALUES, [name for name in VALUES if name != "check"])
@pytest.mark.parametrize("by", ["pickle", "deepcopy"])
def test_a_copy_is_as_immutable_as_the_original(name, by):
    original, copied = arrays_of(made(name)), arrays_of(COPIES[by](made(name)))
    assert original.keys() == copied.keys()
    assert [a.flags.writeable for a in copied.values()] == [a.flags.writeable for a in original.values()]


@pytest.mark.parametrize("name", ["ensemble", "model with inputs", "predictor", "images"])
def test_arrays_of_models_are_read_only(name):
    arrays = arrays_of(COPIES["pickle"](made(name)))
    assert arrays
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("model", dyn.Model("cosine", noise=(0.1, 0.3))),
        ("ensemble", dyn.Model("cosine", noise=([0.1, 0.3], 0.3), weight_decay=[0.0, 0.1], target=dyn.EMA([0.5, 1]))),
        ("model with a loss", dyn.Model(LOSS.replace(beta=[0.1, 0.3]), predictor=dyn.ClosedForm([[0.5], [1.0]]))),
        ("predictor", dyn.ClosedForm([1.0, 2.5], epsilon=0.1)),
        ("predictor", dyn.ClosedForm(1.0, epsilon=0.1)),
        ("target", dyn.EMA([0.5, 0.8])),
        ("target", dyn.Shared()),
        ("gain", dyn.Gain.parse("lambda^gamma", gamma=[0.5, 1.5])),
    ],
    ids=str,
)
def test_values_of_other_contents_differ(name, changed):
    assert made(name) != changed and made(name) != "text"


def test_models_are_keys_of_sets():
    models = {dyn.Model("cosine", weight_decay=[0.1, decay]) for decay in (0.1, 0.2, 0.1)}
    assert len(models) == 2 and dyn.Model("cosine", weight_decay=[0.1, 0.2]) in models


def test_a_copy_computes_what_the_original_does():
    start, flow = [0.3, 0.6], made("flow")
    for name in ("prepared solver", "invariant", "equilibrium", "design"):
        original, copied = made(name), COPIES["pickle"](made(name))
        compute = {
            "prepared solver": lambda value: value(start).s,
            "invariant": lambda value: value(flow),
            "equilibrium": lambda value: value.multipliers(0.1),
            "design": lambda value: value.rate([0.1, 0.2]),
        }[name]
        np.testing.assert_array_equal(compute(copied), compute(original))


OTHER_PROCESS = "import pickle, sys; sys.stdout.buffer.write(pickle.dumps(pickle.load(sys.stdin.buffer)))"


def test_values_cross_processes():
    names = [
        "ensemble",
        "model with a loss",
        "equilibria",
        "equilibria with momentum",
        "equilibria of a user-defined loss",
        "bifurcation",
        "collapse",
    ]
    sent = pickle.dumps([made(name) for name in names])
    run = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS], input=sent, capture_output=True, check=True, timeout=120
    )
    assert pickle.loads(run.stdout) == [made(name) for name in names]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.nan, float("nan"), True),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0]), np.array(1.0), False),
        (np.float64(1.0), 1.0, True),
        ({"a": np.ones(2)}, {"a": np.ones(2)}, True),
        ({"a": np.ones(2)}, {"b": np.ones(2)}, False),
        ((1, np.ones(2)), [1, np.ones(2)], False),
        (np.array(["a"], object), np.array(["b"], object), False),
        ("a", np.ones(1), False),
        (None, np.ones(1), False),
    ],
    ids=str,
)
def test_sameness(a, b, equal):
    assert same(a, b) is equal and same(b, a) is equal
