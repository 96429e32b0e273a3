"""The command line: the functions of ``dynamics``, one subcommand each."""

import functools
from pathlib import Path

import click

from dynamics.errors import ArgumentError, SweepError
from dynamics.generated import catalogue

# Options of every command that describes a model or a start; imports wait until a command runs, so --help is quick.

LOSS_OPTIONS = [
    click.option(
        "--loss",
        default="euclidean",
        show_default=True,
        metavar="|".join((*catalogue.LOSSES, "SENTENCE")),
        help="Or one of your own, such as '|p - sg(z2)|^2 / 2'.",
    ),
    click.option("--isotropic", is_flag=True, help="The IsoLoss version: all modes learn at the same speed."),
    click.option(
        "--gain", help="h(lambda), which multiplies a mode's gradient in place of lambda, such as lambda^0.5."
    ),
    click.option("--number", multiple=True, metavar="NAME=VALUE", help="Of the sentence or the gain; may be repeated."),
    click.option("--stop-gradient", default="target", show_default=True, help="target, none, or online (wrong side)."),
    click.option("--no-predictor", is_flag=True, help="Compare the representations themselves."),
    click.option("--symmetrised", is_flag=True, help="Mean of the loss and the loss with the views swapped."),
]
CLOSED_FORM_OPTIONS = [
    click.option("--alpha", type=float, help="Predictor W_P = C^alpha: 1 DirectCopy (default), 0.5 DirectPred."),
    click.option("--epsilon", type=float, help="Predictor W_P = (C + epsilon)^alpha; default 0."),
    click.option("--normalize", is_flag=True, help="Divide C by its largest eigenvalue in the predictor."),
    click.option("--tracking", type=float, help="Decay per step of the average of C in the predictor; default 0."),
]
EMA_OPTION = click.option(
    "--ema", type=float, help="Target of its own weights: decay per step of the average of the encoder."
)
NUMBER_OPTIONS = [
    *CLOSED_FORM_OPTIONS,
    click.option("--learned", type=float, help="Train the predictor, at so many times the encoder's learning rate."),
    click.option("--init", help="Initial eigenvalues of a learned predictor, one or one a mode; default 1."),
    EMA_OPTION,
    click.option("--noise", nargs=2, type=float, default=(0.0, 0.0), show_default=True, help="sigma of views 1 and 2."),
    click.option("--weight-decay", type=float, default=0.0, show_default=True, help="rho in dW/dt = -dL/dW - rho W."),
    click.option("--input-variances", help="Variances of the N inputs, e.g. 1,0.3,0.01; default: white inputs."),
]
MODEL_OPTIONS = LOSS_OPTIONS + NUMBER_OPTIONS
START_OPTIONS = [
    click.option("--modes", type=int, default=10, show_default=True, help="M, of random initial weights."),
    click.option("--inputs", type=int, default=15, show_default=True, help="N, of random initial weights."),
    click.option("--init-std", type=float, default=0.25, show_default=True, help="Spread of initial weights."),
    click.option("--init-seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of initial weights."),
]
S0_OPTION = click.option("--s0", default=None, help="Initial eigenvalues, e.g. 0.02,0.2,2, in place of random weights.")
CLOSURE_OPTION = click.option(
    "--closure", default=None, help="gaussian (exact; the default where there is one), mean_field, or monte_carlo."
)
FILE = click.Path(dir_okay=False)
PICTURES = (".png", ".pdf", ".svg")
DOCUMENTS = ("markdown", "latex", "html")  # of derivations


def writable(*suffixes: str):
    """A check of --out before any work: known suffix, existing folder."""

    def check(context, parameter, out):
        if out is not None and Path(out).suffix.lower() not in suffixes:
            raise click.UsageError(f"--out must end in one of {', '.join(suffixes)}, but is {out!r}.")
        if out is not None and not Path(out).parent.is_dir():
            raise click.UsageError(f"--out must lie in an existing folder, but is {out!r}.")
        return out

    return check


OUT_OPTION = click.option(
    "--out",
    type=FILE,
    callback=writable(".npz", ".csv", *PICTURES),
    help="Write .npz, .csv, or a picture (.png, .pdf, .svg).",
)


def options(*groups):
    """One decorator from several lists of options."""
    flat = [option for group in groups for option in (group if isinstance(group, list) else [group])]
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(flat), command)


