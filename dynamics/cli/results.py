"""Define the commands that check, compare and draw: ``check``, ``compare``, ``plot`` and ``plot-sweep``."""

from pathlib import Path
from typing import Any

import click

from dynamics.cli.group import main
from dynamics.cli.options import FILE, PROGRESS, Numbers, model_options
from dynamics.cli.output import ANIMATIONS, DRAWN, PICTURES, Printed, prints
from dynamics.cli.parsing import model_of

QUANTITY = click.option(
    "--quantity",
    default="s",
    show_default=True,
    help="s, target or predictor (eigenvalues), or the name of another recorded quantity.",
)


class Members(click.IntRange):
    """Type of a command-line option whose value is a number of members of an ensemble, or all."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a number of members, or the text "all"; raise a usage error for any other value."""
        return value if value == "all" else super().convert(value, param, ctx)


LINES = click.option(
    "--lines",
    type=Members(0),
    metavar="NUMBER|all",
    help="Number of members of an ensemble that are drawn as thin lines in addition to median and quantiles.",
)


@main.command(params=model_options())
@click.option(
    "--s0",
    type=Numbers(),
    help="Eigenvalues of the check, such as 0.1,0.5,1; by default four eigenvalues from 0.1 to 0.9.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of samples and network.")
@PROGRESS
@prints(*DRAWN)
def check(s0: list[float] | None, seed: int, progress: bool | None, **others: Any) -> Any:
    """Check a model: compare gradient, rates, flow, descent map and network, each level with the next.

    \b
    The exit status is 1 if a level does not agree with the next:
      ssl-dynamics check --loss '-p . sg(z2) / |p| + beta * |z1|^2' --parameter beta=0.2
    """
    import dynamics as dyn

    return dyn.check(model_of(others), s0, seed=seed, progress=progress)


@main.command()
@click.argument("theory", type=FILE)
@click.argument("network", type=FILE)
@prints(*DRAWN)
def compare(theory: str, network: str) -> Any:
    """Compare the eigenvalues of a trained NETWORK with THEORY (.npz or .nc files), in units of the sampling error.

    NETWORK may also be a second theory, such as a flow beside a descent map.
    """
    import dynamics as dyn

    return dyn.compare(dyn.load(theory), dyn.load(network))


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@QUANTITY
@LINES
@prints(*PICTURES, *ANIMATIONS, required=True)
def plot(files: tuple[str, ...], quantity: str, lines: int | str | None) -> Any:
    """Draw saved trajectories (.npz or .nc files), all of them in one picture or animation.

    \b
    The format is that of the suffix; an animation draws curves from left to right:
      ssl-dynamics solve --s0 0.1,0.5 --end-time 20 --out flow.npz
      ssl-dynamics plot flow.npz --quantity predictor --out predictor.pdf
      ssl-dynamics plot flow.npz --out growth.gif
    """
    import dynamics as dyn

    # A flow comes first, because the others can be drawn against time, but a flow cannot be drawn against steps.
    first, *others = sorted(map(dyn.load, files), key=lambda trajectory: trajectory.kind != "flow")

    def draw() -> Any:
        axes = first.plot(None, quantity, lines=lines)
        for trajectory in others:
            trajectory.plot(axes, quantity, lines=lines)
        return axes

    return Printed(None, "", draw=draw, animate=lambda path: first.animate(path, *others, quantity=quantity))


@main.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False))
@click.option("--x", help="Axis of the grid along the columns of panels; by default the first that is not seed.")
@click.option("--y", help="Axis of the grid along the rows of panels; by default, without --x, the second.")
@QUANTITY
@LINES
@prints(*PICTURES, required=True)
def plot_sweep(store: str, x: str | None, y: str | None, quantity: str, lines: int | str | None) -> Any:
    """Draw the results of a sweep in STORE as panels, one for each value along one or two axes of its grid.

    For example: ssl-dynamics plot-sweep sweep.zarr --x weight_decay --y sigma2 --out sweep.png
    """
    import dynamics as dyn
    from dynamics.sweeps.store import open_dataset

    try:
        dataset = open_dataset(Path(store))
    except Exception as error:  # Zarr and xarray raise errors of many classes for a folder that is no store
        raise click.UsageError(f"STORE must be a folder that `sweep` has written, but is {store!r}: {error}") from error
    return Printed(None, "", draw=lambda: dyn.plot_sweep(dataset, x, y, quantity, lines=lines).flat[0])
