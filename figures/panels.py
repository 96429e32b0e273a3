"""Name the panels of a figure, and reduce a figure to one of its panels.

A module of a figure with several panels lists their names in ``PANELS``, in the order in which ``draw`` creates the
axes: row by row, from left to right. If the panels can be computed one by one, ``KEYS`` lists their keys in the data.
"""

import importlib
import re
from collections.abc import Iterable
from itertools import product
from typing import Any

from matplotlib.figure import Figure

SIZE = (4.2, 3.2)  # of a figure with one panel, in inches
COLUMNS = 3  # largest number of columns of its legend


def panel_names(*titles: Iterable[str]) -> tuple[str, ...]:
    """Return the names of panels in rows and columns, such as "cosine-isotropic".

    titles: the titles of the rows and the titles of the columns; or only the titles of all panels.
    """
    return tuple(re.sub(r"[^a-z0-9.]+", "-", " ".join(parts).lower()).strip("-") for parts in product(*titles))


def panels_of(figure: str) -> tuple[str, ...]:
    """Return the names of the panels of a figure; empty for a figure with one panel."""
    return getattr(importlib.import_module(f"figures.{figure}"), "PANELS", ())


def panel_keys(figure: str, panel: str | None) -> tuple[Any, ...]:
    """Return the keys of the data that a panel of a figure needs; () if the panel is None or needs the whole figure.

    If the panels of a figure are computed independently, the module of the figure lists their names in ``PANELS``. In
    the same order, ``KEYS`` lists the keys of the dictionary that ``compute(full, keys)`` returns.
    """
    keys = getattr(importlib.import_module(f"figures.{figure}"), "KEYS", ())
    return (keys[panels_of(figure).index(panel)],) if keys and panel is not None else ()


def keep(figure: Figure, index: int, panels: int) -> None:
    """Remove all panels of a figure but one, which then fills the figure; legends and colour bars remain.

    index: number of the panel. panels: number of all panels; they are the first axes of the figure.
    """
    others, bars = figure.axes[:panels], figure.axes[panels:]
    panel: Any = others.pop(index)
    _copy_texts(panel, others)
    for ax in others:
        ax.remove()
    panel.set_subplotspec(panel.figure.add_gridspec(1, 1)[0])
    panel.tick_params(labelbottom=True, labelleft=True)
    bar: Any
    for bar in bars:
        bar._colorbar_info["parents"] = [panel]  # matplotlib has no public way
    figure.set_size_inches(*SIZE)
    for legend in list(figure.legends):
        handles: list[Any] = legend.legend_handles
        labels = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(COLUMNS, len(labels)))


def _copy_texts(panel: Any, others: list[Any]) -> None:
    """Give a panel the title and axis labels that only the outer panels of its row and column show."""
    spec = panel.get_subplotspec()
    beside = [(ax, ax.get_subplotspec()) for ax in others if ax.get_gridspec() is panel.get_gridspec()]
    column = sorted(((s.rowspan.start, ax) for ax, s in beside if s.colspan == spec.colspan), key=lambda pair: pair[0])
    row = sorted(((s.colspan.start, ax) for ax, s in beside if s.rowspan == spec.rowspan), key=lambda pair: pair[0])
    if column and not panel.get_title():
        panel.set_title(column[0][1].get_title())
    if column and not panel.get_xlabel() and column[-1][1].get_xscale() == panel.get_xscale():
        panel.set_xlabel(column[-1][1].get_xlabel())
    if row and not panel.get_ylabel() and row[0][1].get_yscale() == panel.get_yscale():
        panel.set_ylabel(row[0][1].get_ylabel())