class Commands(click.Group):
    """Turns errors about arguments into one clear line."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (ArgumentError, SweepError, FileNotFoundError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ssl-dynamics")
def main():
    """Eigenvalue dynamics of non-contrastive self-supervised learning: theory, and a network that checks it.

    solve, iterate, train, compare and sweep are the Python functions of the same names. Time is learning rate times
    steps.

    \b
    Theory and network for the paper's toy setting, and how far apart they are:
      ssl-dynamics iterate --loss cosine --noise 0 0.1 --steps 300 --learning-rate 0.1 --out theory.npz
      ssl-dynamics train   --loss cosine --noise 0 0.1 --steps 300 --learning-rate 0.1 --out network.npz
      ssl-dynamics compare theory.npz network.npz --out deviation.png

    \b
    Why eigenvalues act as learning-rate multipliers, and what the isotropic loss does about it:
      ssl-dynamics solve --s0 0.01,0.1,0.5 --until 60 --out euclidean.png
      ssl-dynamics solve --s0 0.01,0.1,0.5 --until 60 --isotropic --out isotropic.png
      ssl-dynamics derive --isotropic --format equations
    """


@main.command()
@options(MODEL_OPTIONS, S0_OPTION, START_OPTIONS, CLOSURE_OPTION, OUT_OPTION)
@click.option("--until", type=float, default=10.0, show_default=True, help="Last time.")
@click.option(
    "--points",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of times, evenly spaced from 0; 1: the last.",
)
@click.option("--learning-rate", type=float, help="eta, only where something decays per step (--ema, --tracking).")
@click.option("--method", default="auto", show_default=True, help="auto, exact, scipy or jax.")
@click.option("--rtol", type=float, default=1e-8, show_default=True, help="Relative tolerance.")
@click.option("--atol", type=float, default=1e-14, show_default=True, help="Absolute tolerance.")
def solve(s0, closure, out, until, points, **others):
    """Gradient flow: ds/dt = 2 s (r(s) - rho), by formula where there is one, else by an integrator."""
    import numpy as np

    import dynamics as dyn

    times = np.linspace(0.0, until, points) if points > 1 else np.array([until])
    how = {name: others.pop(name) for name in ("learning_rate", "method", "rtol", "atol")}
    report(dyn.solve(_model(others), _start(s0, others), times, closure=closure, **how), out)


@main.command()
@options(MODEL_OPTIONS, S0_OPTION, START_OPTIONS, CLOSURE_OPTION, OUT_OPTION)
@click.option("--steps", type=int, default=1500, show_default=True, help="Steps of gradient descent.")
@click.option("--learning-rate", type=float, default=0.01, show_default=True, help="eta.")
@click.option("--record", type=int, default=1, show_default=True, help="Record each so many steps.")
@click.option("--batch-size", type=int, help="Predict how networks with such batches fluctuate.")
def iterate(s0, out, steps, learning_rate, **others):
    """Descent map: gradient descent on the population loss, exact at any learning rate."""
    import dynamics as dyn

    how = {name: others.pop(name) for name in ("closure", "record", "batch_size")}
    report(dyn.iterate(_model(others), _start(s0, others), steps, learning_rate, **how), out)


@main.command()
@options(MODEL_OPTIONS, START_OPTIONS, OUT_OPTION)
@click.option("--steps", type=int, default=1500, show_default=True, help="Steps of gradient descent.")
@click.option("--learning-rate", type=float, default=0.01, show_default=True, help="eta.")
@click.option("--batch-size", type=int, default=10_000, show_default=True, help="Fresh samples a step.")
@click.option("--seed", type=int, multiple=True, default=(0,), show_default=True, help="Of the views; may be repeated.")
@click.option("--record", type=int, default=1, show_default=True, help="Record each so many steps.")
@click.option("--units", default="linear", show_default=True, help="linear or relu.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--device", default=None, help="cpu, gpu or tpu; JAX chooses if not given.")
def train(out, steps, learning_rate, seed, **others):
    """Network: a linear (or ReLU) Siamese network, really trained, its gradient by automatic differentiation."""
    import dynamics as dyn

    network = {name: others.pop(name) for name in ("batch_size", "record", "units", "dtype", "device")}
    seeds = seed[0] if len(seed) == 1 else list(seed)
    report(dyn.train(_model(others), _weights(others), steps, learning_rate, seed=seeds, **network), out)


@main.command()
@options(MODEL_OPTIONS)
@click.option("--s0", help="Eigenvalues at which it is checked, e.g. 0.1,0.5,1; default: four, from 0.1 to 0.9.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of samples and network.")
@click.option("--out", type=FILE, callback=writable(*PICTURES), help="A picture of network and theory.")
@click.pass_context
def check(context, s0, seed, out, **others):
    """The whole ladder for one model: gradient, rates, flow, descent map and network, each against the next.

    \b
    Exits with 1 where a rung does not hold:
      ssl-dynamics check --loss '-p . sg(z2) / |p| + beta * |z1|^2' --number beta=0.2
    """
    import dynamics as dyn

    found = dyn.check(_model(others), None if s0 is None else _numbers("--s0", s0), seed=seed)
    report(found, out)
    if not found.passed:
        context.exit(1)


@main.command()
@click.argument("theory", type=FILE)
@click.argument("network", type=FILE)
@click.option("--out", type=FILE, callback=writable(*PICTURES), help="A picture of the deviations (.png, .pdf, .svg).")
def compare(theory, network, out):
    """Deviation of a trained NETWORK from THEORY (.npz files), per mode, in units of the sampling error."""
    import dynamics as dyn

    report(dyn.compare(dyn.load(theory), dyn.load(network)), out)


@main.command()
@click.argument("file", type=FILE)
@click.option("--workers", type=click.IntRange(1), help="Processes of this machine to compute in; default: one, this.")
@click.option("--scheduler", help="Address of a Dask scheduler to compute on, such as tcp://10.0.0.1:8786.")
def sweep(file, workers, scheduler):
    """Runs over a grid of parameters and seeds, as a TOML FILE describes them, into a Zarr store.

    \b
    The same command goes on with a sweep that was stopped or killed. A file, all of whose keys docs/sweeps.md explains:
      store = "sweep.zarr"
      model = { loss = "cosine", noise = [0.0, 0.1] }
      run = { s0 = [0.02, 0.2, 2.0], steps = 300, learning_rate = 0.1 }
      grid = { weight_decay = { from = 0.0, to = 0.1, points = 101 }, sigma2 = [0.1, 0.2] }
    """
    from dynamics.sweeps import toml_file as sweep_file

    if workers is not None:
        _refuse_given("--workers", "scheduler")
    click.echo(str(sweep_file.run(file, workers, scheduler)))


@main.command()
@options(LOSS_OPTIONS, CLOSURE_OPTION)
@click.option("--ema", "separate_target", is_flag=True, help="A target branch with weights of its own.")
@click.option("--learned", is_flag=True, help="A learned predictor.")
@click.option("--correlated", is_flag=True, help="Inputs of any covariance: matrices in place of modes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "equations", *DOCUMENTS]),
    default="text",
    show_default=True,
    help="text, or equations in LaTeX: what was derived; the others: a document, step by step, each step checked.",
)
@click.option("--out", type=FILE, callback=writable(".txt", ".tex", ".md", ".html"), help="Write it into a file.")
def derive(closure, form, out, separate_target, learned, correlated, **others):
    """Print what follows from a loss: per-sample dynamics, rates, eigenvalue ODE, and the exact solution if any.

    \b
    Documents are of a closed-form predictor or none, a shared target and white inputs, and show both closures:
      ssl-dynamics derive --loss cosine --isotropic --format html --out cosine.html
    """
    from derivations.report import summary
    from dynamics.vector_field.base import choose_closure
    from dynamics.vector_field.factory import vector_field_of

    numbers = {"noise": (0.0, 0.0), "weight_decay": 0.0, "learned": 1.0 if learned else None}
    any_covariance = {"input_variances": "1" if correlated else None}
    model = _model(others | numbers | any_covariance | {"ema": 0.5 if separate_target else None})
    closure = choose_closure(model, closure)
    vector_field_of(model, closure)  # refuses what does not apply
    setting = model.derivation
    if form in DOCUMENTS:
        from derivations.report.documents import document

        _refuse_given(f"--format {form}", "closure", "separate_target", "learned", "correlated")
        text = document(setting, form)
    else:
        closure = "gaussian" if closure == "monte_carlo" else closure
        lines = (
            summary.correlated(setting)
            if correlated
            else summary.derivation(setting, closure, separate_target, learned)
        )
        text = summary.as_latex(lines) if form == "equations" else summary.as_text(lines)
    _deliver(text, out)


@main.command()
@options(LOSS_OPTIONS, CLOSED_FORM_OPTIONS, EMA_OPTION)
@click.option("--learned", is_flag=True, help="A learned predictor.")
@click.option(
    "--library", type=click.Choice(["torch", "jax"]), default="torch", show_default=True, help="What it is for."
)
@click.option("--out", type=FILE, callback=writable(".py"), help="Write it into a file.")
def export(library, out, learned, **others):
    """Write a loss, and the predictor it needs, as a module to put into a training loop in PyTorch or JAX.

    \b
    The module needs nothing of this package. For losses and gains of your own there is Model.to_torch, Model.to_jax:
      ssl-dynamics export --loss cosine --isotropic --alpha 0.5 --library torch --out isotropic_cosine.py
    """
    numbers = {"noise": (0.0, 0.0), "weight_decay": 0.0, "input_variances": None, "learned": 1.0 if learned else None}
    model = _model(others | numbers)
    _deliver(model.to_torch() if library == "torch" else model.to_jax(), out, whole_lines=True)


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def figures(arguments):
    """Draw figures: `ssl-dynamics figures NAME --out DIR [--full]`; without a name, list them."""
    from figures.__main__ import main as draw

    draw(list(arguments), prog_name="ssl-dynamics figures", standalone_mode=False)


def _model(given: dict):
    """The Model that the options describe."""
    import dynamics as dyn

    names = ("isotropic", "stop_gradient", "noise", "weight_decay", "symmetrised")
    plain = {name: given[name] for name in names} | _sentences(given)
    target = dyn.Shared() if given["ema"] is None else dyn.EMA(given["ema"])
    inputs = _covariance(given["input_variances"])
    return dyn.Model(predictor=_predictor(given), target=target, inputs=inputs, **plain)


def _sentences(given: dict) -> dict:
    """The loss by its name or of the user's own, and the gain, with their numbers."""
    import dynamics as dyn

    values = {}
    for text in given["number"]:
        name, _, value = text.partition("=")
        found = _numbers("--number", value)
        if len(found) != 1:
            raise click.UsageError(f"--number must be NAME=VALUE, such as beta=0.1, but is {text!r}.")
        values[name.strip()] = found[0]
    own = not given["loss"].isidentifier()
    if values and not own and given["gain"] is None:
        raise click.UsageError("--number applies to a loss of your own, or to --gain.")
    loss = dyn.Loss.parse(given["loss"], **values) if own else given["loss"]
    return {"loss": loss, "gain": given["gain"] and dyn.Gain.parse(given["gain"], **({} if own else values))}


