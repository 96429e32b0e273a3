"""Define the commands that write texts and figures: ``derive``, ``export`` and ``figures``."""

import sys
from pathlib import Path
from typing import Any

import click

from dynamics.cli.exits import Exit, Failure
from dynamics.cli.group import main
from dynamics.cli.options import CLOSURE, model_options
from dynamics.cli.output import deliver, text_file
from dynamics.cli.parsing import model_of, refuse_given
from dynamics.errors import require_extra

DOCUMENTS = ("markdown", "latex", "html")  # formats of a document with all steps of a derivation


@main.command(params=model_options(symbolic=True))
@CLOSURE
@click.option(
    "--correlated", is_flag=True, help="Print equations for inputs of any covariance, with matrices instead of modes."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "equations", *DOCUMENTS]),
    default="text",
    show_default=True,
    help="text or equations (LaTeX) for the results; markdown, latex or html for a document with all steps.",
)
@text_file(".txt", ".tex", ".md", ".html")
def derive(closure: str | None, form: str, out: str | None, correlated: bool, **others: Any) -> None:
    """Print the derivation for a loss: gradients, rates, flow of the eigenvalues, and the exact solution if known.

    \b
    Documents (formats markdown, latex and html) require a closed-form predictor or no predictor, a shared target and
    white inputs. They show the derivation with both closures, the exact Gaussian closure and the mean field:
      ssl-dynamics derive --loss cosine --isotropic --format html --out cosine.html
    """
    from dynamics.vector_field.base import choose_closure
    from dynamics.vector_field.factory import vector_field_of

    model = model_of(others | {"input_variances": [1.0] if correlated else None})
    closure = choose_closure(model, closure)
    vector_field_of(model, closure)  # raises ArgumentError for a closure that does not apply
    if form in DOCUMENTS:
        from derivations.report.documents import document

        refuse_given(f"--format {form}", "closure", "ema", "learned", "correlated")
        if form == "html":
            require_extra("report", "latex2mathml")
        deliver(document(model.derivation_of_rates, form), out)
    else:
        deliver(_equations(model, closure, form == "equations"), out)


def _equations(model: Any, closure: str, latex: bool) -> str:
    """Return the equations that were derived for a model, as plain text or, if ``latex`` is True, in LaTeX."""
    from derivations.report import summary

    if model.by_weights:
        learned = model.structure.predictor == "learned"
        lines = summary.correlated(model.derivation_of_rates, learned)
    else:
        closure, structure = "gaussian" if closure == "monte_carlo" else closure, model.structure
        learned = structure.predictor == "learned"
        from dynamics.model.components import Reconstruction

        constant = isinstance(model.target, Reconstruction)
        lines = summary.derivation(model.derivation_of_rates, closure, structure.separate_target, learned, constant)
    return summary.as_latex(lines) if latex else summary.as_text(lines)


@main.command(params=model_options())
@click.option(
    "--library",
    type=click.Choice(["torch", "jax"]),
    default="torch",
    show_default=True,
    help="Library that the module uses.",
)
@text_file(".py")
def export(library: str, out: str | None, **others: Any) -> None:
    """Write a loss and its predictor as a module for a training loop in PyTorch or JAX.

    \b
    The module does not depend on this package. In Python, Model.to_torch and Model.to_jax return the same text.
      ssl-dynamics export --loss cosine --isotropic --alpha 0.5 --library torch --out isotropic_cosine.py
    """
    model = model_of(others)
    deliver(model.to_torch() if library == "torch" else model.to_jax(), out, whole_lines=True)


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def figures(arguments: tuple[str, ...]) -> None:
    """Draw figures: `ssl-dynamics figures NAME [--panel PANEL] [--out DIR] [--full]`; without NAME, list all.

    The figures are part of the repository, not of the installed package.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "figures" / "__main__.py").is_file():
        message = "The figures are not part of the installed package. Run this command in a checkout of the repository."
        raise Failure(message, Exit.NOT_INSTALLED)
    sys.path.insert(0, str(checkout))
    from figures.__main__ import main as draw

    draw(list(arguments), prog_name="ssl-dynamics figures", standalone_mode=False)
