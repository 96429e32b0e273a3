"""Define the subcommands of ``ssl-dynamics``; each of them calls a function of ``dynamics``.

Libraries are imported when a command runs, so that ``--help`` is quick.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from dynamics import __version__
from dynamics.cli.options import (
    CLOSURE,
    FILE,
    OUT,
    RTOL,
    S0,
    STEPS,
    WEIGHTS,
    Numbers,
    apply,
    method,
    model_options,
)
from dynamics.cli.output import PICTURES, deliver, report, writable
from dynamics.cli.parsing import model_of, refuse_given, start_of, weights_of
from dynamics.errors import ArgumentError, MissingExtraError, SweepError, require_extra

DOCUMENTS = ("markdown", "latex", "html")  # formats of a document with all steps of a derivation


class Commands(click.Group):
    """The group of subcommands; an error about an argument is printed as one line, without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (ArgumentError, SweepError, MissingExtraError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(_cannot_write(error)) from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command, and report an error if the output cannot be written.

        The output cannot be written, for example, if the disk is full. ``invoke`` reports this error for the output of
        a subcommand. This method reports it for the help and the version of ``ssl-dynamics``, which click prints before
        it calls ``invoke``.
        """
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            click.echo(f"Error: {_cannot_write(error)}", err=True)
            sys.exit(1)


def _cannot_write(error: OSError) -> str:
    """Return the text that reports an OSError to the user.

    An error that names no file means that the standard output cannot be written. In this case the standard output is
    redirected to the null device.
    """
    if error.errno is None or error.filename is not None:
        return str(error)
    with suppress(OSError, ValueError):  # otherwise Python would try to write the rest of the output when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"The output cannot be written: {error.strerror}."


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def main() -> None:
    """Compute eigenvalue dynamics of non-contrastive self-supervised learning, and check the theory with networks.

    The commands solve, iterate, train, compare, check and sweep each call the Python function of the same name. Time is
    the learning rate times the number of steps.

    \b
    Theory and network for the toy setting of Halvagal et al. (2023), and the deviation between them:
      ssl-dynamics iterate --loss cosine --noise 0 0.1 --steps 300 --learning-rate 0.1 --out theory.npz
      ssl-dynamics train   --loss cosine --noise 0 0.1 --steps 300 --learning-rate 0.1 --out network.npz
      ssl-dynamics compare theory.npz network.npz --out deviation.png

    \b
    Eigenvalues that multiply the learning rates of modes, and the isotropic loss, which removes this effect:
      ssl-dynamics solve --s0 0.01,0.1,0.5 --end-time 60 --out euclidean.png
      ssl-dynamics solve --s0 0.01,0.1,0.5 --end-time 60 --isotropic --out isotropic.png
      ssl-dynamics derive --isotropic --format equations
    """


@main.command()
@apply(model_options(), S0, WEIGHTS, CLOSURE, OUT)
@click.option(
    "--end-time",
    type=float,
    default=10.0,
    show_default=True,
    help="Last time, in units of learning rate times steps.",
)
@click.option(
    "--points",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of times, which are evenly spaced from 0; if 1, only the last time is computed.",
)
@click.option("--until", type=click.Choice(["steady"]), help="Stop when the flow has converged to a steady state.")
@click.option("--learning-rate", type=float, help="Learning rate eta; used only with --ema or --tracking.")
@apply(method("FLOW_METHODS"), RTOL)
@click.option("--atol", type=float, default=1e-14, show_default=True, help="Absolute tolerance of the eigenvalues.")
def solve(s0: list[float] | None, out: str | None, end_time: float, points: int, **others: Any) -> None:
    """Solve the gradient flow ds/dt = 2 s (r(s) - rho) of eigenvalues s, by an exact solution or an integrator.

    r(s) are the rates of the modes, and rho is the weight decay.
    """
    import dynamics as dyn
    from dynamics.numerics.ranges import evenly_spaced

    model, times = model_of(others), evenly_spaced(0.0, end_time, points) if points > 1 else [end_time]
    settings = {name: others[name] for name in ("closure", "learning_rate", "until", "method", "rtol", "atol")}
    report(dyn.solve(model, start_of(s0, model, others), times, **settings), out)


@main.command()
@apply(model_options(), S0, WEIGHTS, STEPS, CLOSURE, OUT)
@click.option(
    "--batch-size",
    type=int,
    help="Predict mean and standard deviation of the eigenvalues of networks with this batch size.",
)
@click.option(
    "--input-dimension",
    type=int,
    help="Number of inputs of networks trained with --batch-size; by default that of the random weights.",
)
@apply(method("DESCENT_METHODS"), RTOL)
def iterate(s0: list[float] | None, out: str | None, steps: int, learning_rate: float, **others: Any) -> None:
    """Iterate the descent map, which is exact gradient descent on the population loss, at any learning rate."""
    import dynamics as dyn

    model, of_batch = model_of(others), ("batch_size", "input_dimension")
    if others["batch_size"] is not None and others["input_dimension"] is None and s0 is None:
        others["input_dimension"] = weights_of(model, others).shape[-1]
    settings = {name: others[name] for name in ("closure", "record", "method", "rtol", *of_batch)}
    report(dyn.iterate(model, start_of(s0, model, others), steps, learning_rate, **settings), out)


@main.command()
@apply(model_options(), WEIGHTS, STEPS, OUT)
@click.option("--batch-size", type=int, default=10_000, show_default=True, help="Number of new samples in each step.")
@click.option(
    "--seed",
    type=int,
    multiple=True,
    default=(0,),
    show_default=True,
    help="Seed of the views; may be repeated to train several networks.",
)
@click.option("--units", default="linear", show_default=True, help="Activation: linear or relu.")
@click.option("--dtype", default="float32", show_default=True, help="Precision: float32 or float64.")
@click.option("--device", help="Device: cpu, gpu or tpu; by default JAX chooses.")
def train(out: str | None, steps: int, learning_rate: float, seed: tuple[int, ...], **others: Any) -> None:
    """Train a linear (or ReLU) Siamese network, with gradients by automatic differentiation."""
    import dynamics as dyn

    model, seeds = model_of(others), seed[0] if len(seed) == 1 else list(seed)
    settings = {name: others[name] for name in ("batch_size", "record", "units", "dtype", "device")}
    report(dyn.train(model, weights_of(model, others), steps, learning_rate, seed=seeds, **settings), out)


@main.command()
@apply(model_options())
@click.option(
    "--s0",
    type=Numbers(),
    help="Eigenvalues of the check, such as 0.1,0.5,1; by default four eigenvalues from 0.1 to 0.9.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of samples and network.")
@click.option(
    "--out", type=FILE, callback=writable(*PICTURES), help="Write a picture of network and theory (.png, .pdf, .svg)."
)
@click.pass_context
def check(context: click.Context, /, s0: list[float] | None, seed: int, out: str | None, **others: Any) -> None:
    """Check a model: compare gradient, rates, flow, descent map and network, each level with the next.

    \b
    The exit status is 1 if a level does not agree with the next:
      ssl-dynamics check --loss '-p . sg(z2) / |p| + beta * |z1|^2' --parameter beta=0.2
    """
    import dynamics as dyn

    result = dyn.check(model_of(others), s0, seed=seed)
    report(result, out)
    if not result.passed:
        context.exit(1)


@main.command()
@click.argument("theory", type=FILE)
@click.argument("network", type=FILE)
@click.option(
    "--out", type=FILE, callback=writable(*PICTURES), help="Write a picture of the deviations (.png, .pdf, .svg)."
)
def compare(theory: str, network: str, out: str | None) -> None:
    """Compare the eigenvalues of a trained NETWORK with THEORY (.npz files), in units of the sampling error."""
    import dynamics as dyn

    report(dyn.compare(dyn.load(theory), dyn.load(network)), out)


@main.command()
@click.argument("file", type=FILE)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Number of worker processes on this machine; by default the sweep runs in the process of this command.",
)
@click.option("--scheduler", help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.")
def sweep(file: str, workers: int | None, scheduler: str | None) -> None:
    """Run a model over a grid of parameters and seeds, which a TOML FILE describes, and write a Zarr store.

    \b
    The same command continues a sweep that was stopped or killed. An example of a file (docs/sweeps.md explains all
    keys):
      store = "sweep.zarr"
      model = { loss = "cosine", noise = [0.0, 0.1] }
      run = { s0 = [0.02, 0.2, 2.0], steps = 300, learning_rate = 0.1 }
      grid = { weight_decay = { from = 0.0, to = 0.1, points = 101 }, sigma2 = [0.1, 0.2] }
    """
    from dynamics.sweeps import toml_file

    if workers is not None:
        refuse_given("--workers", "scheduler")
    click.echo(str(toml_file.run(file, workers, scheduler)))


@main.command()
@apply(model_options(symbolic=True), CLOSURE)
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
@click.option("--out", type=FILE, callback=writable(".txt", ".tex", ".md", ".html"), help="Write the text into a file.")
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
        deliver(document(model.derivation, form), out)
    else:
        deliver(_equations(model, closure, form == "equations"), out)


def _equations(model: Any, closure: str, latex: bool) -> str:
    """Return the equations that were derived for a model, as plain text or, if ``latex`` is True, in LaTeX."""
    from derivations.report import summary

    if model.inputs is not None:
        lines = summary.correlated(model.derivation)
    else:
        closure, structure = "gaussian" if closure == "monte_carlo" else closure, model.structure
        learned = structure.predictor == "learned"
        lines = summary.derivation(model.derivation, closure, structure.separate_target, learned)
    return summary.as_latex(lines) if latex else summary.as_text(lines)


@main.command()
@apply(model_options())
@click.option(
    "--library",
    type=click.Choice(["torch", "jax"]),
    default="torch",
    show_default=True,
    help="Library that the module uses.",
)
@click.option("--out", type=FILE, callback=writable(".py"), help="Write the module into a file (.py).")
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
    """Draw figures: `ssl-dynamics figures NAME --out DIR [--full]`; without NAME, list all figures."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "figures" / "__main__.py").is_file():
        message = "The figures are not part of the installed package. Run this command in a checkout of the repository."
        raise click.ClickException(message)
    sys.path.insert(0, str(checkout))
    from figures.__main__ import main as draw

    draw(list(arguments), prog_name="ssl-dynamics figures", standalone_mode=False)
