"""A model's loss to take away: the text of a module for a training loop in JAX or PyTorch, which needs nothing of this.

What is mathematics in it (the loss, where its gradient stops, the closed-form predictor) is printed by
``derivations.portable``; here it gets functions around it, defaults, and an explanation. Neither library is imported.
"""

import textwrap
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import numpy as np

from derivations import portable
from derivations.array_code import Dialect
from dynamics import errors
from dynamics.model import EMA, ClosedForm, Learned, Model, NoPredictor

WIDTH = 88  # of prose
PAPER = (
    "M. S. Halvagal, A. Laborieux, F. Zenke: Implicit variance regularization in non-contrastive SSL, NeurIPS 2023, "
    "arXiv:2212.04858."
)
# What a written module calls things; a number of its loss cannot have these names.
RESERVED = frozenset(
    {"z", "target", "correlation", "current", "value", "C", "U"}
    | {"loss", "predictor", "spectrum", "applied", "batch_correlation", "tracked", "jax", "jnp", "torch"}
)


@dataclass(frozen=True)
class Library:
    """What differs between the libraries, beside the dialect of formulas."""

    name: str
    dialect: Dialect
    imports: dict[str, str]  # what is imported, by the name that it brings
    arrays: str  # what it calls arrays


JAX_NAMES = {"jnp": "import jax.numpy as jnp", "stop_gradient": "from jax.lax import stop_gradient"}
JAX = Library("JAX", portable.JAX, JAX_NAMES, "arrays")
TORCH = Library("PyTorch", portable.TORCH, {"torch": "import torch"}, "tensors")
LIBRARIES = {"jax": JAX, "torch": TORCH}


def source(model: Model, library: str) -> str:
    """The text of a module with the model's loss, in "jax" or "torch"; raises ArgumentError.

    It has ``loss`` and, for a closed-form predictor, ``predictor`` and what they are made of.
    """
    errors.choice("library", library, LIBRARIES)
    _check(model)
    text = Text(model, LIBRARIES[library])
    functions = [*text.closed_form(), text.loss()]
    return "\n\n\n".join(part.strip("\n") for part in (text.head(functions), *functions)) + "\n"


def _check(model: Model) -> None:
    """Refuses what a text cannot say."""
    for name in model.numbers:
        value = _number(model, name)
        if np.ndim(value) and name != "init":  # which is where the predictor of a training loop starts by itself
            errors.reject(name, "be a single number to be written into a text", value)
    for part in ("loss", "gain"):
        for number in getattr(getattr(model, part), "numbers", ()):
            if number in RESERVED:
                must = "have numbers with names that a training loop leaves free"
                errors.reject(part, f"{must}: one other than `{number}`", getattr(model, part))


def _number(model: Model, name: str) -> Any:
    """A number of a model by its name in ``numbers``."""
    if name.startswith("sigma"):
        return model.noise[int(name[-1]) - 1]
    parts = (model, model.predictor, model.target)
    own = {**getattr(model.loss, "numbers", {}), **getattr(model.gain, "numbers", {})}
    return own[name] if name in own else next(getattr(part, name) for part in parts if hasattr(part, name))


