"""Draw the small picture of a card. Its figure is independent of pyplot, so that no figure stays open."""

import io
import warnings
from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 4.0  # of the picture, in inches
PIXELS_PER_INCH = 96
SCALE = 2  # pixels of the file per pixel of the page, for screens with a high resolution


def small_picture(draw: Callable[[Axes], Any], height: float) -> tuple[bytes, int]:
    """Return a picture in the format PNG, and its width on the page in pixels.

    draw: function that draws into given axes. height: height of the picture in inches.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(), io.BytesIO() as file:
        warnings.simplefilter("ignore")  # a warning about a layout would stand beside every card
        draw(figure.add_subplot())
        figure.savefig(file, format="png", dpi=SCALE * PIXELS_PER_INCH)
        return file.getvalue(), round(WIDTH * PIXELS_PER_INCH)
