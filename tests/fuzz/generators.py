"""Seeded random models, arguments and calls, valid and hostile ones, and extreme numbers.

Seed n always gives the same call, so that ``call_of(n)`` repeats what a test reports.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import dynamics as dyn
from tests.random_losses import loss_of

LOSSES = ("euclidean", "cosine")
USER_DEFINED = (3, 7, 11)  # seeds of random losses: few, since a derivation takes seconds
RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)
UNSUITABLE = (  # values that no argument means
    None,
    float("nan"),
    float("inf"),
    -float("inf"),
    -1,
    0,
    -0.5,
    2.5,
    1e308,
    5e-324,
    10**30,
    10**5000,
    1 + 2j,
    True,
    "",
    "0.1",
    "weather",
    "\0",
    b"bytes",
    [],
    {},
    {"a": 1},
    object(),
    int,
    [[1.0], [1.0, 2.0]],
    [None, 1.0],
    ["a", "b"],
    RECURSIVE,
    np.zeros((0, 3)),
    np.ones((2, 2, 2, 2)),
    np.array([1.0, None], dtype=object),
    np.ma.masked_array([0.1, 5.0], mask=[False, True]),
    np.array([0.1, np.nan]),
    np.array([np.inf]),
    np.longdouble("1e400"),
    np.datetime64("2020-01-01"),
    np.timedelta64(3, "s"),
    range(10**9),
    (0.1, 0.2, 0.3),
    slice(3),
)
MAGNITUDES = (0.0, 5e-324, 1e-310, 1e-200, 1e-100, 1e-30, 1e-9, 0.3, 1.0, 1.0, 7.0, 1e9, 1e30, 1e100, 1e200, 1e308)


@dataclass
class Call:
    """A public function with its arguments; ``model``: arguments of the model, which is built inside the call."""

    name: str
    arguments: dict[str, Any]
    model: dict[str, Any] | None = None

    def __call__(self) -> Any:
        arguments = dict(self.arguments)
        if self.model is not None:
            arguments = {"model": model_of(self.model), **arguments}
        if self.name == "compare":
            model, s0 = arguments["model"], arguments["s0"]
            theory = dyn.iterate(model, s0, arguments["steps"], arguments["learning_rate"])
            network = dyn.train(
                model,
                np.diag(np.sqrt(theory.members()[0, 0])),
                arguments["steps"],
                arguments["learning_rate"],
                batch_size=20,
            )
            return dyn.compare(theory, network)
        if self.name == "prepare":
            s0 = arguments.pop("s0")
            return dyn.prepare(**arguments)(s0)
        if self.name == "export":
            return arguments["model"].to_jax(), arguments["model"].to_torch()
        if self.name == "replace":
            return arguments.pop("model").replace(**arguments)
        if self.name in TARGETS:
            return dyn.design(getattr(dyn, self.name)(**arguments), between=(0.05, 0.4))
        return getattr(dyn, self.name)(**arguments)


def model_of(options: dict[str, Any]) -> dyn.Model:
    """Build a model from its options; predictor, target, loss and gain are callables, which may refuse."""
    return dyn.Model(**{name: value() if isinstance(value, Part) else value for name, value in options.items()})


@dataclass
class Part:
    """A component or expression of a model, which is built inside the call."""

    kind: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] | None = None

    def __call__(self) -> Any:
        return self.kind(*self.arguments, **(self.options or {}))


class Draws:
    """Random models, arguments and calls."""

    def __init__(self, seed: int | str):
        self.draw = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    # --- models

    def model(self) -> dict[str, Any]:
        """Options of a model, most of which can be combined."""
        options: dict[str, Any] = {"loss": self.draw.choice(LOSSES), "predictor": self.predictor()}
        if self.chance(0.08):
            text, parameters = loss_of(self.draw.choice(USER_DEFINED))
            options["loss"] = Part(dyn.Loss, (text, parameters))
        elif self.chance(0.3):
            options["isotropic"] = True
        elif self.chance(0.4):
            options["stop_gradient"] = self.draw.choice(["target", "online", "none"])
        if self.chance(0.6):
            options["noise"] = (self.draw.choice([0.0, 0.2]), self.draw.choice([0.0, 0.1, 0.5]))
        if self.chance(0.4):
            options["weight_decay"] = self.draw.choice([0.0, 0.01, 0.2, 1.0])
        if self.chance(0.2):
            options["symmetrised"] = True
        if self.chance(0.2):
            options["target"] = Part(dyn.EMA, (self.draw.choice([0.0, 0.5, 0.99, 1.0]),))
        if self.chance(0.05):
            options["inputs"] = np.diag([1.0, 2.0])
        if self.chance(0.03):
            options["gain"] = Part(dyn.Gain, ("lambda^0.5",))
        return options

    def predictor(self) -> Part:
        kind = self.draw.choices(["closed", "learned", "none"], [6, 3, 1])[0]
        if kind == "none":
            return Part(dyn.NoPredictor)
        if kind == "learned":
            return Part(dyn.Learned, (self.draw.choice([0.3, 1.0, 3.0]), self.draw.choice([0.1, 1.0])))
        options: dict[str, Any] = {"alpha": self.draw.choice([0.5, 1.0, 2.0])}
        if self.chance(0.2):
            options["epsilon"] = self.draw.choice([0.0, 0.1])
        if self.chance(0.1):
            options["normalize"] = True
        if self.chance(0.1):
            options["tracking"] = 0.9
        return Part(dyn.ClosedForm, options=options)

    def hostile(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options with an unsuitable value for one of them, or for one option of a component."""
        options = dict(options)
        name = self.draw.choice([*options, "noise", "weight_decay", "inputs", "gain", "target", "isotropic"])
        part = options.get(name)
        if isinstance(part, Part) and part.options:
            changed = part.options | {self.draw.choice(list(part.options)): self.unsuitable()}
            options[name] = Part(part.kind, part.arguments, changed)
        elif isinstance(part, Part) and part.arguments:
            options[name] = Part(part.kind, (self.unsuitable(), *part.arguments[1:]))
        elif name == "noise":
            options[name] = self.draw.choice([(self.unsuitable(), 0.1), (0.1, self.unsuitable()), self.unsuitable()])
        else:
            options[name] = self.unsuitable()
        return options

    # --- arguments

    def unsuitable(self) -> Any:
        return self.draw.choice(UNSUITABLE)

    def eigenvalues(self) -> list[float]:
        return [round(self.draw.uniform(0.02, 2.0), 3) for _ in range(self.draw.randint(1, 4))]

    def extremes(self) -> list[float]:
        return [self.draw.choice(MAGNITUDES) for _ in range(self.draw.randint(1, 4))]

    def times(self) -> list[float]:
        return self.draw.choice([[0.0], [1.0], [0.0, 1.0, 5.0], [0.0, 0.1, 20.0]])

    def solve(self):
        method = self.draw.choices(["auto", "exact", "scipy", "heyoka", "jax"], [20, 4, 8, 1, 1])[0]
        return {"s0": self.eigenvalues(), "times": self.times(), "method": method} | self.some(
            learning_rate=0.1, rtol=1e-5, atol=1e-9, until="steady", closure="mean_field", progress=False
        )

    def iterate(self):
        return {"s0": self.eigenvalues(), "steps": self.draw.choice([0, 1, 5]), "learning_rate": 0.1} | self.some(
            batch_size=100, input_dimension=8, record=2, closure="mean_field", rtol=1e-5, method="numpy"
        )

    def train(self):
        return {"W0": [[0.5, 0.1], [0.0, 0.8]], "steps": 2, "learning_rate": 0.1, "batch_size": 10} | self.some(
            seed=3, record=2, units="relu", dtype="float64", probes=[[1.0, 2.0]], W_P0=[[1.0, 0.0], [0.0, 1.0]]
        )

    def prepare(self):
        s0 = self.eigenvalues()
        return {"modes": len(s0), "times": self.times(), "s0": s0} | self.some(learning_rate=0.1, rtol=1e-5)

    def equilibria(self):
        return {"s0": self.eigenvalues()[:2]} | self.some(learning_rate=0.1)

    def collapse(self):
        return {"s0": self.eigenvalues()[:3]}

    def bifurcation(self):
        return {"parameter": self.draw.choice(["weight_decay", "sigma2", "alpha"]), "between": (0.05, 0.4), "points": 3}

    def phase_diagram(self):
        axes = ("weight_decay", (0.0, 0.4)), ("sigma2", (0.0, 0.5))
        return {"s0": self.eigenvalues()[:2], "x": axes[0], "y": axes[1], "points": 2, "steps": 20} | self.some(
            learning_rate=0.1, rtol=1e-4
        )

    def convergence_time(self):
        return {"s0": self.eigenvalues(), "level": self.draw.choice([0.2, 0.6])} | self.some(
            learning_rate=0.1, within=50.0, rtol=1e-5
        )

    def effective_rates(self):
        return {"s": self.eigenvalues()}

    def check(self):
        return {"s0": [0.2, 0.6], "progress": False}

    def compare(self):
        return {"s0": self.eigenvalues()[:2], "steps": 2, "learning_rate": 0.1}

    def replace(self):
        return {self.draw.choice(["weight_decay", "sigma2", "alpha", "decay", "rate"]): 0.3}

    def invariants(self):
        return {}

    export = invariants

    def some(self, **options: Any) -> dict[str, Any]:
        """Each of the options with a chance of one in six."""
        return {name: value for name, value in options.items() if self.chance(1 / 6)}


