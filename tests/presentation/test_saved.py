"""Pictures that Python saves have enough pixels for print; pictures in notebooks keep their size."""

import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.presentation.plotting import PRINTED, WIDTH

matplotlib.use("Agg")


def width_of(save, **options):
    """Width of a picture in pixels."""
    file = io.BytesIO()
    save(file, format="png", **options)
    file.seek(0)
    return plt.imread(file).shape[1]


def figure():
    return dyn.solve(dyn.Model("euclidean"), [0.5], [0.0, 1.0]).plot().figure


def test_a_saved_picture_has_the_pixels_of_print():
    assert width_of(figure().savefig) == WIDTH * PRINTED
    figure()
    assert width_of(plt.savefig) == WIDTH * PRINTED


@pytest.mark.parametrize(
    ("settings", "options", "dpi"),
    [
        ({}, {"dpi": 50}, 50),
        ({"savefig.dpi": 72}, {}, 72),
        ({"figure.dpi": 300}, {}, 300),
    ],
)
def test_a_resolution_that_the_user_has_chosen_is_kept(settings, options, dpi):
    with matplotlib.rc_context(settings):
        assert width_of(figure().savefig, **options) == WIDTH * dpi


def test_a_picture_in_a_notebook_keeps_its_size():
    """Notebooks call ``print_figure`` of the canvas, with the resolution of the figure."""
    drawn = figure()
    assert width_of(drawn.canvas.print_figure, dpi=drawn.dpi) == WIDTH * matplotlib.rcParams["figure.dpi"]


def test_a_comparison_and_a_sweep_are_saved_alike(tmp_path):
    flow = dyn.solve(dyn.Model("euclidean"), [0.5], np.array([0.0, 0.1]))
    lower = dyn.compare(flow, dyn.iterate(dyn.Model("euclidean"), [0.5], 1, 0.1)).plot()
    assert width_of(lower.figure.savefig) == WIDTH * PRINTED
