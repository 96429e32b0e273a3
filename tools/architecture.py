"""Draw the packages and their imports in docs/architecture.svg, and list them in docs/architecture.txt.

``python tools/architecture.py`` writes both files. With ``--check`` it fails if the list differs from the imports in
the code. Packages are drawn as a tower of floors; a package imports only from packages on lower floors.
"""

import ast
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

import grimp
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parent.parent
TEXT, PICTURE = ROOT / "docs" / "architecture.txt", ROOT / "docs" / "architecture.svg"
NOTICE = "# Written by `make docs`: each package, from the top floor down, and the packages that it imports."
DERIVATIONS = "derivations"
WIDTH, HEIGHT, GAP = 10.0, 0.64, 0.3  # width of the tower; height of a box in a floor of height 1; gap between boxes
LETTERS = 13  # letters per unit of width
BLUE, ORANGE, GREY = "#33638d", "#b35806", "0.45"

Imports = set[tuple[str, str]]  # pairs (package, package that it imports)


class Box(NamedTuple):
    """The rectangle in which a package is drawn."""

    left: float
    bottom: float
    width: float
    height: float


# --- packages and imports of the code -------------------------------------------------------------------------------


def floors() -> list[list[str]]:
    """Return the packages of each floor of dynamics from the top down, as listed by the contract in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == ["dynamics"])
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def package_of(module: str) -> str | None:
    """Return the package of a module; None for the top level of dynamics, which only exports names."""
    root, *rest = module.split(".")
    name = rest[0] if rest and root == "dynamics" else root
    return None if name in ("dynamics", "__main__") else name


def imports() -> Imports:
    """Return the imports between packages, including imports inside functions."""
    graph = grimp.build_graph("dynamics", DERIVATIONS, cache_dir=None)
    pairs = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            source, target = package_of(module), package_of(imported)
            if source and target and source != target:
                pairs.add((source, target))
    return pairs


def needed_arrows(arrows: Imports) -> list[tuple[str, str]]:
    """Return the imports to draw: an import of b by a is left out if a also reaches b through another package."""
    below = {a: {b for source, b in arrows if source == a} for a, _ in arrows}

    def reached(name: str) -> set[str]:
        return below.get(name, set()).union(*(reached(b) for b in below.get(name, ())))

    return sorted((a, b) for a, b in arrows if not any(b in reached(c) for c in below[a] - {b}))


def as_text(arrows: Imports) -> str:
    """Return one line for each package, with the packages that it imports."""
    order = [*(name for floor in floors() for name in floor), DERIVATIONS]
    lines = [NOTICE]
    for source in order:
        targets = [target for target in order if (source, target) in arrows]
        lines.append(f"{source}: {', '.join(targets) or '-'}")
    return "\n".join(lines) + "\n"


def summary(name: str) -> str:
    """Return the first line of the docstring of a package."""
    path = ROOT / name if name == DERIVATIONS else ROOT / "dynamics" / name
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]


# --- the picture ----------------------------------------------------------------------------------------------------


def places() -> dict[str, Box]:
    """Return the rectangle of each package: the tower of floors, and derivations beside the floors that import it."""
    stories = floors()
    boxes = {}
    for number, floor in enumerate(reversed(stories)):
        width = (WIDTH - GAP * (len(floor) - 1)) / len(floor)
        boxes |= {name: Box(i * (width + GAP), number, width, HEIGHT) for i, name in enumerate(floor)}
    low, high = boxes["export"].bottom, boxes["cli"].bottom
    return boxes | {DERIVATIONS: Box(WIDTH + 1.2, low, 3.2, high - low + HEIGHT)}


def draw_box(axes: Axes, name: str, box: Box) -> None:
    """Draw a rounded box with the name of a package and the summary of its docstring."""
    shape = {"boxstyle": "round,pad=0,rounding_size=0.1", "ec": "none", "fc": ORANGE if name == DERIVATIONS else BLUE}
    axes.add_patch(FancyBboxPatch((box.left, box.bottom), box.width, box.height, **shape))
    words = summary(name) + (" Writes generated." if name == DERIVATIONS else "")
    lines = textwrap.wrap(words.replace("``", ""), int(LETTERS * box.width))
    middle = (box.left + box.width / 2, box.bottom + box.height / 2)
    style = {"textcoords": "offset points", "color": "white", "ha": "center"}
    axes.annotate(name, middle, (0, 4 * len(lines)), va="center", weight="bold", size=10, **style)
    axes.annotate("\n".join(lines), middle, (0, 4 * len(lines) - 7), va="top", size=6.5, **style)


def draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, bend: float = 0) -> None:
    """Draw an arrow between two points.

    bend: distance of the middle of the arrow from a straight line, divided by the length of the line.
    """
    look = {"arrowstyle": "-|>", "mutation_scale": 10, "shrinkA": 0, "shrinkB": 0, "color": colour, "lw": 1.1}
    axes.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", **look))


def draw_import(axes: Axes, source: Box, target: Box) -> None:
    """Draw the arrow of an import.

    The arrow leads down to the next floor, around the floors between source and target, or to the right to derivations.
    """
    height, top = source.bottom + HEIGHT / 2, target.bottom + target.height
    if target.left > WIDTH:
        draw_arrow(axes, (source.left + source.width, height), (target.left, height), ORANGE)
    elif source.bottom - target.bottom < 1.5:
        low = max(source.left, target.left)
        high = min(source.left + source.width, target.left + target.width)
        start = end = (low + high) / 2
        if low > high:  # no overlap: from corner to corner
            inwards = 0.5 if source.left > target.left else -0.5
            start, end = start + inwards, end - inwards
        draw_arrow(axes, (start, source.bottom), (end, top), GREY)
    else:
        right = source.left + source.width > WIDTH / 2
        x, bend = (WIDTH, -0.3) if right else (0, 0.3)
        draw_arrow(axes, (x, height), (x, target.bottom + HEIGHT / 2), GREY, bend)


def picture(arrows: Imports) -> Figure:
    """Draw the packages, the imports that do not follow from other imports, and all imports of derivations."""
    boxes = places()
    figure = Figure(figsize=(10, 7.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.6, WIDTH + 4.6), ylim=(-0.2, len(floors()) - 0.2))
    axes.axis("off")
    callers = [pair for pair in arrows if pair[1] == DERIVATIONS]
    for source, target in sorted({*needed_arrows(arrows), *callers}):
        draw_import(axes, boxes[source], boxes[target])
    for name, box in boxes.items():
        draw_box(axes, name, box)
    return figure


def main(arguments: list[str]) -> int:
    """Write the picture and the list of the packages; with ``--check``, compare the list with the code."""
    arrows = imports()
    text = as_text(arrows)
    if arguments == ["--check"]:
        if TEXT.is_file() and TEXT.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TEXT.relative_to(ROOT)} differs from the imports in the code: run `make docs` to write it anew.")
        return 1
    TEXT.write_text(text, encoding="utf-8")
    with matplotlib.rc_context({"svg.hashsalt": "architecture", "svg.fonttype": "none", "font.family": "sans-serif"}):
        picture(arrows).savefig(PICTURE, metadata={"Date": None})
    print(f"written: {TEXT}, {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