def _covariance(variances: str | None):
    """Sigma_x (N, N) with these variances; None for white inputs."""
    import numpy as np

    return None if variances is None else np.diag(_numbers("--input-variances", variances))


def _predictor(given: dict):
    """The closed-form, learned or absent predictor that the options describe; refuses those of another kind."""
    import dynamics as dyn

    kinds = {
        "--no-predictor": (dyn.NoPredictor, ()),
        "--learned": (dyn.Learned, ("learned", "init")),
        "a closed-form predictor": (dyn.ClosedForm, ("alpha", "epsilon", "normalize", "tracking")),
    }
    kind = "--no-predictor" if given["no_predictor"] else "--learned" if given.get("learned") is not None else None
    kind = kind or "a closed-form predictor"
    predictor, own = kinds[kind]
    for name in ("alpha", "epsilon", "normalize", "tracking", "learned", "init"):
        if given.get(name) not in (None, False) and name not in own:
            raise click.UsageError(f"--{name} does not apply with {kind}.")
    values = {name: given[name] for name in own if given.get(name) is not None}
    if "init" in values:
        values["init"] = _numbers("--init", values["init"])
    return predictor(**{("rate" if name == "learned" else name): value for name, value in values.items()})


def _start(s0: str | None, given: dict):
    """Initial eigenvalues: as listed, or of the random weights that ``train`` would start from; or these weights."""
    import numpy as np

    if s0 is None:
        W0 = _weights(given)
        return np.linalg.svd(W0, compute_uv=False)[::-1] ** 2 if given["input_variances"] is None else W0
    _refuse_given("--s0", *WEIGHTS, "input_variances")
    return _numbers("--s0", s0)


