"""Draw one figure, or write the page that shows all figures."""

import importlib
from pathlib import Path

import click

from dynamics.numerics.files import write_text
from figures import captions, gallery, names, style


class _Command(click.Command):
    """A command whose help ends with the list of figures."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Figures"):
            titles = [(name, gallery.title(name)) for name in names()]
            formatter.write_dl([*titles, ("gallery", "One page with all figures.")])


@click.command(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("name", required=False, type=click.Choice([*names(), "gallery"]), metavar="NAME")
@click.option("--out", default="build/figures", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--full",
    is_flag=True,
    help="Compute at the size of Halvagal et al. (2023). The longest figure then takes hours instead of a minute.",
)
def main(name: str | None, out: Path, full: bool) -> None:
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
    write_text(out / f"{name}.md", captions.reflow(figure.caption(data, full)))


if __name__ == "__main__":
    main(prog_name="python -m figures")
