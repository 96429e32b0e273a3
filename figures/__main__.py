"""Draw one figure, or write the page that shows all figures."""

import importlib
from pathlib import Path

import click

from dynamics.errors import ArgumentError
from dynamics.numerics.files import write_text
from dynamics.results.animation import check_file
from figures import captions, gallery, names, style


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
    "--animate",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_animation,
    help="File (.gif, or .mp4 with ffmpeg) for an animation, in which the curves are drawn from left to right.",
)
def main(name: str | None, out: Path, full: bool, animate: Path | None) -> None:
    """Compute and draw the figure NAME; write NAME.png, NAME.pdf and the caption NAME.md into the folder --out."""
    if name is None:
        click.echo(click.get_current_context().get_help())
        return
    out.mkdir(parents=True, exist_ok=True)
    if name == "gallery":
        gallery.write(out)
        return
    figure = importlib.import_module(f"figures.{name}")
    data = figure.compute(full)
    style.save(figure.draw, data, out / name)
    if animate is not None:
        style.animate(figure.draw, data, animate)
    write_text(out / f"{name}.md", captions.reflow(figure.caption(data, full)))


if __name__ == "__main__":
    main(prog_name="python -m figures")
