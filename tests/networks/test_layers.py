"""Deep linear networks with aligned layers, trained by automatic differentiation, beside the map of their layers."""

import numpy as np
import pytest

import dynamics as dyn
from tests.marks import parametrize

M, ETA, STEPS = 3, 0.1, 200
C = np.array([1.0, 0.6, 0.3])
VIEWS = dyn.Views.modes(online=1.3 * C, cross=C, target=1.1 * C)
U = np.linalg.qr(np.random.default_rng(0).standard_normal((M, M)))[0]
KINDS = {
    "closed form": {},
    "EMA": {"target": dyn.EMA(0.9)},
    "learned": {"predictor": dyn.Learned(0.7)},
    "reconstruction": {"target": dyn.Reconstruction(), "predictor": dyn.Learned()},
    "supervised": {"target": dyn.Reconstruction(), "predictor": dyn.NoPredictor()},
}
CASES = [(depth, loss, kind) for depth in (1, 2, 3, 4) for loss in ("euclidean", "cosine") for kind in KINDS]
CASES = [case for case in CASES if case[1:] != ("cosine", "supervised")]


@parametrize(("depth", "loss", "kind"), CASES, quick=[(2, "euclidean", "EMA"), (3, "euclidean", "reconstruction")])
@pytest.mark.parametrize("balanced", [True, False])
def test_networks_follow_the_map_of_the_layers(depth, loss, kind, balanced):
    """200 steps on 4 x 20 000 samples of views with moments of each mode: modes within 1 % of the map."""
    layers = np.random.default_rng(depth).uniform(0.5, 0.9, (1 if balanced else depth, M))
    layers = np.broadcast_to(layers, (depth, M))
    options = {} if depth == 1 else {"layers0": layers}
    model = dyn.Model(loss, views=VIEWS, depth=depth, weight_decay=0.01, **KINDS[kind])
    W0, s0 = U * layers.prod(axis=0), C * layers.prod(axis=0) ** 2
    theory = dyn.iterate(model, s0, STEPS, ETA, record=[STEPS], **options)
    network = dyn.train(model, W0, STEPS, ETA, batch_size=20_000, seed=[0, 1, 2, 3], record=[STEPS], **options)
    W = network.weights[:, -1].mean(axis=0)
    modes = C * np.diag(U.T @ W) ** 2
    np.testing.assert_allclose(modes, theory.s[-1], rtol=0.01, atol=0.01 * theory.s[-1].max())
    assert np.abs(theory.s[-1] / s0 - 1).max() > 0.1


def test_layers_of_a_network_multiply_to_its_weights():
    layers = np.array([[0.5, 0.9], [0.4, 0.3]])
    W0 = np.array([[0.0, 0.27, 0.0], [0.2, 0.0, 0.0]])
    network = dyn.train(dyn.Model("cosine", depth=2), W0, 2, 0.1, batch_size=10, layers0=layers, dtype="float64")
    np.testing.assert_allclose(network.weights[0], W0, atol=1e-15)
    with pytest.raises(dyn.ArgumentError, match="`layers0` must have a product over the layers"):
        dyn.train(dyn.Model("cosine", depth=2), W0, 2, 0.1, layers0=2 * layers)


@pytest.mark.parametrize("kind", ["depth", "reconstruction", "learned by weights"])
def test_networks_whose_fluctuations_are_not_predicted_are_compared_by_their_seeds(kind):
    W0 = U * np.array([0.5, 0.6, 0.7])
    options = {
        "depth": {"depth": 2},
        "reconstruction": {"target": dyn.Reconstruction(), "predictor": dyn.Learned()},
        "learned by weights": {"predictor": dyn.Learned(), "inputs": np.diag([1.0, 0.5, 0.2])},
    }
    model = dyn.Model("euclidean", noise=(0.1, 0.2), **options[kind])
    start = W0 if kind == "learned by weights" else [0.25, 0.36, 0.49]
    theory = dyn.iterate(model, start, 10, ETA)
    network = dyn.train(model, W0, 10, ETA, batch_size=5000, seed=[0, 1, 2, 3])
    comparison = dyn.compare(theory, network)
    assert comparison.source == "from 4 seeds" and comparison.max_relative() < 0.01
    alone = dyn.train(model, W0, 10, ETA, batch_size=5000)
    with pytest.raises(dyn.ArgumentError, match="`network` must be trained with at least 3 seeds"):
        dyn.compare(theory, alone).sampling_error  # noqa: B018  # estimated when it is read


REFUSED = {
    "relu": (
        lambda: dyn.train(dyn.Model("cosine", depth=2), np.eye(2), 1, 0.1, units="relu"),
        "`units` must be 'linear' for a deep encoder",
    ),
    "one layer": (
        lambda: dyn.train(dyn.Model("cosine"), np.eye(2), 1, 0.1, layers0=np.ones((1, 2))),
        "`layers0` must be left out for an encoder of one layer",
    ),
    "deep networks": (
        lambda: dyn.train(dyn.Model("cosine", depth=2), dyn.Network(dyn.digits()), 1, 0.1),
        "`model` must have depth 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_apply_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(dyn.ArgumentError, match=message):
        call()
