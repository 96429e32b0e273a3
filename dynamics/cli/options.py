"""Define command-line options; options that describe a model are made from the metadata of the fields of ``Model``."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import click

from dynamics.model.model import Model
from dynamics.model.options import ComponentOption, ExpressionOption, Option, defaults, options
from dynamics.model.starts import random_weights

Decorator = Callable[..., Any]
FILE = click.Path(exists=True, dir_okay=False)


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """Type of a command-line option whose value is a list of numbers, such as 0.02,0.2,2."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Return the list of numbers in ``value``, the text of an option; raise a usage error for any other text.

        A value that is not text is returned unchanged.
        """
        if not isinstance(value, str):
            return value
        try:
            return [float(part) for part in value.replace(",", " ").split()]
        except ValueError:
            flag = param.opts[0] if param else "The option"
            requirement = "must be a list of numbers, such as 0.02,0.2,2"
            raise click.UsageError(f"{flag} {requirement}, but is {value!r}.", ctx) from None


class MethodOption(click.Option):
    """The option ``--method``, whose help lists the methods of a solver.

    The module ``dynamics.solvers.methods`` is imported only if help is requested, so that commands start quickly.
    methods: name of the tuple in ``dynamics.solvers.methods`` that contains the solver's methods.
    """

    def __init__(self, *declarations: Any, methods: str, **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.methods = methods

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the two columns of the help of this option: the flag, and the names of the methods."""
        methods = getattr(importlib.import_module("dynamics.solvers.methods"), self.methods)
        self.help = f"{', '.join(['auto', *(method.name for method in methods)])}."
        return super().get_help_record(ctx)


def apply(*groups: Decorator | list[Decorator]) -> Decorator:
    """Return a decorator that adds options to a command; each of ``groups`` is an option or a list of options."""
    flat = [decorator for group in groups for decorator in (group if isinstance(group, list) else [group])]
    return lambda command: functools.reduce(lambda wrapped, decorator: decorator(wrapped), reversed(flat), command)


# --- options of a model ---------------------------------------------------------------------------------------------


def model_options(symbolic: bool = False) -> list[click.Parameter]:
    """Return the command-line options that describe a model, as the argument ``params`` of a command.

    symbolic: True to leave out options that set values of parameters, which a symbolic derivation does not use.
    """
    return list(_model_options(symbolic))


@functools.cache  # commands share the options, because it would take long to make them for each command
def _model_options(symbolic: bool) -> tuple[click.Option, ...]:
    made: list[click.Option] = []
    for name, description in options(Model).items():
        if isinstance(description, ComponentOption):
            for kind in description.classes:
                made += _of_component(kind, symbolic)
        elif not symbolic or description.value_type in (bool, str):
            made.append(_of_model(description, defaults(Model)[name]))
    help_text = "Parameter of a user-defined loss or gain; may be repeated."
    return (*made, click.Option(["--parameter"], multiple=True, metavar="NAME=VALUE", help=help_text))


def _of_model(description: Option, default: Any) -> click.Option:
    default = description.example if description.example is not None else default
    return _option(description, default=default, show_default=description.implied or default is not None)


def _of_component(kind: Any, symbolic: bool) -> list[click.Option]:
    made, values = [], defaults(kind)
    if kind.flag is not None and (symbolic or kind.flag_sets is None):
        made.append(click.Option([kind.flag], is_flag=True, help=kind.help))
    elif kind.flag is not None:
        sets, default = options(kind)[kind.flag_sets], values[kind.flag_sets]
        bare: dict[str, Any] = {"is_flag": False, "flag_value": default} if isinstance(default, float) else {}
        made.append(click.Option([kind.flag], type=float, metavar=sets.metavar, help=sets.help, **bare))
    if not symbolic:
        described = [(description, values[name]) for name, description in options(kind).items() if description.flag]
        made += [_option(d, show_default=d.value_type is not bool and f"{default:g}") for d, default in described]
    return made


def _option(description: Option, **settings: Any) -> click.Option:
    """Return the command-line option for one option of a model, such as the weight decay.

    description: description of the option of the model. settings: further arguments of click.Option.
    """
    of_type: dict[type, dict[str, Any]] = {
        bool: {"is_flag": True},
        float: {"type": float},
        int: {"type": click.IntRange(1)},
        tuple: {"nargs": 2, "type": float},
        list: {"type": Numbers()},
        dict: {"type": Numbers(), "nargs": 3, "metavar": description.metavar},
        str: {"metavar": "|".join(description.choices), "shell_complete": _completion(description.choices)},
    }
    settings |= of_type[description.value_type]
    if isinstance(description, ExpressionOption):
        settings["metavar"] = "|".join((*description.choices, "EXPRESSION"))
    if description.value_type is bool:
        settings |= {"default": False, "show_default": False}
    return click.Option([str(description.flag)], help=description.help, **settings)


def _completion(choices: tuple[str, ...]) -> Callable[..., list[str]]:
    """Return the function with which click completes a value that may be one of ``choices``."""
    return lambda context, parameter, incomplete: [choice for choice in choices if choice.startswith(incomplete)]


# --- options of initial values and solvers --------------------------------------------------------------------------

# Names of the command-line options that set the arguments of ``random_weights``.
RANDOM = {"modes": "modes", "inputs": "inputs", "std": "init_std", "seed": "init_seed"}


def _random(argument: str, kind: Any, help_text: str) -> Decorator:
    flag, default = (
        f"--{RANDOM[argument].replace('_', '-')}",
        inspect.signature(random_weights).parameters[argument].default,
    )
    return click.option(flag, type=kind, default=default, show_default=True, help=help_text)


WEIGHTS = [
    _random("modes", int, "Number M of modes of random initial weights."),
    _random("inputs", int, "Number N of inputs of random initial weights."),
    _random("std", float, "Standard deviation of random initial weights."),
    _random("seed", click.IntRange(0), "Seed of random initial weights."),
]
S0 = click.option(
    "--s0",
    type=Numbers(),
    help="Initial eigenvalues, such as 0.02,0.2,2; by default the eigenvalues of random weights.",
)
CLOSURE = click.option(
    "--closure", help="Closure: gaussian (exact, the default for losses that allow it), mean_field, or monte_carlo."
)
STEPS = [
    click.option("--steps", type=int, default=1500, show_default=True, help="Number of steps of gradient descent."),
    click.option("--learning-rate", type=float, default=0.01, show_default=True, help="Learning rate eta."),
    click.option("--record", type=int, default=1, show_default=True, help="Number of steps between two records."),
]
MOMENTUM = [
    click.option(
        "--momentum", type=float, default=0.0, show_default=True, help="Momentum mu of gradient descent (heavy ball)."
    ),
    click.option("--nesterov", is_flag=True, help="Use Nesterov's momentum."),
    click.option("--decoupled", is_flag=True, help="Keep weight decay out of the buffer of momentum, as SGDW does."),
]
RTOL = click.option(
    "--rtol", type=float, default=1e-8, show_default=True, help="Relative tolerance of the eigenvalues."
)
PROGRESS = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show a progress bar, or none; by default on a terminal, if the computation takes long.",
)


def method(methods: str) -> Decorator:
    """Return the option ``--method``; ``methods`` names the tuple of methods in ``dynamics.solvers.methods``."""
    return click.option("--method", cls=MethodOption, methods=methods, default="auto", show_default=True)
