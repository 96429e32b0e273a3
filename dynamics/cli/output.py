"""Print the results of commands, and write them to files; options of the output are checked before any computation."""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dynamics.cli.exits import Exit, status_of
from dynamics.numerics.files import replacing, write_text

STDOUT = "-"
PICTURES = ("png", "pdf", "svg")
ANIMATIONS = ("gif", "mp4")
BINARY = ("npz", "nc", "png", "pdf", *ANIMATIONS)
SUFFIXES = {".txt": "text"}  # suffixes that differ from the name of the format
VALUES = ("text", "json")  # formats of every result
DRAWN = (*VALUES, *PICTURES)  # formats of a result with a picture
TRAJECTORY = ("text", "json", "csv", "npz", "nc", *PICTURES)


@dataclass(frozen=True)
class Printed:
    """A value, such as an array, with the text that a command prints for it.

    value: the value, for JSON. text: the value as text. status: "complete", or how the computation ended. draw:
    function that draws the value, and returns matplotlib Axes. animate: function that writes an animation to a path.
    """

    value: Any
    text: str
    status: str = "complete"
    draw: Callable[[], Any] | None = None
    animate: Callable[[Path], Any] | None = None

    def __str__(self) -> str:
        return self.text

    def plot(self) -> Any:
        """Draw the value; return matplotlib Axes."""
        assert self.draw is not None  # because the command has no option for pictures otherwise
        return self.draw()


@dataclass(frozen=True)
class Destination:
    """The place to which a command writes its result, and the format of the result.

    out: path of a file, "-" for the standard output, or None. form: format of ``out``. as_json: True to print JSON
    instead of text.
    """

    out: str | None
    form: str | None
    as_json: bool

    @classmethod
    def of(cls, out: str | None, form: str | None, as_json: bool, formats: Sequence[str]) -> "Destination":
        """Return the destination that the options of a command describe; raises a usage error if they are not valid.

        out, form, as_json: values of the options ``--out``, ``--format`` and ``--json``. formats: formats in which the
        command can write its result.
        """
        if out is None:
            if form is not None:
                raise click.UsageError("--format can only be used with --out, such as --out - for standard output.")
            return cls(None, None, as_json)
        if out == STDOUT and as_json:
            raise click.UsageError("--json cannot be used with --out -, because both write to the standard output.")
        if out == STDOUT and form is None:
            raise click.UsageError(f"--out - requires --format, one of {', '.join(formats)}.")
        if out == STDOUT and form in BINARY and _is_terminal():
            raise click.UsageError(f"--out - --format {form} is not for a terminal: redirect the output.")
        if out != STDOUT:
            check_path(out)
            form = form or format_of(out, formats)
        return cls(out, form, as_json)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def format_of(out: str, formats: Sequence[str]) -> str:
    """Return the format that the suffix of the file ``out`` stands for.

    Raises a usage error if the format is not one of ``formats``.
    """
    suffix = Path(out).suffix.lower()
    form = SUFFIXES.get(suffix, suffix.removeprefix("."))
    if form not in formats or suffix.removeprefix(".") in SUFFIXES.values():
        raise click.UsageError(f"--out must end in one of {', '.join(map(suffix_of, formats))}, but is {out!r}.")
    return form


def suffix_of(form: str) -> str:
    """Return the suffix of files of a format."""
    return next((suffix for suffix, name in SUFFIXES.items() if name == form), f".{form}")


def check_path(out: str) -> None:
    """Raise a usage error if the folder of the file ``out`` does not exist."""
    if not Path(out).parent.is_dir():
        raise click.UsageError(f"--out must name a file in an existing folder, but is {out!r}.")