def _refuse_given(other: str, *names: str) -> None:
    """Usage error for options that were given and do not apply with another one."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name) is not click.core.ParameterSource.DEFAULT
        if option.name in names and given:
            raise click.UsageError(f"{option.opts[0]} does not apply with {other}.")


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise click.UsageError(f"{option} must list numbers, such as 0.02,0.2,2, but is {text!r}.") from None


WEIGHTS = ("modes", "inputs", "init_std", "init_seed")


def _weights(given: dict):
    """Random weights of the encoder."""
    import numpy as np

    modes, inputs, std, seed = (given[name] for name in WEIGHTS)
    if given["input_variances"] is not None:
        _refuse_given("--input-variances", "inputs")
        inputs = len(_numbers("--input-variances", given["input_variances"]))
    if not 1 <= modes <= inputs:
        raise click.UsageError(f"--modes must lie between 1 and --inputs, but they are {modes} and {inputs}.")
    return std * np.random.default_rng(seed).standard_normal((modes, inputs))


def _deliver(text: str, out: str | None, whole_lines: bool = False) -> None:
    """Print a text, or write it where asked."""
    if out is None:
        click.echo(text, nl=not whole_lines)
    else:
        Path(out).write_text(text, encoding="utf-8")
        click.echo(f"written: {out}")


def report(result, out: str | None) -> None:
    """Print a result on one screen; write it where asked."""
    click.echo(str(result))
    if out is None:
        return
    suffix = Path(out).suffix.lower()
    if suffix in PICTURES:
        result.plot().figure.savefig(out, dpi=200)
    else:
        out = {".npz": result.save, ".csv": result.to_csv}[suffix](out)
    click.echo(f"written: {out}")
