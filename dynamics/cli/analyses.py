"""Define the commands that analyse a model without a run, such as ``equilibria`` and ``design``."""

from dataclasses import MISSING, fields
from typing import Any

import click

from dynamics.cli.group import main
from dynamics.cli.options import CLOSURE, MOMENTUM, PROGRESS, Numbers, apply, model_options
from dynamics.cli.output import DRAWN, VALUES, Printed, prints
from dynamics.cli.parsing import model_of, momentum_of
from dynamics.presentation.text import counted

S0 = click.option("--s0", type=Numbers(), required=True, help="Initial eigenvalues, such as 0.02,0.2,2.")
LEARNING_RATE = click.option(
    "--learning-rate", type=float, help="Learning rate eta; required with --ema or --tracking, else refused."
)
RANGE = "LOW,HIGH, or three or more ascending values"
AXIS: Any = (str, Numbers())


@main.command(params=model_options())
@S0
@prints(*DRAWN)
def collapse(s0: list[float], **others: Any) -> Any:
    """Predict which modes survive, which vanish, and why, from the fixed points of the flow.

    \b
    A mode below the boundary of the basin, and a mode above it:
      ssl-dynamics collapse --s0 0.01,0.5 --weight-decay 0.05
    """
    import dynamics as dyn

    return dyn.collapse(model_of(others), s0)


@main.command(params=model_options())
@apply(S0, LEARNING_RATE, MOMENTUM)
@prints(*DRAWN)
def equilibria(s0: list[float], learning_rate: float | None, **others: Any) -> Any:
    """List all fixed points of as many modes as --s0 has, with their stability in the flow and the descent map.

    \b
    The fixed points of one mode, with the fold in weight decay:
      ssl-dynamics equilibria --s0 0.1 --weight-decay 0.05
    """
    import dynamics as dyn

    momentum = momentum_of(others)
    return dyn.equilibria(model_of(others), s0, learning_rate=learning_rate, momentum=momentum)


@main.command(params=model_options())
@click.argument("along", metavar="PARAMETER")
@click.option("--between", type=Numbers(), required=True, help=f"Range of PARAMETER: {RANGE}.")
@click.option(
    "--s0",
    type=Numbers(),
    help="Initial eigenvalues; required for cosine losses without weight decay, refused for independent modes.",
)
@LEARNING_RATE
@click.option(
    "--points", type=int, default=41, show_default=True, help="Number of values of PARAMETER if the range is LOW,HIGH."
)
@prints(*DRAWN)
def bifurcation(
    along: str, between: list[float], s0: list[float] | None, learning_rate: float | None, points: int, **others: Any
) -> Any:
    """Follow equilibria along a PARAMETER; find their stability, folds and bifurcation points.

    PARAMETER is learning_rate, or a parameter of the model such as weight_decay, sigma1 or alpha.

    \b
    The fold at which the stable and the unstable fixed point meet:
      ssl-dynamics bifurcation weight_decay --between 0.01,0.3
    """
    import dynamics as dyn

    return dyn.bifurcation(model_of(others), _name(along), between, s0, learning_rate=learning_rate, points=points)


@main.command(params=model_options())
@S0
@click.option("--x", type=AXIS, required=True, metavar="NAME RANGE", help=f"Horizontal axis: parameter and {RANGE}.")
@click.option("--y", type=AXIS, required=True, metavar="NAME RANGE", help=f"Vertical axis: parameter and {RANGE}.")
@click.option("--learning-rate", type=float, help="Learning rate eta; required unless an axis is learning_rate.")
@click.option(
    "--points", type=int, default=50, show_default=True, help="Number of values of each axis whose range is LOW,HIGH."
)
@click.option(
    "--steps",
    type=int,
    default=20_000,
    show_default=True,
    help="Largest number of steps, rounded up to a multiple of 64.",
)
@CLOSURE
@click.option("--rtol", type=float, default=1e-5, show_default=True, help="Relative tolerance of the eigenvalues.")
@PROGRESS
@prints(*DRAWN)
def phase_diagram(s0: list[float], x: tuple[str, list[float]], y: tuple[str, list[float]], **others: Any) -> Any:
    """Compute the outcome of the descent map, such as collapse or divergence, over a plane of two parameters.

    A parameter is learning_rate, or a parameter of the model such as weight_decay, sigma1 or alpha.

    \b
    A plane of 10 x 10 points, as a picture:
      ssl-dynamics phase-diagram --s0 0.5 --x weight_decay 0,0.4 --y learning_rate 0.1,3 --points 10 --out phases.png
    """
    import dynamics as dyn

    names = ("learning_rate", "points", "steps", "closure", "rtol", "progress")
    axes = [(_name(name), values) for name, values in (x, y)]
    return dyn.phase_diagram(model_of(others), s0, *axes, **{name: others[name] for name in names})


@main.command(params=model_options())
@prints(*VALUES)
def invariants(**others: Any) -> Any:
    """List the quantities that the flow conserves, or that decay exponentially if there is weight decay.

    \b
    The invariant of a learned predictor:
      ssl-dynamics invariants --learned
    """
    import dynamics as dyn

    found = dyn.invariants(model_of(others))
    return Printed(found, "\n".join(map(str, found)) or "No conserved quantity of this model is known.")


