"""Measure rows of the benchmark table: `python -m benchmarks [ROW ...]`. `--out FILE` writes a page with all rows."""

import importlib
import time
from pathlib import Path

import click

from benchmarks.page import as_text, page
from benchmarks.row import Row
from dynamics.numerics.files import write_text

ROWS = (
    "trajectory",
    "ensemble",
    "exact_ensemble",
    "roofline",
    "matrices",
    "sweeps",
    "exact_solutions",
    "simulation",
    "training",
    "deep_training",
    "closure",
    "size",
    "start",
    "install",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(ROWS))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the page with all rows to this file."
)
def main(names: tuple[str, ...], out: Path | None) -> None:
    """Measure the rows NAMES of the benchmark table against other libraries; without a name, all rows."""
    if names and out:
        raise click.UsageError("--out writes a page with all rows, so that no names of rows may be given with it.")
    rows: list[Row] = []
    for name in names or ROWS:
        start = time.perf_counter()
        measured = importlib.import_module(f"benchmarks.{name}").measure()
        measured = measured if isinstance(measured, list) else [measured]
        for row in measured:
            click.echo(as_text(row))
        rows += measured
        click.echo(f"({name}: {time.perf_counter() - start:.0f} s)\n")
    if out:
        write_text(out, page(rows))
        click.echo(f"written: {out}")


if __name__ == "__main__":
    main()
