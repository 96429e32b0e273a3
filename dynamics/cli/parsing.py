"""Make models, and initial eigenvalues or weights, from the values of command-line options."""

from typing import Any

import click

from dynamics.cli.options import RANDOM
from dynamics.cli.wording import in_options
from dynamics.errors import ArgumentError
from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.model.options import ComponentOption, ExpressionOption, defaults, options
from dynamics.model.starts import eigenvalues_of, random_weights

Values = dict[str, Any]  # values of command-line options; the keys are the names that click gives to the options


def model_of(values: Values) -> Model:
    """Return the model that command-line options describe.

    values: values of the command-line options. An option of the model that is not given has its default.
    """
    chosen = _expressions(values)
    for name, description in options(Model).items():
        if isinstance(description, ComponentOption):
            chosen[name] = _component(description, type(defaults(Model)[name]), values)
        elif name not in chosen and (value := _value(values, description.flag)) is not None:
            chosen[name] = value if description.convert is None else description.convert(value)
    return Model(**chosen)


def _value(values: Values, flag: str | None) -> Any:
    """Return the value of a command-line option, or None if the option is not given."""
    value = None if flag is None else values.get(flag.removeprefix("--").replace("-", "_"))
    return None if value is False else value


def _component(description: ComponentOption, default: type, values: Values) -> Any:
    """Return the predictor or the target branch that command-line options select.

    description: the option of ``Model`` for the predictor or for the target branch. default: class that is used if no
    command-line option selects a class. Raises a usage error if a command-line option is given that belongs to a class
    other than the selected class.
    """
    flagged = [kind for kind in description.classes if _value(values, kind.flag) is not None]
    chosen: Any = flagged[0] if flagged else default
    for kind in description.classes:
        flags = [kind.flag, *(part.flag for part in options(kind).values())]
        for flag in flags if kind is not chosen else ():
            if _value(values, flag) is not None:
                requires = f"; it requires {kind.flag}" if kind.flag and flag != kind.flag else ""
                raise click.UsageError(f"{flag} cannot be used with {chosen.flag or chosen.title}{requires}.")
    arguments = {name: _value(values, part.flag) for name, part in options(chosen).items()}
    if chosen.flag_sets is not None:
        value = _value(values, chosen.flag)
        arguments[chosen.flag_sets] = options(chosen)[chosen.flag_sets].example if value is True else value
    return chosen(**{name: value for name, value in arguments.items() if value is not None})


def _expressions(values: Values) -> dict[str, Any]:
    """Return a dictionary with the loss and the gain that are given as expressions; the keys are "loss" and "gain".

    A loss that is given by name is left out. The values of ``--parameter`` belong to the loss if the loss is an
    expression. If the loss is given by name, they belong to the gain. Raises a usage error if there are such values but
    neither the loss nor the gain is an expression.
    """
    parameters = dict(map(_parameter, values.get("parameter", ())))
    expressions: dict[str, Any] = {}
    for name, description in options(Model).items():
        if not isinstance(description, ExpressionOption) or (text := _value(values, description.flag)) is None:
            continue
        if not description.is_name(text):
            expressions[name] = description.kind(text, {} if expressions else parameters)
    if parameters and not expressions:
        raise click.UsageError("--parameter can only be used with a user-defined loss or with --gain.")
    return expressions


def _parameter(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise click.UsageError(f"--parameter must be NAME=VALUE, such as beta=0.1, but is {text!r}.") from None


def momentum_of(values: Values) -> Any:
    """Return the momentum that command-line options describe, and remove these options from ``values``."""
    mu, nesterov, decoupled = (values.pop(name) for name in ("momentum", "nesterov", "decoupled"))
    if (nesterov or decoupled) and not mu:
        raise click.UsageError(f"{'--nesterov' if nesterov else '--decoupled'} requires --momentum.")
    return Momentum(mu, nesterov, decoupled) if nesterov or decoupled else mu


def start_of(s0: list[float] | None, model: Model, values: Values) -> Any:
    """Return the initial values of a run: the eigenvalues s0, or random values if s0 is None.

    For white inputs, the random values are the eigenvalues of random weights; for correlated inputs, the random values
    are the random weights.
    """
    if s0 is not None:
        refuse_given("--s0", *RANDOM.values(), "input_variances")
        return s0
    W0 = weights_of(model, values)
    return W0 if model.by_weights else eigenvalues_of(W0)


def weights_of(model: Model, values: Values) -> Any:
    """Return random initial weights (M, N) of the encoder; command-line options set their size, scale and seed."""
    arguments = {argument: values[option] for argument, option in RANDOM.items()}
    if model.by_weights:
        refuse_given("--input-variances", RANDOM["inputs"])
        arguments["inputs"] = len(model.inputs)
    try:
        return random_weights(**arguments)
    except ArgumentError as error:
        flags = {argument: f"--{option.replace('_', '-')}" for argument, option in RANDOM.items()}
        raise click.UsageError(in_options(str(error), click.get_current_context().command, flags)) from None


def refuse_given(flag: str, *names: str) -> None:
    """Raise a usage error if one of the command-line options ``names`` is given together with ``flag``.

    flag: text of the option that excludes the options ``names``; the message contains this text.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in names and source is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"{parameter.opts[0]} cannot be used with {flag}.")
