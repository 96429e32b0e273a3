"""Runs the rows of the table: `python -m benchmarks [ROW ...]`; with all of them, `--out` writes the page."""

import importlib
import time
from pathlib import Path

import click

from benchmarks.page import as_text, page
from benchmarks.row import Row

ROWS = ("trajectory", "ensemble", "exact_solutions", "simulation", "training", "closure", "size", "start")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(ROWS))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the page with all rows there.")
def main(names, out):
    """Measure speed beside that of others; without a name, all rows."""
    if names and out:
        raise click.UsageError("--out needs all rows: leave the names out.")
    rows: list[Row] = []
    for name in names or ROWS:
        start = time.perf_counter()
        found = importlib.import_module(f"benchmarks.{name}").measure()
        rows += found if isinstance(found, list) else [found]
        for row in rows[-(len(found) if isinstance(found, list) else 1) :]:
            click.echo(as_text(row))
        click.echo(f"({name}: {time.perf_counter() - start:.0f} s)\n")
    if out:
        out.write_text(page(rows), encoding="utf-8")
        click.echo(f"written: {out}")


if __name__ == "__main__":
    main()
