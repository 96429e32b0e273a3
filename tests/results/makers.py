"""Trajectories of every kind, by name."""

from functools import cache

import numpy as np

import dynamics as dyn

ALPHAS = np.array([[0.5], [1.0], [2.0]])
ENSEMBLE = dyn.Model(
    "euclidean",
    predictor=dyn.ClosedForm(ALPHAS),
    noise=(np.array([0.0, 0.1]), 0.2),
    weight_decay=np.array([[0.0], [0.01], [0.1]]),
)
PROBES = np.eye(2, 3)


def a_network(seed=0):
    return dyn.train(dyn.Model("cosine"), np.eye(2, 3), 3, 0.1, batch_size=10, seed=seed, probes=PROBES)


MAKERS = {
    "exact flow": lambda: dyn.solve(dyn.Model("euclidean"), [0.1, 0.5], [0, 1, 2.5]),
    "flow": lambda: dyn.solve(dyn.Model("cosine", noise=(0.0, 0.1)), [0.1, 0.5], [0, 1, 2.5]),
    "flow that blows up": lambda: dyn.solve(dyn.Model("euclidean", stop_gradient="online"), [0.5, 2.0], [0, 0.1, 9]),
    "flow that blows up at once": lambda: dyn.solve(dyn.Model("euclidean", stop_gradient="online"), [2.0], [8, 9]),
    "no predictor": lambda: dyn.solve(dyn.Model("euclidean", predictor=dyn.NoPredictor()), [0.1, 0.5], [0, 1]),
    "descent": lambda: dyn.iterate(dyn.Model("cosine", isotropic=True), [0.1, 0.5], 4, 0.1, record=2),
    "descent that diverges": lambda: dyn.iterate(dyn.Model("euclidean"), [1e200], 4, 0.1),
    "finite batches": lambda: dyn.iterate(
        dyn.Model("euclidean", noise=(0.0, 0.1), inputs=np.diag([1.0, 0.5])), np.eye(2), 2, 0.1, batch_size=100
    ),
    "network": a_network,
    "networks": lambda: a_network([4, 2]),
    "ensemble": lambda: dyn.solve(ENSEMBLE, [0.1, 0.5, 0.9], [0, 1, 2.5]),
    "wide ensemble": lambda: dyn.solve(
        dyn.Model("euclidean", predictor=dyn.ClosedForm(np.linspace(0.5, 2, 300))), [0.1, 0.5], [0, 1]
    ),
    "ensemble descent": lambda: dyn.iterate(ENSEMBLE, [0.1, 0.5, 0.9], 3, 0.1),
}


@cache
def made(name):
    """The trajectory of a kind, computed once."""
    return MAKERS[name]()