# --- functions without a model, and design targets, each with the default model of ``design``

TARGETS = {
    "FastestUniform": {"learning_rate": 0.1},
    "RateFunction": {"text": "lambda^2 * (1 - lambda/rest)"},
    "SimultaneousArrival": {"time": 4.0, "level": 0.9, "spread": 0.1},
    "ThresholdRecruitment": {"threshold": 0.1, "speed": 1.0, "sharpness": 4},
    "ArrivalTimes": {"text": "1/s0", "level": 0.9},
}
OTHERS: dict[str, dict[str, Any]] = {
    "gaussian_images": {"side": 4, "exponent": 1.0, "train": 10, "test": 5, "seed": 0},
    "digits": {"test": 360, "seed": 0},
    "load": {"path": "missing.npz"},
    "cifar10": {"folder": "missing"},
    "Loss": {"text": "|p - sg(z2)|^2", "parameters": {}},
    "Gain": {"text": "lambda", "parameters": {}},
    "MLP": {"widths": (8,)},
    "ConvNet": {"channels": (4,)},
    "Augmentation": {"shift": 1.0, "rotation": 15.0, "scale": 0.1, "contrast": 0.3, "flip": False},
    **TARGETS,
}
WEIGHTS = {
    "solve": 30,
    "iterate": 20,
    "train": 5,
    "prepare": 5,
    "equilibria": 6,
    "collapse": 5,
    "bifurcation": 4,
    "phase_diagram": 4,
    "convergence_time": 8,
    "effective_rates": 6,
    "check": 0.5,
    "compare": 0.7,
    "replace": 5,
    "invariants": 4,
    "export": 1,
}


