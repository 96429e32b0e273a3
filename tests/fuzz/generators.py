"""Seeded random models, arguments and calls, valid and hostile ones, and extreme numbers.

Seed n always gives the same call, so that ``call_of(n)`` repeats what a test reports. A call is drawn valid; then, half
of the time, one value in it is replaced.
"""

import random
from typing import Any

import numpy as np

import dynamics as dyn
from tests.fuzz.calls import DESIGNS, Call, Part
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
VARIANTS = {  # ways to determine the gradient of a loss, with weights, for each predictor
    "closed": {"plain": 40, "isotropic": 25, "stop_gradient": 20, "user-defined": 10, "gain": 5},
    "learned": {"plain": 2, "stop_gradient": 1},
    "none": {"plain": 2, "stop_gradient": 1},
}
WHITE, ANALYSED = ("inputs",), ("learned", "inputs", "user-defined", "stop_gradient", "normalize")
NOT_IN = {  # options and predictors of a model for which a function does not exist, or rarely has a result
    "prepare": WHITE,
    "check": (*WHITE, "user-defined"),  # whose code is compiled for seconds
    "compare": (*WHITE, "user-defined"),
    "convergence_time": WHITE,
    "phase_diagram": (*WHITE, "user-defined"),
    "effective_rates": (*WHITE, "learned", "target", "tracking"),
    "equilibria": ANALYSED,
    "collapse": ANALYSED,
    "bifurcation": ANALYSED,
}
MAGNITUDES = (0.0, 5e-324, 1e-310, 1e-200, 1e-100, 1e-30, 1e-9, 0.3, 1.0, 1.0, 7.0, 1e9, 1e30, 1e100, 1e200, 1e308)


