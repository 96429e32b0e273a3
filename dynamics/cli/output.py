"""Write the output of commands to the screen or to a file; the path of the file is checked before any computation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dynamics.numerics.files import replacing, write_text

PICTURES = (".png", ".pdf", ".svg")


def writable(*suffixes: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a function that checks the value of the option ``--out``.

    The function raises a usage error if the suffix of the file is not in ``suffixes``, or if the folder does not exist.
    """

    def check(context: click.Context, parameter: click.Parameter, out: str | None) -> str | None:
        if out is not None and Path(out).suffix.lower() not in suffixes:
            raise click.UsageError(f"--out must end in one of {', '.join(suffixes)}, but is {out!r}.")
        if out is not None and not Path(out).parent.is_dir():
            raise click.UsageError(f"--out must name a file in an existing folder, but is {out!r}.")
        return out

    return check


def deliver(text: str, out: str | None, whole_lines: bool = False) -> None:
    """Write a text to the file ``out``, or print the text if ``out`` is None.

    whole_lines: True if the text already ends with a newline.
    """
    if out is None:
        click.echo(text, nl=not whole_lines)
    else:
        write_text(out, text)
        click.echo(f"written: {out}")


def report(result: Any, out: str | None) -> None:
    """Print a result; if ``out`` is not None, also write the result to the file ``out``, as data or as a picture."""
    click.echo(str(result))
    if out is None:
        return
    suffix = Path(out).suffix.lower()
    if suffix in PICTURES:
        with replacing(out) as fresh:
            result.plot().figure.savefig(fresh, dpi=200)
    else:
        out = {".npz": result.save, ".csv": result.to_csv}[suffix](out)
    click.echo(f"written: {out}")
