"""Calls of public functions as data: a name, arguments, and the options of a model, which is built inside the call."""

from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import dynamics as dyn

DESIGNS = {"FastestUniform", "RateFunction", "SimultaneousArrival", "ThresholdRecruitment", "ArrivalTimes"}


@dataclass
class Part:
    """A component or expression of a model, which is built inside the call."""

    kind: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] | None = None

    def __call__(self) -> Any:
        return self.kind(*self.arguments, **(self.options or {}))


def model_of(options: dict[str, Any]) -> dyn.Model:
    """Build a model from its options; predictor, target, loss and gain are parts, which may refuse."""
    return dyn.Model(**{name: value() if isinstance(value, Part) else value for name, value in options.items()})


@dataclass
class Call:
    """A public function with its arguments.

    model: options of the model. result_of: for "plot" and "save", the call whose result is plotted or saved.
    """

    name: str
    arguments: dict[str, Any]
    model: dict[str, Any] | None = None
    result_of: "Call | None" = None

    def __call__(self) -> Any:
        """Call the function in an empty folder, which is removed afterwards."""
        arguments = dict(self.arguments)
        if self.model is not None:
            arguments = {"model": model_of(self.model), **arguments}
        if self.result_of is not None:
            arguments = {"result": self.result_of(), **arguments}
        function = SPECIAL.get(self.name) or getattr(dyn, self.name)
        with TemporaryDirectory() as folder, chdir(folder):
            result = function(**arguments)
            return result.load() if self.name == "sweep" else result


# --- functions that need more than one call ---------------------------------------------------------------------------


def compare(model, s0, steps, learning_rate):
    theory = dyn.iterate(model, s0, steps, learning_rate)
    W0 = np.diag(np.sqrt(theory.members()[0, 0]))
    return dyn.compare(theory, dyn.train(model, W0, steps, learning_rate, batch_size=20))


def prepare(s0, **arguments):
    return dyn.prepare(**arguments)(s0)


def export(model):
    return model.to_jax(), model.to_torch()


def replace(model, **parameters):
    return model.replace(**parameters)


def sweep(model, what=None, **arguments):
    return dyn.sweep(model if what is None else what, **arguments)


def plot(result, **arguments):
    """Plot a result, and draw the figure; returns nothing."""
    try:
        result.plot(**arguments).figure.canvas.draw()
    finally:
        plt.close("all")


def plot_sweep(**arguments):
    """Draw a sweep over two axes, in which a run has diverged and another has not been computed; returns nothing."""
    s, status = np.linspace(0.1, 1.0, 48).reshape(3, 2, 4, 2), np.array([[1, 1], [2, 1], [1, 0]])
    s[1, 0, 2:], s[2, 1] = np.inf, np.nan
    axes = {"weight_decay": [0.0, 0.1, 0.2], "sigma2": [0.0, 1.0]}
    arrays = {"s": ((*axes, "step", "mode"), s), "status": (tuple(axes), status)}
    try:
        dyn.plot_sweep(xr.Dataset(arrays, axes | {"step": range(4)}), **arguments)[0, 0].figure.canvas.draw()
    finally:
        plt.close("all")


def save(result, path):
    """Save a trajectory and load it; the loaded one must be equal, and no other file may be left."""
    file = result.save(path)
    assert [file] == list(Path().iterdir()), "other files than the trajectory"
    loaded = dyn.load(file)
    assert loaded == result, "a trajectory differs after saving and loading"
    return loaded


def design_of(kind):
    def design(**arguments):
        decay = 0.05 if kind == "ThresholdRecruitment" else 0.0  # only under weight decay is there a threshold
        model = dyn.Model("euclidean", weight_decay=decay)
        return dyn.design(getattr(dyn, kind)(**arguments), model, between=(0.05, 0.4))

    return design


SPECIAL: dict[str, Callable[..., Any]] = {
    "compare": compare,
    "prepare": prepare,
    "export": export,
    "replace": replace,
    "sweep": sweep,
    "plot": plot,
    "plot_sweep": plot_sweep,
    "save": save,
    **{kind: design_of(kind) for kind in DESIGNS},
}