class Text:
    """The parts of one module."""

    def __init__(self, model: Model, library: Library):
        self.model, self.library, self.xp = model, library, library.dialect.namespace
        self.one_way = replace(model, symmetrised=False).derivation
        self.closed = isinstance(model.predictor, ClosedForm)
        product = "applied({values}, U, {vector})" if self.closed else "{vector} @ W_P.T"
        self.lines = portable.loss_lines(self.one_way, library.dialect, product)
        self.predicts = self.closed and ("p" in self.lines.uses or bool(self.lines.products))
        self.numbers = {name: _number(model, name) for name in self.one_way.parameters}

    # --- the closed-form predictor

    def closed_form(self) -> list[str]:
        """Functions that build the predictor; none where the loss does not speak of a closed form."""
        if not self.predicts:
            return []
        parts = [self._batch_correlation(), self._spectrum(), self._predictor()]
        parts += [self._applied()] if self.lines.products else []
        return parts + ([self._tracked()] if self.model.structure.tracked else [])

    @property
    def _predictor_defaults(self) -> dict[str, float]:
        predictor = self.model.predictor
        return {"alpha": predictor.alpha, "epsilon": predictor.epsilon} if isinstance(predictor, ClosedForm) else {}

    def _batch_correlation(self) -> str:
        return f'''
def batch_correlation(z):
    """C = z^T z / batch (M, M) of representations z (batch, M), without gradient."""
    z = {self.library.dialect.stop_gradient.format("z")}
    return z.T @ z / len(z)
'''

    def _spectrum(self) -> str:
        normalize = self.model.structure.predictor == "normalized"
        of = "(s / max s + epsilon)^alpha" if normalize else "(s + epsilon)^alpha"
        return f'''
def spectrum(correlation, {_signature(self._predictor_defaults)}):
    """Eigenvalues lambda = {of} of W_P (M,), and eigenvectors U (M, M).

    correlation: C (M, M), symmetric, with eigenvalues s; no gradient flows back into it.
    """
    s, U = {self.xp}.linalg.eigh({self.library.dialect.stop_gradient.format("correlation")})
    s = {self.library.dialect.larger.format("s", 0)}  # what is below is rounding
    return {portable.predictor_formula(normalize, self.library.dialect)}, U
'''

    def _predictor(self) -> str:
        return f'''
def predictor(correlation, {_signature(self._predictor_defaults)}):
    """{self._closed_formula} (M, M), of a correlation C (M, M), without gradient.

    It is U diag(lambda) U^T, the same for any eigenvectors of equal eigenvalues.
    """
    lam, U = spectrum(correlation, alpha, epsilon)
    return (U * lam) @ U.T
'''

    def _applied(self) -> str:
        return '''
def applied(values, U, z):
    """U diag(values) U^T z, of each row of z (batch, M): a function of W_P, by its eigenvalues."""
    return ((z @ U) * values) @ U.T
'''

    def _tracked(self) -> str:
        return f'''
def tracked(correlation, z, decay={_number(self.model, "tracking")!r}):
    """The next C: decay C + (1 - decay) z^T z / batch. Start from that of a batch."""
    current = batch_correlation(z)
    return {portable.average_formula(self.library.dialect)}
'''

    @property
    def _closed_formula(self) -> str:
        normalized = self.model.structure.predictor == "normalized"
        return "W_P = (C / max s + epsilon)^alpha" if normalized else "W_P = (C + epsilon)^alpha"

    # --- the loss

    def loss(self) -> str:
        """The function ``loss``."""
        keywords = (self._predictor_defaults if self.predicts else {}) | self.numbers
        arguments = [*self._arguments(), *(["*", _signature(keywords)] if keywords else [])]
        body = [*self._tensors(), *self._predictions(), *self.lines.lines]
        code = "\n".join(f"    {line}" for line in [*body, f"return {self.xp}.mean(value)"])
        return f'''
def loss({", ".join(arguments)}):
    """Mean of L over the batch.

{self._explained()}
    """
{code}
'''

    def _arguments(self) -> list[str]:
        names = ["z", "target"] if isinstance(self.model.predictor, NoPredictor) else ["p", "z", "target"]
        names += ["correlation=None"] if self.predicts else []
        return names + (["W_P"] if self.lines.products and not self.closed else [])

    def _tensors(self) -> list[str]:
        """PyTorch takes exponentials and the like of tensors only; a tensor keeps its gradient."""
        inside = sorted(self.lines.inside_functions) if self.library is TORCH else []
        return [f"{name} = torch.as_tensor({name}, dtype=z.dtype, device=z.device)" for name in inside]

    def _predictions(self) -> list[str]:
        """What makes p, and whatever else W_P makes."""
        if not self.predicts:
            return list(self.lines.products)
        C = "C = batch_correlation(z) if correlation is None else correlation"
        if not self.lines.products:
            return ["if p is None:", f"    {C}", "    p = z @ predictor(C, alpha, epsilon)"]
        given = ["if p is None:", "    p = applied(lam, U, z)"] if "p" in self.lines.uses else []
        return [C, "lam, U = spectrum(C, alpha, epsilon)", *given, *self.lines.products]

    def _explained(self) -> str:
        """The arguments, one paragraph each."""
        rows = {"p": "prediction W_P z of `target` (batch, M)"}
        rows["p"] += "; None: by the closed form" if self.predicts else ""
        rows["z"] = "representation of one view, by the encoder (batch, M)"
        rows["target"] = f"representation of the other view, by the target branch (batch, M); {self._gradient()}"
        rows["correlation=None"] = "C (M, M), which W_P is built from; None: that of the batch"
        rows["W_P"] = "the predictor's matrix (M, M), which makes p, z @ W_P.T"
        rows["*"] = "alpha, epsilon: of W_P" if self.predicts else ""
        shown = []
        for name in [*self._arguments(), "*"]:
            used = {*self.lines.uses, *(["z"] if self.predicts else [])}
            unused = "; this loss does without" if name in ("p", "z", "target") and name not in used else ""
            label = "" if name == "*" else f"{name.partition('=')[0]}: "
            shown += [f"{label}{rows[name]}{unused}."] if rows[name] else []
        shown += [f"{', '.join(self.numbers)}: of the loss."] if self.numbers else []
        return "\n".join(_filled(row, "    ") for row in shown)

    def _gradient(self) -> str:
        if self.one_way.has_free_target:
            return "no gradient goes there"
        return "the gradient goes there, too: do not detach it"

    # --- the explanation

    def head(self, functions: list[str]) -> str:
        """Docstring, and imports of what the functions use."""
        code = "\n".join(functions)
        imports = "\n".join(
            line for name, line in self.library.imports.items() if f"{name}." in code or f"{name}(" in code
        )
        paragraphs = [
            f"{self._title()}, for a training loop in {self.library.name}.",
            _filled(f"L = {portable.spelled(self.one_way)}", "    "),
            _filled(self._symbols()),
            _filled(self._about_predictor()),
            *(_filled(note) for note in self._notes()),
            "A step of training:",
            textwrap.indent(self._example(), "    "),
            _filled(f"The theory: {PAPER}"),
            _filled(f"Written by ssl-dynamics {metadata.version('ssl-dynamics')} for"),
            _filled(str(self.model), "    "),
        ]
        return '"""' + "\n\n".join(paragraphs) + f'\n"""\n\n{imports}'

    def _title(self) -> str:
        if isinstance(self.model.loss, str):
            return self.model.derivation.title
        return "A loss of one's own" + (", symmetrised" if self.model.symmetrised else "")

    def _symbols(self) -> str:
        p = "p = z1" if isinstance(self.model.predictor, NoPredictor) else "p = W_P z1 (`p`)"
        words = [
            f"{p} predicts z2 from z1. z1 is the representation of one view of a sample (`z`), z2 that of the other "
            "view by the target branch (`target`), and sg stops the gradient."
        ]
        if self.model.gain is not None:
            words.append(f"h is a function of W_P: {self.model.gain.text}, of its eigenvalues lambda.")
        words.append(f"Representations are {self.library.arrays} (batch, M); `loss` is the mean of L over the batch.")
        return " ".join(words)

    def _about_predictor(self) -> str:
        if isinstance(self.model.predictor, NoPredictor):
            return "There is no predictor."
        if isinstance(self.model.predictor, Learned):
            rate = self.model.predictor.rate
            speed = "" if rate == 1 else f", at {rate:g} times the learning rate of the encoder"
            layer = f"The predictor is a linear layer W_P without bias, trained with the encoder{speed}"
            deeper = "" if self.lines.products else "; of a deeper one, as in BYOL and SimSiam, `loss` takes p, too"
            return f"{layer}{deeper}."
        given = "the exponential average that `tracked` takes" if self.model.structure.tracked else "C = E[z z^T]"
        return (
            f"The predictor is not trained. It is the closed form {self._closed_formula} of the correlation of the "
            f"representations, {given}, and gets no gradient."
        )

    def _notes(self) -> list[str]:
        """What else one must know."""
        notes, model = [], self.model
        if model.symmetrised:
            notes.append("Symmetrised: call `loss` for both directions and take the mean, as below.")
        if self.lines.divides:
            notes.append("L divides by norms, to which nothing is added: it is not a number where one of them is zero.")
        if self.predicts and self.library is TORCH:
            notes.append("PyTorch decomposes no matrices of half precision: call `loss` outside of autocast.")
        beside = [f"weight decay {model.weight_decay:g} (the optimiser)"] if model.weight_decay else []
        beside += [f"noise of sigma {model.noise[0]:g} and {model.noise[1]:g} on the views"] if any(model.noise) else []
        return notes + ([f"Not in this file: {', '.join(beside)}."] if beside else [])

    def _example(self) -> str:
        return (self._example_torch if self.library is TORCH else self._example_jax)()

    def _calls(self) -> str:
        """The loss of the representations in the example."""
        tracked = self.predicts and self.model.structure.tracked
        extra = ", correlation" if tracked else ""
        if "W_P" in self._arguments():
            extra = ", predictor.weight" if self.library is TORCH else ", W_P"
        target = "t" if self.model.structure.own_target else "z"

        def call(view: int, other: int) -> str:
            return f"loss({self._given_prediction(view)}z{view}, {target}{other}{extra})"

        return f"({call(1, 2)} + {call(2, 1)}) / 2" if self.model.symmetrised else call(1, 2)

    def _given_prediction(self, view: int) -> str:
        """The first argument of ``loss`` in the example."""
        if isinstance(self.model.predictor, Learned):
            return f"predictor(z{view}), " if self.library is TORCH else f"z{view} @ W_P.T, "
        return "None, " if self.closed else ""

    def _example_torch(self) -> str:
        lines = ["z1, z2 = encoder(x1), encoder(x2)  # two views"]
        if self.model.structure.own_target:
            lines += ["with torch.no_grad():", "    t1, t2 = average(x1), average(x2)"]
        if self.predicts and self.model.structure.tracked:
            lines.append("correlation = tracked(correlation, z1)")
        lines += [f"value = {self._calls()}", "optimizer.zero_grad()", "value.backward()", "optimizer.step()"]
        if isinstance(self.model.target, EMA):
            lines.append("with torch.no_grad():  # the target branch, an average of the encoder")
            lines.append("    for v, w in zip(average.parameters(), encoder.parameters()):")
            lines.append(f"        v.lerp_(w, 1 - {self.model.target.decay!r})")
        return "\n".join(lines)

    def _example_jax(self) -> str:
        own_target, learned = self.model.structure.own_target, isinstance(self.model.predictor, Learned)
        lines = []
        if self.predicts and self.model.structure.tracked:
            lines.append("correlation = tracked(correlation, encode(weights, x1))")
        lines.append("def objective(weights, W_P):" if learned else "def objective(weights):")
        lines.append("    z1, z2 = encode(weights, x1), encode(weights, x2)  # two views")
        lines += ["    t1, t2 = encode(average, x1), encode(average, x2)"] if own_target else []
        lines.append(f"    return {self._calls()}")
        if learned:
            lines.append("value, (slope, slope_P) = jax.value_and_grad(objective, (0, 1))(weights, W_P)")
        else:
            lines.append("value, slope = jax.value_and_grad(objective)(weights)")
        lines.append("weights = jax.tree.map(lambda w, g: w - learning_rate * g, weights, slope)")
        if learned:
            lines.append(f"W_P = W_P - {_times(self.model.predictor)}learning_rate * slope_P")
        if isinstance(self.model.target, EMA):
            decay = self.model.target.decay
            lines.append(f"average = jax.tree.map(lambda v, w: v + (1 - {decay!r}) * (w - v), average, weights)")
        return "\n".join(lines)


def _times(predictor) -> str:
    return "" if predictor.rate == 1 else f"{predictor.rate!r} * "


def _signature(numbers: dict[str, float]) -> str:
    """Keyword arguments with their defaults."""
    return ", ".join(f"{name}={float(value)!r}" for name, value in numbers.items())


def _filled(text: str, indent: str = "") -> str:
    """Prose in lines; further lines of an argument are indented once more."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent * 2, break_long_words=False)