def call_of(seed: int) -> Call:
    """A call of a public function; most have an unsuitable value, and about one in five gives a result."""
    draws = Draws(seed)
    if draws.chance(0.15):
        name = draws.draw.choice(list(OTHERS))
        arguments, model = dict(OTHERS[name]), None
    else:
        name = draws.draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        arguments, model = getattr(draws, name)(), draws.model()
    if arguments and draws.chance(0.5):
        arguments[draws.draw.choice(list(arguments))] = draws.unsuitable()
    elif model is not None and draws.chance(0.35):
        model = draws.hostile(model)
    return Call(name, arguments, model)


def extreme_of(seed: int) -> Call:
    """A call with numbers anywhere in the range of float64."""
    draws = Draws(f"extreme {seed}")
    model, draw = draws.model(), draws.draw
    predictor = model["predictor"]
    if predictor.options and draws.chance(0.5):
        model["predictor"] = Part(
            dyn.ClosedForm, options=predictor.options | {"alpha": draw.choice([1e-8, 0.01, 30.0, 100.0, 1e300])}
        )
    if draws.chance(0.3):
        model["weight_decay"] = draw.choice([1e-300, 1e-12, 10.0, 1e12, 1e300])
    if draws.chance(0.2):
        model["noise"] = (draw.choice([0.0, 1e-200, 1e6, 1e150]), draw.choice([0.0, 1e-9, 1e9]))
    name = draw.choice(
        ["solve"] * 4 + ["iterate"] * 3 + ["convergence_time", "effective_rates", "equilibria", "collapse"]
    )
    s0, rtol = draws.extremes(), draw.choice([1e-13, 1e-8, 1e-3, 0.5])
    eta = draw.choice([1e-300, 1e-9, 0.1, 1e9, 1e300])
    arguments: dict[str, dict[str, Any]] = {
        "solve": {"s0": s0, "times": [0.0, draw.choice([5e-324, 1e-12, 1.0, 1e6, 1e12])], "rtol": rtol},
        "iterate": {"s0": s0, "steps": 4, "learning_rate": eta, "rtol": rtol},
        "convergence_time": {"s0": s0, "level": draw.choice(MAGNITUDES[1:]), "rtol": rtol},
        "effective_rates": {"s": s0},
        "equilibria": {"s0": s0[:2]},
        "collapse": {"s0": s0[:3]},
    }
    if "target" in model and name in ("solve", "convergence_time"):
        arguments[name]["learning_rate"] = eta
    return Call(name, arguments[name], model)
