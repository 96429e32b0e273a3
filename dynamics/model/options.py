"""Describe the options of a model and of its components.

Each option is a dataclass field, and the description of the option is stored in the metadata of this field. Validation,
conversion to plain data (dictionaries, lists, numbers, text), the command line, TOML files and the table of
combinations of options all use these descriptions.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from dynamics import errors


@dataclass(frozen=True, kw_only=True)
class Option:
    """Description of an option of a model or of a component.

    check: function of (name, value) that returns the value to store, or raises ArgumentError.
    choices: allowed names, if the value is a name; ``check`` is then not used.
    help: one sentence for the command line.
    symbol: field of ``Parameters`` that holds the value, such as "rho" for the option "weight_decay"; a pair of fields
        if the option is a pair of parameters; None if the option is not a parameter (a number or an array).
    flag: name of the option on the command line; None if the command line lacks the option.
    metavar: placeholder for the value in the help of the command line.
    value_type: type of the value on the command line; a bool is a switch, a list is text such as "1,0.3", a tuple is a
        pair of numbers, and a dict is three lists.
    convert: function that computes the value of the option from the value on the command line.
    example: a valid value, used where a value is needed and the option has none.
    implied: value that None stands for, in models in which the option has an effect; None if None is not allowed.
    """

    check: Callable[[str, Any], Any] | None = None
    choices: tuple[str, ...] = ()
    help: str = ""
    symbol: str | tuple[str, str] | None = None
    flag: str | None = None
    metavar: str | None = None
    value_type: type = float
    convert: Callable[[Any], Any] | None = None
    example: Any = None
    implied: Any = None

    def checked(self, name: str, value: Any) -> Any:
        """Return the value of the option in the form in which it is stored.

        name: name of the option in messages. Raises ArgumentError if the value is not valid.
        """
        if value is None and self.implied is not None:
            return None
        if self.choices:
            return errors.choice(name, value, self.choices)
        return value if self.check is None else frozen(self.check(name, value))

    def symbols(self, name: str) -> dict[str, str]:
        """Return a dictionary from each parameter in this option to the field of ``Parameters`` that holds its value.

        For example, the option "weight_decay" gives {"weight_decay": "rho"}. name: name of the option.
        """
        if isinstance(self.symbol, tuple):
            return {symbol: symbol for symbol in self.symbol}
        return {} if self.symbol is None else {name: self.symbol}

    def parameters(self, name: str, value: Any) -> dict[str, Any]:
        """Return a dictionary from the names of the parameters in this option to their values.

        name: name of the option. value: value of the option.
        """
        return dict(zip(self.symbols(name), value if isinstance(self.symbol, tuple) else [value], strict=False))

    def with_parameter(self, name: str, value: Any, parameter: str, number: Any) -> Any:
        """Return the value of this option with a new number for one of its parameters.

        name: name of the option. value: present value of the option. parameter: name of the parameter.
        """
        if not isinstance(self.symbol, tuple):
            return number
        return tuple((self.parameters(name, value) | {parameter: number}).values())

    def same(self, name: str, value: Any, other: Any, swept: Collection[str] = ()) -> bool:
        """Return True if two values of this option are the same, except for parameters named in ``swept``.

        name: name of the option.
        """
        if isinstance(self.symbol, tuple) and isinstance(other, tuple):
            return all(key in swept or _same(*pair) for key, *pair in zip(self.symbol, value, other, strict=True))
        return name in swept or _same(value, other)

    def shown(self, value: Any, swept: Collection[str] = ()) -> str:
        """Return a value of this option as one line of text, without the values of parameters named in ``swept``."""
        if isinstance(self.symbol, tuple) and isinstance(value, tuple):
            return shown(tuple(_Name(key) if key in swept else v for key, v in zip(self.symbol, value, strict=True)))
        return shown(value)

    def to_plain(self, value: Any) -> Any:
        """Return a value of this option as plain data: a number, a text, or a list of plain data."""
        return [self.to_plain(part) for part in value] if isinstance(value, tuple) else np.asarray(value).tolist()

    def from_plain(self, name: str, plain: Any) -> Any:
        """Return the value of this option that plain data describe; the inverse of ``to_plain``.

        name: name of the option in messages.
        """
        return plain


@dataclass(frozen=True, kw_only=True)
class ComponentOption(Option):
    """An option whose value is a predictor or a target branch: an object of one of several classes with options."""

    classes: tuple[Any, ...]

    def checked(self, name: str, value: Any) -> Any:
        """Return the component if its class is allowed; otherwise raise ArgumentError."""
        *most, last = map(signature, self.classes)
        if not isinstance(value, self.classes):
            advice = f"Write {signature(value)}." if isinstance(value, type) and value in self.classes else ""
            errors.reject(name, f"be {', '.join(most)} or {last}", value, advice)
        return value

    def parameters(self, name: str, value: Any) -> dict[str, Any]:
        """Return a dictionary from the names of the parameters of the component to their values."""
        return parameters_of(value)

    def with_parameter(self, name: str, value: Any, parameter: str, number: Any) -> Any:
        """Return the component with a new number for the parameter named ``parameter``."""
        return with_parameters(value, {parameter: number})

    def same(self, name: str, value: Any, other: Any, swept: Collection[str] = ()) -> bool:
        """Return True if two components are the same, except for parameters named in ``swept``."""
        return type(value) is type(other) and all(
            description.same(key, getattr(value, key), getattr(other, key), swept)
            for key, description in options(value).items()
        )

    def shown(self, value: Any, swept: Collection[str] = ()) -> str:
        """Return the component as one line of text, without the values of parameters named in ``swept``."""
        return shown(value, swept)

    def to_plain(self, value: Any) -> dict[str, Any]:
        """Return the component as a dictionary with the name of its class, under the key "kind", and its options."""
        return {"kind": type(value).__name__} | to_plain(value)

    def from_plain(self, name: str, plain: Any) -> Any:
        """Return the component that the dictionary ``plain`` describes.

        The dictionary contains the options of the component, and the name of its class under the key "kind". name: name
        of the option in messages.
        """
        kinds = {kind.__name__: kind for kind in self.classes}
        errors.instance(name, plain, dict, f'be a table, such as {{ kind = "{next(iter(kinds))}" }}')
        kind = kinds[errors.choice(f"kind of {name}", plain.get("kind"), kinds)]
        table = {key: value for key, value in plain.items() if key != "kind"}
        return from_plain(kind, table, f"the {name} {kind.__name__}")


@dataclass(frozen=True, kw_only=True)
class ExpressionOption(Option):
    """An option whose value is a loss or a gain: an expression with parameters, or the name of a predefined loss.

    The predefined losses are in ``choices``; for a gain, ``choices`` is empty.
    """

    kind: Any  # a class of expressions
    value_type: type = str

    def checked(self, name: str, value: Any) -> Any:
        """Return the loss or gain in the form in which the model stores it; raise ArgumentError if it is not valid.

        The value is an expression of class ``kind``, a text that is converted to such an expression, or a name in
        ``choices``. A gain may also be None; ``choices`` is empty for gains.
        """
        if isinstance(value, self.kind) or (value is None and not self.choices):
            return value
        if isinstance(value, str) and not self.is_name(value):
            return self.kind(value)
        example = self.kind.example
        if self.choices:
            return errors.choice(name, value, self.choices, f"an expression, such as {example!r}")
        errors.reject(name, f"be text or a {self.kind.__name__}, such as {example!r}", value)

    def is_name(self, text: str) -> bool:
        """Return True if a text is meant as a name in ``choices``: a word, or words joined by blanks or dashes."""
        return bool(self.choices) and "".join(text.replace("-", " ").split()).isidentifier()

    def parameters(self, name: str, value: Any) -> dict[str, Any]:
        """Return a dictionary from the names of the parameters of the expression to their values."""
        return dict(value.parameters) if isinstance(value, self.kind) else {}

    def with_parameter(self, name: str, value: Any, parameter: str, number: Any) -> Any:
        """Return the expression with a new number for the parameter named ``parameter``."""
        return value.replace(**{parameter: number})

    def shown(self, value: Any, swept: Collection[str] = ()) -> str:
        """Return the value as one line of text, without the values of parameters named in ``swept``."""
        return shown_expression(value, swept) if isinstance(value, self.kind) else repr(value)

    def to_plain(self, value: Any) -> Any:
        """Return the value as plain data: a name, or a dictionary that contains the expression and its parameters."""
        if not isinstance(value, self.kind):
            return value
        parameters = {name: np.asarray(number).tolist() for name, number in value.parameters.items()}
        return {"expression": value.text} | parameters

    def from_plain(self, name: str, plain: Any) -> Any:
        """Return the loss or gain that plain data describe; the inverse of ``to_plain``.

        A dictionary gives an expression with parameters. Text is returned unchanged: it is the name of a loss, or an
        expression. name: name of the option in messages. Raises ArgumentError if the data are not valid.
        """
        table = f"an expression in a table, such as {{ expression = '{self.kind.example}' }}"
        if not isinstance(plain, dict):
            if self.choices and not (isinstance(plain, str) and not self.is_name(plain)):
                return errors.choice(name, plain, self.choices, otherwise=table)
            errors.instance(name, plain, str, f"be text, such as '{self.kind.example}', or {table}")
            return plain
        if "expression" not in plain and "numbers" in plain:  # files of version 0.1 have the keys "text" and "numbers"
            return self.kind(plain.get("text"), plain["numbers"])
        if "expression" not in plain:
            renamed = " (which had the name `sentence` in version 0.1)" if "sentence" in plain else ""
            errors.reject(name, f"be a table with the key `expression`{renamed}", plain)
        return self.kind(plain["expression"], {key: value for key, value in plain.items() if key != "expression"})


def option(default: Any = MISSING, *, described_by: type[Option] = Option, **description: Any) -> Any:
    """Return a dataclass field for an option; the metadata of the field contain the description of the option.

    described_by: ``Option`` or a subclass, of which the description is an instance. description: arguments with which
    this instance is created.
    """
    return field(default=default, metadata={"option": described_by(**description)})


@cache
def _options(kind: type) -> dict[str, Option]:
    return {f.name: f.metadata["option"] for f in fields(kind)}


def options(part: Any) -> dict[str, Option]:
    """Return a dictionary from the names of the options of a model or component to their descriptions.

    part: the model or component, or its class.
    """
    return _options(part if isinstance(part, type) else type(part))


def defaults(kind: type) -> dict[str, Any]:
    """Return a dictionary from the names of the options of a class to their defaults.

    The default is MISSING if the option is required.
    """
    return {f.name: f.default for f in fields(kind)}


def signature(kind: type) -> str:
    """Return text that shows how an object of a class is created, such as "EMA(decay)" or "ClosedForm(...)".

    The text names the required options. If no option is required, dots stand for the options that may be given.
    """
    required = [name for name, default in defaults(kind).items() if default is MISSING]
    return f"{kind.__name__}({', '.join(required) or '...' * bool(options(kind))})"


def check_names(kind: type, names: Iterable[str]) -> None:
    """Raise ArgumentError if a keyword is no option of a class; the message states where such a parameter belongs.

    kind: class of models.
    """
    known = options(kind)
    for name in names:
        if name in known:
            continue
        places = [
            f"{option}={component.__name__}({name}=...)"
            for option, description in known.items()
            for component in getattr(description, "classes", ())
            if name in options(component)
        ]
        pairs = [f"{option}=({', '.join(_pair(d))})" for option, d in known.items() if name in _pair(d)]
        near = errors.nearest(name, known)
        advice = f"Use {' or '.join(places + pairs)}." if places + pairs else f"Did you mean `{near}`?" if near else ""
        if not advice and any(isinstance(description, ExpressionOption) for description in known.values()):
            advice = f"A parameter of a loss is given with its expression: Loss.parse('...', {name}=...)."
        message = f"{kind.__name__} has no option `{name}`; its options are {', '.join(known) or 'none'}."
        raise errors.ArgumentError(f"{message} {advice}".rstrip())


def _pair(description: Option) -> tuple[str, ...]:
    return description.symbol if isinstance(description.symbol, tuple) else ()


def check_options(part: Any) -> None:
    """Validate all options of a model or component, and store the validated values in its attributes.

    Raises ArgumentError if the value of an option is not valid.
    """
    for name, description in options(part).items():
        object.__setattr__(part, name, description.checked(name, getattr(part, name)))


def frozen(value: Any) -> Any:
    """Return a value in a form that cannot be modified.

    An array without axes becomes a number, and an array with axes becomes read-only. In a tuple, each entry is
    converted in this way. Other values are returned unchanged.
    """
    if isinstance(value, tuple):
        return tuple(map(frozen, value))
    if not isinstance(value, np.ndarray):
        return value
    value.setflags(write=False)
    return value if value.ndim else float(value)


# --- parameters -----------------------------------------------------------------------------------------------------


def symbols_of(part: Any) -> dict[str, str]:
    """Return a dictionary from the parameters of a model or component to the fields of ``Parameters`` that hold them.

    For example, the key "weight_decay" has the value "rho". If ``part`` is a model, the parameters of its predictor,
    target, loss and gain are left out.
    """
    return {
        key: symbol for name, description in options(part).items() for key, symbol in description.symbols(name).items()
    }


def parameters_of(part: Any) -> dict[str, Any]:
    """Return a dictionary from the names of the parameters of a model or component to their values.

    The parameters of a model itself come first, then the parameters of its components, then the parameters of its loss
    and gain.
    """
    last = (ComponentOption, ExpressionOption)
    ordered = sorted(options(part).items(), key=lambda item: [isinstance(item[1], kind) for kind in last[::-1]])
    members = (description.parameters(name, getattr(part, name)) for name, description in ordered)
    return {name: value for parameters in members for name, value in parameters.items()}


def with_parameters(part: Any, numbers: Mapping[str, Any]) -> Any:
    """Return the model or component ``part`` with new numbers for some of its parameters, whose names are the keys."""
    values = {name: getattr(part, name) for name in options(part)}
    for parameter, number in numbers.items():
        name = next(name for name, value in values.items() if parameter in options(part)[name].parameters(name, value))
        values[name] = options(part)[name].with_parameter(name, values[name], parameter, number)
    return replace(part, **values)


# --- plain data and text --------------------------------------------------------------------------------------------


def to_plain(part: Any) -> dict[str, Any]:
    """Return the options of a model or component as a dictionary of plain data; options that are None are left out.

    Plain data are dictionaries, lists, numbers and text.
    """
    values = {name: getattr(part, name) for name in options(part)}
    return {name: options(part)[name].to_plain(value) for name, value in values.items() if value is not None}


def from_plain(kind: type, table: dict[str, Any], where: str) -> Any:
    """Return the model or component that a dictionary of plain data describes.

    kind: class of the model or component. table: the dictionary. where: name of the dictionary in messages. Raises
    ArgumentError if the dictionary is not valid.
    """
    errors.instance("description", table, dict, f"be a table that describes {where}")
    check_keys(where, table, options(kind))
    check_present(where, table, [name for name, default in defaults(kind).items() if default is MISSING])
    values = {name: options(kind)[name].from_plain(name, value) for name, value in table.items() if value is not None}
    return kind(**values)


def check_keys(where: str, table: dict[str, Any], allowed: Iterable[str]) -> None:
    """Raise ArgumentError if a dictionary has a key that is not allowed.

    where: name of the dictionary in messages.
    """
    for key in table:
        errors.choice(f"key of {where}", key, allowed)


def check_present(where: str, table: dict[str, Any], required: Iterable[str]) -> None:
    """Raise ArgumentError if a dictionary does not have a required key.

    where: name of the dictionary in messages.
    """
    for key in required:
        if key not in table:
            errors.reject(key, f"be given in {where}", None)


class _Name(str):
    """The name of a swept parameter, which stands for its value."""

    __slots__ = ()
    __repr__ = str.__str__


def shown(value: Any, swept: Collection[str] = ()) -> str:
    """Return a value as one line of text, in which an array is represented by its shape.

    For a model or a component, the text leaves out the options whose value is the default. swept: names of parameters
    whose values are left out, because they vary in the result that the text describes; in a pair such as the noise,
    their names stand for their values.
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    if not is_dataclass(value) or isinstance(value, type) or not all(f.metadata for f in fields(value)):
        return f"<array {np.shape(value)}>" if np.ndim(value) else repr(value)
    described = options(value)
    names = changed(value, swept) or [name for name in list(described)[:1] if name not in swept]
    texts = (f"{name}={described[name].shown(getattr(value, name), swept)}" for name in names)
    return f"{type(value).__name__}({', '.join(texts)})"


def shown_expression(expression: Any, swept: Collection[str] = ()) -> str:
    """Return a loss or a gain as one line of text, without the values of parameters named in ``swept``."""
    values = (f"{name}={shown(value)}" for name, value in expression.parameters.items() if name not in swept)
    return f"{type(expression).__name__}.parse({', '.join([repr(expression.text), *values])})"


def changed(part: Any, swept: Collection[str] = ()) -> list[str]:
    """Return the names of the options of a model or component whose value differs from the default.

    An option also counts as unchanged if its value is the one that None stands for. swept: names of parameters whose
    values do not count.
    """
    described = options(part)
    return [
        name
        for name, default in defaults(type(part)).items()
        if not any(
            described[name].same(name, getattr(part, name), left_out, swept)
            for left_out in (default, described[name].implied)
        )
    ]


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)