@main.command(params=model_options())
@S0
@click.option("--level", type=Numbers(), required=True, help="Eigenvalue to reach, or one eigenvalue for each mode.")
@LEARNING_RATE
@click.option("--within", type=float, default=1e6, show_default=True, help="Time up to which the flow is followed.")
@click.option("--rtol", type=float, default=1e-8, show_default=True, help="Relative tolerance of the eigenvalues.")
@prints(*VALUES)
def convergence_time(s0: list[float], level: list[float], **others: Any) -> Any:
    """Compute the time at which each mode first reaches a level in the flow.

    A time is inf if the mode never reaches the level, and nan if the flow is not followed long enough to know.

    \b
    The times at which two modes reach the eigenvalue 0.9:
      ssl-dynamics convergence-time --s0 0.01,0.1 --level 0.9
    """
    import numpy as np

    import dynamics as dyn

    settings = {name: others[name] for name in ("learning_rate", "within", "rtol")}
    times = dyn.convergence_time(model_of(others), s0, level, **settings)
    unknown = int(np.isnan(times).sum())
    status = f"{counted(unknown, 'mode')} may reach the level later" if unknown else "complete"
    levels = np.broadcast_to(level, times.shape)
    rows = [f"{s:g} reaches {end:g} at t = {t:.6g}" for s, end, t in zip(s0, levels, times, strict=True)]
    return Printed(times, "\n".join(rows), status)


@main.command(params=model_options())
@click.option("--s", type=Numbers(), required=True, help="Eigenvalues above zero, such as 0.02,0.2,2.")
@prints(*VALUES)
def effective_rates(s: list[float], **others: Any) -> Any:
    """Compute the growth rate of a small change of each eigenvalue, while all other eigenvalues are held fixed.

    \b
    A small mode, and a mode at the fixed point:
      ssl-dynamics effective-rates --s 0.01,1
    """
    import dynamics as dyn

    rates = dyn.effective_rates(model_of(others), s)
    return Printed(rates, "\n".join(f"{size:g}: {rate:.6g}" for size, rate in zip(s, rates, strict=True)))


# --- design ---------------------------------------------------------------------------------------------------------

TARGETS = {  # names of design targets on the command line, and their classes
    "rate-function": "RateFunction",
    "arrival-times": "ArrivalTimes",
    "simultaneous-arrival": "SimultaneousArrival",
    "threshold-recruitment": "ThresholdRecruitment",
    "fastest-uniform": "FastestUniform",
}
OF_TARGETS: dict[str, tuple[type, str]] = {  # type and help of the options of design targets
    "text": (str, "Rate r(lambda) of rate-function, or times T(lambda) of arrival-times."),
    "time": (float, "Time at which the last mode arrives, of simultaneous-arrival."),
    "level": (
        float,
        "A mode has arrived if its predictor eigenvalue is this fraction of the fixed point's  [default: 0.9].",
    ),
    "spread": (float, "Time between first and last arrival, as a fraction of --time  [default: 0.05]."),
    "threshold": (float, "Initial eigenvalue above which modes grow, of threshold-recruitment."),
    "speed": (float, "Gain of modes far above the threshold  [default: 1]."),
    "sharpness": (int, "Power with which the gain falls far below the threshold  [default: 4]."),
    "learning_rate": (float, "Learning rate up to which the fixed point is stable, of fastest-uniform."),
}


@main.command(params=model_options())
@click.argument("target", type=click.Choice([*TARGETS]), metavar="TARGET")
@apply(
    [
        click.option(f"--{name.replace('_', '-')}", name, type=kind, help=help_text)
        for name, (kind, help_text) in OF_TARGETS.items()
    ]
)
@click.option(
    "--between",
    type=Numbers(),
    default="0.01,0.5",
    show_default=True,
    help="Smallest and largest initial eigenvalue of modes.",
)
@prints(*DRAWN)
def design(target: str, between: list[float], **others: Any) -> Any:
    """Design a Euclidean loss with a gain under which modes meet a TARGET, and state what the design costs.

    \b
    TARGET is one of
      rate-function          modes have the rate --text, a function of lambda
      arrival-times          modes arrive near the fixed point at the times --text, a function of lambda
      simultaneous-arrival   all modes arrive near the fixed point at nearly the same --time
      threshold-recruitment  modes that start above the --threshold grow, and others vanish
      fastest-uniform        modes converge as fast as the --learning-rate allows

    \b
    Examples:
      ssl-dynamics design simultaneous-arrival --time 5
      ssl-dynamics design threshold-recruitment --threshold 0.1 --weight-decay 0.05
      ssl-dynamics design rate-function --text 'lambda^2 * (1 - lambda/rest)' --between 0.1,0.5
    """
    import dynamics as dyn

    kind = getattr(dyn, TARGETS[target])
    given = {name: others[name] for name in OF_TARGETS if others[name] is not None}
    options = {field.name: field.default for field in fields(kind)}
    for name in given.keys() - options.keys():
        raise click.UsageError(f"{_flag(name)} cannot be used with {target}.")
    for name, default in options.items():
        if default is MISSING and name not in given:
            raise click.UsageError(f"{target} requires {_flag(name)}.")
    return dyn.design(kind(**given), model_of(others), between=between)


def _name(name: str) -> str:
    """Return the name of a parameter in Python; "weight-decay" is accepted for "weight_decay", as in options."""
    return name.replace("-", "_")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
