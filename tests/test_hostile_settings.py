"""Public functions under strict settings of NumPy, JAX and warnings: results are those under default settings."""

import inspect
import warnings
from contextlib import contextmanager
from itertools import product

import jax
import numpy as np
import pytest
import xarray as xr

import dynamics as dyn
from tests.marks import parametrize

S0, TIMES, NOISE = [0.1, 0.8], [0.0, 1.0, 100.0], (0.0, 0.1)
COSINE, EUCLIDEAN = dyn.Model("cosine", noise=NOISE), dyn.Model("euclidean", noise=NOISE)
WEIGHTS = np.array([[0.5, 0.1, 0.0], [0.0, 0.8, 0.2]], "f4")
DECAYS = dyn.Model("euclidean", weight_decay=np.linspace(0.0, 0.3, 70))
VIEWS = np.linspace(-1.0, 1.0, 8, dtype="f4").reshape(4, 2)


def network(**options):
    return dyn.train(COSINE, WEIGHTS, 3, 0.1, batch_size=20, **options)


def deep():
    images = dyn.gaussian_images(4, train=40, test=20)
    return dyn.train(COSINE, dyn.Network(images, encoder=dyn.MLP((8,)), projector=(6, 4)), 2, 0.1, batch_size=10)


def panels():
    """The lines of a plot of a sweep with runs that diverge and runs that are not computed."""
    s = np.array([[[0.1, 0.5], [0.2, 0.6]], [[0.1, 0.0], [np.inf, 1e-300]], [[np.nan, np.nan], [np.nan, np.nan]]])
    runs = xr.Dataset({"s": (("weight_decay", "step", "mode"), s)}, {"weight_decay": [0.0, 0.1, 0.2], "step": [0, 1]})
    return [line.get_ydata() for ax in dyn.plot_sweep(runs).flat for line in ax.lines]


def exported(model):
    """Value and gradient of an exported module's loss, without any context of this package."""
    names = {}
    exec(model.to_jax(), names)
    arguments = (
        (None, VIEWS, VIEWS[::-1]) if "p" in inspect.signature(names["loss"]).parameters else (VIEWS, VIEWS[::-1])
    )
    return names["loss"](*arguments)


CALLS = {
    "bifurcation": lambda: dyn.bifurcation(EUCLIDEAN, "weight_decay", (0, 0.3)),
    "collapse": lambda: dyn.collapse(EUCLIDEAN, S0),
    "design": lambda: dyn.design(dyn.RateFunction("lambda^2 * (1 - lambda/rest)"), between=(0.1, 0.5)),
    "equilibria": lambda: dyn.equilibria(EUCLIDEAN, S0),
    "invariants": lambda: dyn.invariants(COSINE),
    "phase_diagram": lambda: dyn.phase_diagram(
        EUCLIDEAN, S0, ("weight_decay", (0.0, 0.4)), ("alpha", (0.5, 1.0)), learning_rate=0.1, points=2
    ),
    "convergence_time": lambda: dyn.convergence_time(COSINE, S0, 0.2),
    "effective_rates": lambda: dyn.effective_rates(COSINE, S0),
    "digits": lambda: dyn.digits(),
    "gaussian_images": lambda: dyn.gaussian_images(4, train=10, test=5),
    "train": network,
    "iterate": lambda: dyn.iterate(COSINE, S0, 5, 0.1),
    "solve": lambda: dyn.solve(COSINE, S0, TIMES),
    "prepare": lambda: dyn.prepare(COSINE, modes=2, times=TIMES)(S0),
    "compare": lambda: dyn.compare(dyn.iterate(COSINE, network().s[0], 3, 0.1), network()),
    "check": lambda: dyn.check(EUCLIDEAN, S0),
    "plot_sweep": panels,
}
ELSEWHERE = {
    "load": "no arithmetic",
    "concatenate": "no arithmetic",
    "sweep": "its blocks call the others",
    "cifar10": "needs its files",
}
OTHERS = {
    "solve exact": lambda: dyn.solve(EUCLIDEAN, [1e-200, 0.5, 3.0], TIMES),
    "solve scipy, stiff": lambda: dyn.solve(dyn.Model("euclidean", stop_gradient="none"), S0, [0, 1e4], method="scipy"),
    "solve steady": lambda: dyn.solve(COSINE, S0, TIMES, until="steady"),
    "solve jax": lambda: dyn.solve(COSINE, S0, [0, 1.0], method="jax"),
    "solve heyoka": lambda: dyn.solve(DECAYS, S0, TIMES, method="heyoka"),
    "solve an ensemble": lambda: dyn.solve(DECAYS, S0, TIMES, method="jax"),
    "solve correlated inputs": lambda: dyn.solve(dyn.Model("euclidean", inputs=np.diag([1.0, 2])), np.eye(2), [0, 1]),
    "iterate jax": lambda: dyn.iterate(COSINE, S0, 5, 0.1, method="jax"),
    "iterate to a divergence": lambda: dyn.iterate(EUCLIDEAN, [1e200], 4, 0.1),
    "train in float64": lambda: network(dtype="float64", seed=[0, 1]),
    "train deep": deep,
    "exported": lambda: exported(COSINE),
    "exported with a gain": lambda: exported(dyn.Model("cosine", gain=dyn.Gain("lambda^2"))),
}