def prints(*formats: str, required: bool = False) -> Callable[..., Any]:
    """Return a decorator for commands that return a result: the result is printed, and written to ``--out``.

    The decorator adds the options ``--out``, ``--format`` and ``--json``. The exit status states how the computation of
    the result ended. formats: formats in which the result can be written; the result is printed only if "text" is one
    of these. required: True if ``--out`` is required.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(out: str | None, form: str | None, as_json: bool = False, **values: Any) -> None:
            destination = Destination.of(out, form, as_json, formats)
            result = function(**values)
            _deliver(result, destination, "text" in formats)
            click.get_current_context().exit(_ended(result, destination))

        suffixes = ", ".join(map(suffix_of, formats))
        options = [
            click.option(
                "--out",
                metavar="FILE",
                type=click.Path(dir_okay=False, allow_dash=True),
                required=required,
                help=f"Write the result to a file ({suffixes}), or to standard output (-).",
            ),
            click.option(
                "--format",
                "form",
                type=click.Choice(formats),
                help="Format of --out; required for standard output, by default that of the suffix.",
            ),
        ]
        if "json" in formats:
            options.append(click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."))
        return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)

    return decorate


def _deliver(result: Any, destination: Destination, printed: bool) -> None:
    """Print a result, unless ``--out`` is the standard output, and write the result to ``--out``.

    printed: False for a command that prints no text.
    """
    out, form = destination.out, destination.form
    if printed and out != STDOUT:
        click.echo(as_json(result) if destination.as_json else str(result))
    if out is None or form is None:
        return
    if Path(out).suffix.lower() == suffix_of(form):
        with replacing(out) as fresh:
            _write(result, form, fresh)
    elif out == STDOUT:
        sys.stdout.buffer.write(_contents(result, form))
        sys.stdout.buffer.flush()
    else:
        contents = _contents(result, form)
        with replacing(out) as fresh:
            fresh.write_bytes(contents)
    if out != STDOUT:
        click.echo(f"written: {out}", err=True)


def _contents(result: Any, form: str) -> bytes:
    """Return the contents of a file with a result, in the format ``form``.

    The file is written and read, because libraries write pictures and archives only to files with the right suffix.
    """
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"result{suffix_of(form)}"
        _write(result, form, path)
        return path.read_bytes()


def _write(result: Any, form: str, path: Path) -> None:
    """Write a result to a file, in the format ``form``."""
    if form in ("text", "json"):
        path.write_text((str(result) if form == "text" else as_json(result)) + "\n", encoding="utf-8")
    elif form in PICTURES:
        result.plot().figure.savefig(path, format=form)
    elif form in ANIMATIONS:
        result.animate(path)
    else:
        from dynamics.results.storage import write

        write(result, path, suffix_of(form))


def as_json(result: Any) -> str:
    """Return a result as a JSON document."""
    import json

    from dynamics.presentation.plain import plain

    return json.dumps(plain(result.value if isinstance(result, Printed) else result), allow_nan=False)


def _ended(result: Any, destination: Destination) -> Exit:
    """Return the exit status for a result; if the computation ended early, print why.

    destination: where the command has written the result.
    """
    status = status_of(result)
    if status in (Exit.INCOMPLETE, Exit.INTERRUPTED):
        kept = "" if destination.out is not None or isinstance(result, Printed) else " (--out would keep the result)"
        click.echo(f"Ended early: {result.status}{kept}", err=True)
    return status


def deliver(text: str, out: str | None, whole_lines: bool = False) -> None:
    """Write a text to the file ``out``, or print the text if ``out`` is None or "-".

    whole_lines: True if the text already ends with a newline.
    """
    if out is None or out == STDOUT:
        click.echo(text, nl=not whole_lines)
    else:
        write_text(out, text)
        click.echo(f"written: {out}", err=True)


def text_file(*suffixes: str) -> Callable[..., Any]:
    """Return the option ``--out`` of a command that writes a text; ``suffixes`` are the allowed suffixes."""

    def check(context: click.Context, parameter: click.Parameter, out: str | None) -> str | None:
        if out is not None and out != STDOUT:
            if Path(out).suffix.lower() not in suffixes:
                raise click.UsageError(f"--out must end in one of {', '.join(suffixes)}, but is {out!r}.")
            check_path(out)
        return out

    return click.option(
        "--out",
        metavar="FILE",
        type=click.Path(dir_okay=False, allow_dash=True),
        callback=check,
        help=f"Write the text into a file ({', '.join(suffixes)}) instead of to standard output (-).",
    )
