"""Define the exit status of commands, and convert errors to an exit status and one line of text."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any

import click

from dynamics.errors import ArgumentError, MissingExtraError, SweepError


class Exit(IntEnum):
    """Exit status of a command; each status has one meaning, see ``MEANINGS``."""

    SUCCESS = 0
    DISAGREEMENT = 1
    INVALID = 2
    INCOMPLETE = 3
    INPUT_OUTPUT = 4
    NOT_INSTALLED = 5
    INTERNAL = 70
    INTERRUPTED = 130
    CLOSED_PIPE = 141


# As for grep and diff, 1 means that the answer is no, and 2 that the question is wrong; click uses 2 for wrong options.
# Python's own status of an unhandled exception is 1, which would read as a check that does not hold; 70 is EX_SOFTWARE
# of sysexits.h. 130 and 141 are what a shell reports for SIGINT and SIGPIPE.
MEANINGS = {
    Exit.SUCCESS: "The command is complete.",
    Exit.DISAGREEMENT: "A check does not hold: levels of description disagree.",
    Exit.INVALID: "An option, an argument, or the file that it names is not valid; nothing was computed.",
    Exit.INCOMPLETE: "The computation ended early, for example because eigenvalues diverge; the result up to there is "
    "printed and written.",
    Exit.INPUT_OUTPUT: "A file cannot be read or written, for example because the disk is full.",
    Exit.NOT_INSTALLED: "A part that the command needs is not installed.",
    Exit.INTERNAL: "An error in this program; the traceback is printed.",
    Exit.INTERRUPTED: "Interrupted by Ctrl-C; the result up to there is printed and written, unless a line on standard "
    "error states that nothing is kept.",
    Exit.CLOSED_PIPE: "The reader of the output has closed the pipe, such as `head`; nothing is reported.",
}


class Failure(click.ClickException):
    """An error that is printed as one line; the exit status states its kind."""

    def __init__(self, message: str, status: Exit) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]  # constant in a class of click, where each kind is a class


@contextmanager
def reported(wording: Callable[[str], str] = str) -> Iterator[None]:
    """Convert errors that are raised inside to an exit status and one line, which click prints.

    wording: function that rewrites messages on arguments of Python functions. The traceback of an error in this program
    is printed. If the output cannot be written, it is redirected to the null device.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.exceptions.Abort):
        raise
    except ArgumentError as error:
        raise Failure(wording(str(error)), Exit.INVALID) from error
    except SweepError as error:
        output = isinstance(error.__cause__, OSError)
        raise Failure(str(error), Exit.INPUT_OUTPUT if output else Exit.INCOMPLETE) from error
    except MissingExtraError as error:
        raise Failure(str(error), Exit.NOT_INSTALLED) from error
    except KeyboardInterrupt as error:
        raise Failure("Interrupted; no result is kept.", Exit.INTERRUPTED) from error
    except OSError as error:
        _raise_output_error(error)
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise click.exceptions.Exit(Exit.INTERNAL) from error


def _raise_output_error(error: OSError) -> None:
    """Raise the error of click that ends the command, for an error of the operating system.

    An error that names no file means that the output cannot be written. A closed pipe is no error of the user.
    """
    if error.filename is not None or error.errno is None:
        raise Failure(str(error), Exit.INPUT_OUTPUT) from error
    with suppress(OSError, ValueError):  # otherwise Python would try to write the rest of the output when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        raise click.exceptions.Exit(Exit.CLOSED_PIPE) from error
    raise Failure(f"The output cannot be written: {error.strerror}.", Exit.INPUT_OUTPUT) from error


def status_of(result: Any) -> Exit:
    """Return the exit status of a command that has computed a result."""
    status = getattr(result, "status", "complete")
    if "interrupted" in status:
        return Exit.INTERRUPTED
    if not getattr(result, "complete", status.startswith("complete")):
        return Exit.INCOMPLETE
    return Exit.SUCCESS if getattr(result, "passed", True) else Exit.DISAGREEMENT
