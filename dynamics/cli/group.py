"""Define the main command ``ssl-dynamics``, to which the other modules add their commands."""

import warnings
from typing import Any

import click

from dynamics import __version__
from dynamics.cli.exits import MEANINGS, reported
from dynamics.cli.hints import option_hint, word_hint
from dynamics.cli.wording import in_options
from dynamics.numerics.progress import rewording

SECTIONS = {  # titles of the groups of commands in the help, for each module that defines commands
    "runs": "Runs",
    "results": "Checks and pictures",
    "analyses": "Analyses",
    "documents": "Derivations, export and figures",
}

FIRST_STEPS = """\
Eigenvalue dynamics of non-contrastive self-supervised learning. To try first:

  ssl-dynamics solve --s0 0.01,0.1,0.5 --end-time 60 --out flow.png   # three modes, as a picture
  ssl-dynamics collapse --s0 0.01,0.5 --weight-decay 0.05             # which modes survive, and why
  ssl-dynamics check --loss '-p . sg(z2) / |p|'                       # theory and network of your loss

`ssl-dynamics --help` lists all commands and exit statuses, `ssl-dynamics COMMAND --help` all options."""


class Command(click.Command):
    """A command; its messages on wrong options, or on values in a wrong form, give hints."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options of the command; raises a usage error, with a hint."""
        words = list(args)  # click removes words from its list
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if hint := option_hint(self, error.option_name):
                raise click.UsageError(f"{error.message.rstrip('.')}. {hint}", ctx) from None
            raise
        except click.UsageError as error:
            if hint := word_hint(self, words):
                raise click.UsageError(f"{error.format_message().rstrip('.')}. {hint}", ctx) from None
            raise


class Commands(click.Group):
    """The group of subcommands; errors are printed as one line, and each kind has its own exit status."""

    command_class = Command

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the options that stand before the subcommand; click prints help and version here."""
        with reported():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; warnings are printed as one line, and messages name options of the command."""

        def wording(message: str) -> str:
            command = self.commands.get(ctx.invoked_subcommand or "")
            return message if command is None else in_options(message, command)

        with reported(wording), rewording(wording), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: click.echo(f"Warning: {wording(str(message))}", err=True)
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, sorted by the modules that define them."""
        for module, title in SECTIONS.items():
            commands = {name: command for name, command in self.commands.items() if _module(command) == module}
            with formatter.section(title):
                formatter.write_dl([(name, _summary(command)) for name, command in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the meanings of the exit statuses."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(int(status)), meaning) for status, meaning in MEANINGS.items()])


def _summary(command: click.Command) -> str:
    """Return the first sentence of the help of a command."""
    return command.get_short_help_str(limit=200)


def _module(command: click.Command) -> str:
    return str(command.callback.__module__).rpartition(".")[-1]


ALIASES = {"lr": "learning-rate", "wd": "weight-decay"}  # other names of options; help leaves them out
SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "token_normalize_func": lambda name: ALIASES.get(name, name.replace("_", "-")),
}


@click.group(cls=Commands, context_settings=SETTINGS, invoke_without_command=True, no_args_is_help=False)
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context) -> None:
    """Compute eigenvalue dynamics of non-contrastive self-supervised learning, and check the theory with networks.

    Each command calls the Python function of the same name. Time is the learning rate times the number of steps.

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

    \b
    Results as JSON, and on standard output in any format:
      ssl-dynamics collapse --s0 0.01,0.5 --weight-decay 0.05 --json
      ssl-dynamics solve --s0 0.01,0.1,0.5 --end-time 60 --out - --format csv
    """
    if context.invoked_subcommand is None:
        click.echo(FIRST_STEPS)