class Draws:
    """Random models, arguments and calls."""

    def __init__(self, seed: int | str):
        self.draw = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    # --- models

    def model(self, *without: str) -> dict[str, Any]:
        """Options of a model that can be combined; without: options and predictors that the model does not have."""
        kinds = {"closed": 7, "learned": 2, "none": 1}
        kind = self.weighted({name: weight for name, weight in kinds.items() if name not in without})
        options = {"loss": self.draw.choice(LOSSES), "predictor": self.predictor(kind, without)}
        variant = self.weighted(VARIANTS[kind])
        options |= {} if variant in without else self.variant(variant, kind)
        optional = {
            "noise": (0.6, (self.draw.choice([0.0, 0.2]), self.draw.choice([0.0, 0.1, 0.5]))),
            "weight_decay": (0.4, self.draw.choice([0.0, 0.01, 0.2, 0.5])),
            "symmetrised": (0.2, True),
        }
        if variant in ("plain", "isotropic"):
            optional["target"] = 0.2, Part(dyn.EMA, (self.draw.choice([0.0, 0.5, 0.99, 1.0]),))
        if variant not in ("gain", "user-defined") and kind != "learned":
            optional["inputs"] = 0.07, np.diag([1.0, 2.0])
        for name, (probability, value) in optional.items():
            if self.chance(probability) and name not in without:
                options[name] = value
        return options

    def variant(self, variant: str, kind: str) -> dict[str, Any]:
        """Options that determine the gradient of a loss: one of ``VARIANTS``."""
        if variant == "user-defined":
            return {"loss": Part(dyn.Loss, loss_of(self.draw.choice(USER_DEFINED)))}
        stopped = ["target", "none"] if kind == "learned" else ["target", "none", "online"]
        return {
            "plain": {},
            "isotropic": {"isotropic": True},
            "stop_gradient": {"stop_gradient": self.draw.choice(stopped)},
            "gain": {"loss": "euclidean", "gain": Part(dyn.Gain, ("lambda^0.5",))},
        }[variant]

    def predictor(self, kind: str, without: tuple[str, ...]) -> Part:
        if kind == "none":
            return Part(dyn.NoPredictor)
        if kind == "learned":
            return Part(dyn.Learned, (self.draw.choice([0.3, 1.0, 3.0]), self.draw.choice([0.1, 1.0])))
        options: dict[str, Any] = {"alpha": self.draw.choice([0.5, 1.0, 2.0])}
        for name, probability, value in (
            ("epsilon", 0.2, self.draw.choice([0.0, 0.1])),
            ("normalize", 0.1, True),
            ("tracking", 0.1, 0.9),
        ):
            if self.chance(probability) and name not in without:
                options[name] = value
        return Part(dyn.ClosedForm, options=options)

    def hostile(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options with another value for one of them, or for one option of a component."""
        options = dict(options)
        name = self.draw.choice([*options, "noise", "weight_decay", "inputs", "gain", "target", "isotropic"])
        part, another = options.get(name), self.model()
        if name in another and self.chance(0.3):  # suitable, but perhaps not together with the other options
            options[name] = another[name]
        elif isinstance(part, Part) and part.options:
            changed = part.options | {self.draw.choice(list(part.options)): self.unsuitable()}
            options[name] = Part(part.kind, part.arguments, changed)
        elif isinstance(part, Part) and part.arguments:
            options[name] = Part(part.kind, (self.unsuitable(), *part.arguments[1:]))
        elif name == "noise":
            options[name] = self.draw.choice([(self.unsuitable(), 0.1), (0.1, self.unsuitable()), self.unsuitable()])
        else:
            options[name] = self.unsuitable()
        return options

    # --- values

    def weighted(self, weights: dict[str, float]) -> str:
        """One of the names, by weight."""
        return self.draw.choices(list(weights), list(weights.values()))[0]

    def unsuitable(self) -> Any:
        return self.draw.choice(UNSUITABLE)

    def some(self, **options: Any) -> dict[str, Any]:
        """Each of the options with a chance of one in six."""
        return {name: value for name, value in options.items() if self.chance(1 / 6)}

    def eigenvalues(self) -> list[float]:
        return [round(self.draw.uniform(0.02, 2.0), 3) for _ in range(self.draw.randint(1, 4))]

    def extremes(self) -> list[float]:
        return [self.draw.choice(MAGNITUDES) for _ in range(self.draw.randint(1, 4))]

    def start(self, model: dict[str, Any]) -> Any:
        return [[0.5, 0.1], [0.0, 0.8]] if "inputs" in model else self.eigenvalues()

    def times(self) -> list[float]:
        return self.draw.choice([[0.0], [1.0], [0.0, 1.0, 5.0], [0.0, 0.1, 10.0]])

    # --- calls: each function draws a valid one

    def solve(self, name: str = "solve") -> Call:
        model = self.model(*NOT_IN.get(name, ()))
        optional = {"rtol": 1e-5, "atol": 1e-9, "progress": False}
        if "inputs" not in model:
            optional |= {"until": "steady", "method": self.draw.choices(["scipy", "jax", "heyoka"], [60, 1, 1])[0]}
        if model["loss"] == "cosine":
            optional["closure"] = "mean_field"
        arguments = {"s0": self.start(model), "times": self.times()} | eta_of(model)
        return Call(name, arguments | self.some(**optional), model)

    def iterate(self) -> Call:
        model = self.model()
        arguments = {"s0": self.start(model), "steps": self.draw.choice([0, 1, 5]), "learning_rate": 0.1}
        if self.chance(0.015):
            arguments |= {"batch_size": 100} | ({} if "inputs" in model else {"input_dimension": 8})
        optional = {"record": 2, "rtol": 1e-5, "method": "numpy"}
        if model["loss"] == "cosine":
            optional["closure"] = "mean_field"
        return Call("iterate", arguments | self.some(**optional), model)

    def train(self) -> Call:
        model = self.model()
        arguments = {"W0": [[0.5, 0.1], [0.0, 0.8]], "steps": 2, "learning_rate": 0.1, "batch_size": 10}
        optional = {"seed": 3, "record": 2, "units": "relu", "dtype": "float64", "probes": [[1.0, 2.0]]}
        if model["predictor"].kind is dyn.Learned:
            optional["W_P0"] = [[1.0, 0.0], [0.0, 1.0]]
        return Call("train", arguments | self.some(**optional), model)

    def prepare(self) -> Call:
        call = self.solve("prepare")
        method = {} if self.chance(0.03) else {"method": "scipy"}  # the default compiles for seconds
        return Call("prepare", {"modes": len(call.arguments["s0"])} | method | call.arguments, call.model)

    def equilibria(self, name: str = "equilibria") -> Call:
        model = self.model(*ANALYSED)
        return Call(name, {"s0": self.eigenvalues()[:2]} | (eta_of(model) if name != "collapse" else {}), model)

    def collapse(self) -> Call:
        return self.equilibria("collapse")

    def bifurcation(self) -> Call:
        call = self.equilibria("bifurcation")
        model, arguments = call.model or {}, call.arguments
        if model["loss"] == "euclidean":  # modes are independent
            del arguments["s0"]
        closed = model["predictor"].kind is dyn.ClosedForm
        parameter = self.draw.choice(["weight_decay", "sigma2", *["alpha"] * closed])
        return Call("bifurcation", {"parameter": parameter, "between": (0.05, 0.4), "points": 3} | arguments, model)

    def phase_diagram(self) -> Call:
        model = self.model(*NOT_IN["phase_diagram"])
        axes = ("weight_decay", (0.0, 0.4)), ("sigma2", (0.0, 0.5))
        arguments = {"s0": self.eigenvalues()[:2], "x": axes[0], "y": axes[1], "points": 2, "steps": 20}
        return Call("phase_diagram", arguments | {"learning_rate": 0.1} | self.some(rtol=1e-4), model)

    def convergence_time(self) -> Call:
        model = self.model(*WHITE)
        arguments = {"s0": self.eigenvalues(), "level": self.draw.choice([0.2, 0.6])} | eta_of(model)
        return Call("convergence_time", arguments | self.some(within=50.0, rtol=1e-5), model)

    def effective_rates(self) -> Call:
        return Call("effective_rates", {"s": self.eigenvalues()}, self.model(*NOT_IN["effective_rates"]))

    def check(self) -> Call:
        model = self.model(*NOT_IN["check"]) | {"loss": "euclidean"}  # a check of a cosine loss takes long
        return Call("check", {"s0": [0.4], "progress": False}, model)

    def compare(self) -> Call:
        arguments = {"s0": self.eigenvalues()[:2], "steps": 2, "learning_rate": 0.1}
        return Call("compare", arguments, self.model(*NOT_IN["compare"]))

    def replace(self) -> Call:
        model = self.model()
        names = {dyn.ClosedForm: "alpha", dyn.Learned: "rate"}
        parameters = ["weight_decay", "sigma2", names.get(model["predictor"].kind, "sigma1")]
        return Call("replace", {self.draw.choice(parameters): 0.3}, model)

    def invariants(self) -> Call:
        return Call("invariants", {}, self.model())

    def export(self) -> Call:
        return Call("export", {}, self.model())

    def sweep(self) -> Call:
        call = self.draw.choice([self.solve, self.iterate])()
        arguments = {name: value for name, value in call.arguments.items() if name not in ("progress", "until")}
        grid = {self.draw.choice(["weight_decay", "sigma2"]): [0.0, 0.3]}
        if call.name == "iterate" and self.chance(0.3):
            grid["learning_rate"] = [arguments.pop("learning_rate"), 0.2]
        options = self.some(chunk=1, keep=["s"], progress=False)
        return Call("sweep", {"grid": grid, "store": "a.zarr"} | options | arguments, call.model)

    def plot(self) -> Call:
        kind = self.draw.choice(["solve", "iterate", "equilibria", "collapse", "bifurcation", "phase_diagram"])
        call: Call = getattr(self, kind)()
        options: dict[str, Any] = {}
        if kind in ("solve", "iterate"):
            options = {"quantity": self.draw.choice(["s", "predictor", "target"]), "lines": self.draw.choice([None, 3])}
        return Call("plot", self.some(ax=None, **options), result_of=call)

    def save(self) -> Call:
        call: Call = getattr(self, self.weighted({"solve": 6, "iterate": 4, "train": 0.2}))()
        return Call("save", {"path": "a.npz"}, result_of=call)

    def other(self) -> Call:
        """A function without a model, or a design."""
        name = self.draw.choice(list(OTHERS))
        return Call(name, dict(OTHERS[name]))


def eta_of(model: dict[str, Any]) -> dict[str, float]:
    """The learning rate as an argument, if the flow of the model depends on it."""
    predictor = model["predictor"].options or {}
    return {"learning_rate": 0.1} if "target" in model or "tracking" in predictor else {}


# --- functions without a model, and design targets, each with the default model of ``design``

OTHERS: dict[str, dict[str, Any]] = {
    "gaussian_images": {"side": 4, "exponent": 1.0, "train": 10, "test": 5, "seed": 0},
    "digits": {"test": 360, "seed": 0},
    "load": {"path": "missing.npz"},
    "plot_sweep": {"x": "weight_decay", "y": "sigma2", "quantity": "s", "lines": None},
    "cifar10": {"folder": "missing"},
    "Loss": {"text": "|p - sg(z2)|^2", "parameters": {}},
    "Gain": {"text": "lambda", "parameters": {}},
    "MLP": {"widths": (8,)},
    "ConvNet": {"channels": (4,)},
    "Augmentation": {"shift": 1.0, "rotation": 15.0, "scale": 0.1, "contrast": 0.3, "flip": False},
    "FastestUniform": {"learning_rate": 0.1},
    "RateFunction": {"text": "lambda^2 * (1 - lambda/rest)"},
    "SimultaneousArrival": {"time": 4.0, "level": 0.9, "spread": 0.1},
    "ThresholdRecruitment": {"threshold": 0.1, "speed": 1.0, "sharpness": 4},
    "ArrivalTimes": {"text": "-3 * log(lambda)", "level": 0.9},
}
assert set(OTHERS) >= DESIGNS
WEIGHTS = {  # of the methods of ``Draws``, in percent
    "solve": 22,
    "iterate": 15,
    "sweep": 3,
    "plot": 3,
    "save": 5,
    "train": 0.25,
    "prepare": 4,
    "equilibria": 5,
    "collapse": 4,
    "bifurcation": 2,
    "phase_diagram": 2,
    "convergence_time": 2,
    "effective_rates": 5,
    "check": 0.1,
    "compare": 0.1,
    "replace": 5,
    "invariants": 2,
    "export": 0.5,
    "other": 10,
}


def call_of(seed: int) -> Call:
    """A call of a public function; nearly half of them have one value replaced, mostly by an unsuitable one."""
    draws = Draws(seed)
    call = getattr(draws, draws.weighted(WEIGHTS))()
    if draws.chance(0.55):
        return call
    part = call
    if call.result_of is not None and (not call.arguments or draws.chance(0.5)):
        part = call.result_of
    if part.model is not None and (not part.arguments or draws.chance(0.4)):
        part.model = draws.hostile(part.model)
    elif part.arguments:
        part.arguments[draws.draw.choice(list(part.arguments))] = draws.unsuitable()
    return call


def extreme_of(seed: int) -> Call:
    """A call with numbers anywhere in the range of float64."""
    draws = Draws(f"extreme {seed}")
    draw = draws.draw
    others = ["convergence_time", "effective_rates", "equilibria", "collapse", "phase_diagram"]
    name = draw.choice(["solve"] * 3 + ["iterate"] * 3 + others)
    model = draws.model(*NOT_IN.get(name, WHITE))
    predictor = model["predictor"]
    if predictor.options and draws.chance(0.5):
        model["predictor"] = Part(
            dyn.ClosedForm, options=predictor.options | {"alpha": draw.choice([1e-8, 0.01, 30.0, 100.0, 1e300])}
        )
    if draws.chance(0.3):
        model["weight_decay"] = draw.choice([1e-300, 1e-12, 10.0, 1e12, 1e300])
    if draws.chance(0.2):
        model["noise"] = (draw.choice([0.0, 1e-200, 1e6, 1e150]), draw.choice([0.0, 1e-9, 1e9]))
    s0, rtol = draws.extremes(), draw.choice([1e-13, 1e-8, 1e-3, 0.5])
    eta = draw.choice([1e-300, 1e-9, 0.1, 1e9, 1e300])
    arguments: dict[str, dict[str, Any]] = {
        "solve": {"s0": s0, "times": [0.0, draw.choice([5e-324, 1e-12, 1.0, 1e6, 1e12])], "rtol": rtol},
        "iterate": {"s0": s0, "steps": 4, "learning_rate": eta, "rtol": rtol},
        "convergence_time": {"s0": s0, "level": draw.choice(MAGNITUDES[1:]), "rtol": rtol},
        "effective_rates": {"s": s0},
        "equilibria": {"s0": s0[:2]},
        "collapse": {"s0": s0[:3]},
        "phase_diagram": {
            "s0": s0[:3],
            "x": ("weight_decay", sorted(draw.sample(sorted(set(MAGNITUDES)), 2))),
            "y": ("sigma2", (0.0, 0.5)),
            "learning_rate": eta,
            "points": 2,
            "steps": 100,
        },
    }
    if name not in ("iterate", "effective_rates", "collapse", "phase_diagram") and eta_of(model):
        arguments[name]["learning_rate"] = eta
    return Call(name, arguments[name], model)
