"""Define the commands that check, compare and draw: ``check``, ``compare`` and ``plot``."""

from typing import Any

import click

from dynamics.cli.group import main
from dynamics.cli.options import FILE, PROGRESS, Numbers, model_options
from dynamics.cli.output import DRAWN, PICTURES, Printed, prints
from dynamics.cli.parsing import model_of


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
    """Compare the eigenvalues of a trained NETWORK with THEORY (.npz files), in units of the sampling error."""
    import dynamics as dyn

    return dyn.compare(dyn.load(theory), dyn.load(network))


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--quantity",
    default="s",
    show_default=True,
    help="s, target or predictor (eigenvalues), or a measured quantity of a deep network.",
)
@prints(*PICTURES, required=True)
def plot(files: tuple[str, ...], quantity: str) -> Any:
    """Draw saved trajectories (.npz files), all of them in one picture.

    \b
    The format of the picture is that of its suffix:
      ssl-dynamics solve --s0 0.1,0.5 --end-time 20 --out flow.npz
      ssl-dynamics plot flow.npz --quantity predictor --out predictor.pdf
    """
    import dynamics as dyn

    # A flow comes first, because the others can be drawn against time, but a flow cannot be drawn against steps.
    trajectories = sorted(map(dyn.load, files), key=lambda trajectory: trajectory.kind != "flow")

    def draw() -> Any:
        axes = None
        for trajectory in trajectories:
            axes = trajectory.plot(axes, quantity)
        return axes

    return Printed(None, "", draw=draw)