@contextmanager
def jax_options(**options):
    """JAX's settings for all threads."""
    before = {name: getattr(jax.config, name) for name in options}
    try:
        for name, value in options.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@contextmanager
def numpy_raises():
    before = np.seterr(all="raise")
    try:
        yield
    finally:
        np.seterr(**before)


@contextmanager
def warnings_raise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


STRICT = {"jax_numpy_rank_promotion": "raise", "jax_numpy_dtype_promotion": "strict", "jax_debug_nans": True}
HOSTILE = {
    "numpy": numpy_raises,
    "warnings": warnings_raise,
    "strict jax": lambda: jax_options(**STRICT),
    "strict jax, x64": lambda: jax_options(**STRICT, jax_enable_x64=True),
}


QUICK = [
    *product(["solve", "iterate", "equilibria", "solve exact"], ["numpy"]),
    *product(["solve", "solve exact"], ["warnings"]),
    *product(["train", "exported"], ["strict jax"]),
    ("iterate jax", "strict jax, x64"),
]


def numbers(result):
    """All numbers and texts of a result, by a path."""
    if isinstance(result, dict):
        items = result.items()
    elif hasattr(result, "__dataclass_fields__"):
        items = ((name, getattr(result, name)) for name in result.__dataclass_fields__)
    elif isinstance(result, (list, tuple)):
        items = enumerate(result)
    else:
        return {(): result} if isinstance(result, (str, int, float, complex, np.ndarray, np.generic, jax.Array)) else {}
    return {(name, *path): value for name, part in items for path, value in numbers(part).items()}


def test_every_public_function_is_called():
    public = {name for name in dyn.__all__ if inspect.isfunction(getattr(dyn, name))}
    assert public == set(CALLS) | set(ELSEWHERE)


@parametrize(("name", "hostile"), list(product([*CALLS, *OTHERS], HOSTILE)), quick=QUICK)
def test_results_do_not_depend_on_strict_settings(name, hostile):
    if name == "solve heyoka":
        pytest.importorskip("heyoka", reason="heyoka comes for Linux on x86-64 only")
    call = (CALLS | OTHERS)[name]
    expected = numbers(call())
    with HOSTILE[hostile]():
        found = numbers(call())
    assert expected and found.keys() == expected.keys()
    for path, value in expected.items():
        if isinstance(value, str):
            assert found[path] == value, path
        else:
            np.testing.assert_array_equal(found[path], value, err_msg=str(path))
