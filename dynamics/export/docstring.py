"""Write the docstring of an exported module, which shows its loss, its predictor and an example of a training step."""

import textwrap

from derivations.printers import training_loop
from dynamics import __version__
from dynamics.export.functions import TORCH, Export, filled

PAPER = (
    "M. S. Halvagal, A. Laborieux, F. Zenke: Implicit variance regularization in non-contrastive SSL, NeurIPS 2023, "
    "arXiv:2212.04858."
)


def docstring(export: Export) -> str:
    """Return the docstring of an exported module.

    The docstring describes the loss and the predictor, shows an example of a training step, and names the model from
    which the module was written.
    """
    step = _step_torch(export) if export.library is TORCH else _step_jax(export)
    paragraphs = [
        f"{_title(export)}, for a training loop in {export.library.name}.",
        filled(f"L = {training_loop.spelled(export.one_way)}", "    "),
        filled(_symbols(export)),
        filled(_about_predictor(export)),
        *map(filled, _notes(export)),
        "A step of training:",
        textwrap.indent("\n".join(step), "    "),
        filled(f"The theory: {PAPER}"),
        filled(f"Written by ssl-dynamics {__version__} for"),
        filled(str(export.model), "    "),
    ]
    return '"""' + "\n\n".join(paragraphs) + '\n"""'


# --- in words -------------------------------------------------------------------------------------------------------


def _title(export: Export) -> str:
    model = export.model
    if isinstance(model.loss, str):
        return model.derivation.title
    return "A user-defined loss" + (", symmetrised" if model.symmetrised else "")


def _symbols(export: Export) -> str:
    model = export.model
    p = "p = z1" if model.structure.predictor == "none" else "p = W_P z1 (`p`)"
    words = [
        f"{p} predicts z2 from z1. z1 is the representation of one view of a sample (`z`), z2 the representation "
        "of the other view by the target branch (`target`), and sg stops the gradient."
    ]
    if model.gain is not None:
        words.append(f"h is a function of W_P: the function {model.gain.text} of the eigenvalues lambda of W_P.")
    words.append(f"Representations are {export.library.arrays} (batch, M); `loss` is the mean of L over the batch.")
    return " ".join(words)


def _about_predictor(export: Export) -> str:
    kind = export.model.structure.predictor
    if kind == "none":
        return "There is no predictor."
    if kind == "learned":
        rate = export.values["rate"]
        relative = "" if rate == 1 else f", at {rate:g} times the learning rate of the encoder"
        layer = f"The predictor is a linear layer W_P without bias, trained with the encoder{relative}"
        deeper = "; `loss` also takes the output p of a deeper predictor, as in BYOL and SimSiam"
        return f"{layer}{'' if export.takes_W_P else deeper}."
    average = ", averaged over steps by `tracked`" if export.model.structure.tracked else ""
    return (
        f"The predictor is not trained. {export.closed_formula} is computed from the correlation of the "
        f"representations, C = E[z z^T]{average}, and gets no gradient."
    )


def _notes(export: Export) -> list[str]:
    """Return the sentences of the docstring on how to call ``loss``, where it fails, and what the module leaves out.

    The module leaves out the weight decay of the model and the noise on the views.
    """
    notes, model, values = [], export.model, export.values
    if model.symmetrised:
        notes.append("Symmetrised: call `loss` for both directions and take the mean, as below.")
    if export.lines.divides:
        notes.append("L divides by norms, without an added constant, and is not a number where a norm is zero.")
    if export.predicts and export.library is TORCH:
        notes.append("PyTorch cannot decompose matrices in half precision: call `loss` outside of autocast.")
    sigmas = values["sigma1"], values["sigma2"]
    beside = [f"weight decay {values['weight_decay']:g} (the optimiser)"] if values["weight_decay"] else []
    beside += [f"noise of sigma {sigmas[0]:g} and {sigmas[1]:g} on the views"] if any(sigmas) else []
    return notes + ([f"Not in this file: {', '.join(beside)}."] if beside else [])


# --- a step of training ---------------------------------------------------------------------------------------------


RECONSTRUCTED = "t1, t2 = x1, x2  # the targets are the views themselves"


def _step_torch(export: Export) -> list[str]:
    lines = ["z1, z2 = encoder(x1), encoder(x2)  # two views"]
    averaged = "decay" in export.values
    if averaged:
        lines += ["with torch.no_grad():", "    t1, t2 = average(x1), average(x2)"]
    elif export.model.structure.separate_target:
        lines.append(RECONSTRUCTED)
    lines += ["correlation = tracked(correlation, z1)"] if export.tracked else []
    lines += [f"value = {_value(export, 'predictor({})', 'predictor.weight')}"]
    lines += ["optimizer.zero_grad()", "value.backward()", "optimizer.step()"]
    if averaged:
        lines.append("with torch.no_grad():  # the target branch, an average of the encoder")
        lines.append("    for v, w in zip(average.parameters(), encoder.parameters()):")
        lines.append(f"        v.lerp_(w, 1 - {export.values['decay']!r})")
    return lines


def _step_jax(export: Export) -> list[str]:
    learned, averaged = export.model.structure.predictor == "learned", "decay" in export.values
    lines = ["correlation = tracked(correlation, encode(weights, x1))"] if export.tracked else []
    lines.append("def objective(weights, W_P):" if learned else "def objective(weights):")
    lines.append("    z1, z2 = encode(weights, x1), encode(weights, x2)  # two views")
    if averaged:
        lines.append("    t1, t2 = encode(average, x1), encode(average, x2)")
    elif export.model.structure.separate_target:
        lines.append(f"    {RECONSTRUCTED}")
    lines.append(f"    return {_value(export, '{} @ W_P.T', 'W_P')}")
    if learned:
        lines.append("value, (slope, slope_P) = jax.value_and_grad(objective, (0, 1))(weights, W_P)")
    else:
        lines.append("value, slope = jax.value_and_grad(objective)(weights)")
    lines.append("weights = jax.tree.map(lambda w, g: w - learning_rate * g, weights, slope)")
    if learned:
        times = "" if export.values["rate"] == 1 else f"{export.values['rate']!r} * "
        lines.append(f"W_P = W_P - {times}learning_rate * slope_P")
    if averaged:
        decay = export.values["decay"]
        lines.append(f"average = jax.tree.map(lambda v, w: v + (1 - {decay!r}) * (w - v), average, weights)")
    return lines


def _value(export: Export, prediction: str, W_P: str) -> str:
    """Return the code with which a training step calls the exported function ``loss``.

    prediction: code that applies a learned predictor to a representation, as a format string. The placeholder {} is
    replaced by the name of the representation. W_P: code that stands for the matrix of a learned predictor.
    """
    target = "t" if export.model.structure.separate_target else "z"
    kind = export.model.structure.predictor
    before = {"none": "", "learned": f"{prediction}, "}.get(kind, "None, ")
    after = f", {W_P}" if export.takes_W_P else ", correlation" if export.tracked else ""

    def call(view: int, other: int) -> str:
        return f"loss({before.format(f'z{view}')}z{view}, {target}{other}{after})"

    return f"({call(1, 2)} + {call(2, 1)}) / 2" if export.model.symmetrised else call(1, 2)
