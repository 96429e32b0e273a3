"""Draw one figure, or write the page that shows all figures."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from dynamics.errors import ArgumentError
from dynamics.numerics.files import write_text
from dynamics.results.animation import check_file
from figures import captions, gallery, names, style
from figures.panels import keep, panel_keys, panels_of


class _Command(click.Command):
    """A command whose help ends with the list of figures."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Figures"):
            titles = [(name, gallery.title(name)) for name in names()]
            formatter.write_dl([*titles, ("gallery", "One page with all figures.")])


def _animation(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Return the path of an animation; raise a usage error if it cannot be written."""
    try:
        return None if path is None else check_file(path)
    except ArgumentError as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("name", required=False, type=click.Choice([*names(), "gallery"]), metavar="NAME")
@click.option("--out", default="build/figures", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--full",
    is_flag=True,
    help="Compute at the size of Halvagal et al. (2023). The longest figure then takes hours instead of a minute.",
)
@click.option(
    "--panel",
    help="Draw one panel of the figure, such as cosine-isotropic of fig2_eigenvalues, into NAME-PANEL.png; `list` "
    "prints the names of the panels. If the panels of the figure are independent, this one alone is computed.",
)
@click.option(
    "--animate",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_animation,
    help="File (.gif, or .mp4 with ffmpeg) for an animation, in which the curves are drawn from left to right.",
)
def main(name: str | None, out: Path, full: bool, panel: str | None, animate: Path | None) -> None:
    """Compute and draw the figure NAME; write NAME.png, NAME.pdf and the caption NAME.md into the folder --out."""
    if name is None:
        click.echo(click.get_current_context().get_help())
        return
    panels = () if name == "gallery" else panels_of(name)
    if panel == "list":
        click.echo("\n".join(panels) or f"The figure {name} has one panel.")
        return
    if panel is not None and panel not in panels:
        allowed = f"one of {', '.join(panels)}" if panels else f"left out, because {name} has one panel"
        raise click.UsageError(f"--panel must be {allowed}, but is {panel!r}.")
    out.mkdir(parents=True, exist_ok=True)
    if name == "gallery":
        gallery.write(out)
        return
    figure = importlib.import_module(f"figures.{name}")
    draw, stem, chosen = figure.draw, name, panel_keys(name, panel)
    data = figure.compute(full, chosen) if chosen else figure.compute(full)
    drawn = data
    if panel is not None:
        draw, stem = partial(_draw_panel, figure.draw, panels.index(panel), len(panels)), f"{name}-{panel}"
        drawn = dict.fromkeys(figure.KEYS, data[chosen[0]]) if chosen else data  # the other panels are removed
    style.save(draw, drawn, out / stem)
    click.echo(f"drawn: {out / stem}.png and .pdf", err=True)
    if animate is not None:
        style.animate(draw, drawn, animate)
    text = captions.reflow(figure.caption(data, full))  # after the picture, because statistics may take longer
    if panel is not None:
        text = f"The panel `{panel}` of the figure `{name}`, which has the following caption.\n\n{text}"
    write_text(out / f"{stem}.md", text)
    click.echo(f"written: {out / stem}.md", err=True)


def _draw_panel(draw: Callable[[Any], Figure], index: int, panels: int, data: Any) -> Figure:
    """Draw a figure, keep only one of its panels, and return the figure."""
    figure = draw(data)
    keep(figure, index, panels)
    return figure


if __name__ == "__main__":
    main(prog_name="python -m figures")
