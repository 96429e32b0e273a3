"""Helpers of the tests of checks: a model with few modes, and derived functions that are exchanged for wrong ones."""

from dataclasses import replace

import dynamics as dyn

LEVELS = ["basis", "gradient", "rates", "exact", "descent map", "network"]
BELL = dyn.Loss.parse("-exp(-|p - sg(z2)|^2 / 2) + beta * |z1|^2 / 4", beta=0.2)


def failed(check):
    """Names of the levels that disagree."""
    assert [level.name for level in check.levels] == LEVELS
    return [level.name for level in check.levels if not level.passed]


VIEWS = dyn.Views.modes([0.6, 2.0, 1.5], [0.4, 1.7, 1.0], [0.35, 2.2, 1.2])  # less than is shared in one view
FEW = (0.2, 0.7)  # modes, which take less time
EUCLIDEAN = dyn.Model("euclidean", noise=(0.3, 0.2), weight_decay=0.05)


def check(model, **options):
    """The check of a model with few modes."""
    return dyn.check(model, FEW, progress=False, **options)


def with_functions(monkeypatch, model, **functions):
    """Exchange functions derived for a model; each maker is given the original."""
    original = model.generated
    broken = replace(original, **{name: make(getattr(original, name)) for name, make in functions.items()})
    monkeypatch.setattr(dyn.Model, "generated", property(lambda self: broken))


def scaled(force):
    """A function whose result is wrong by 1e-6."""
    return lambda *arguments: force(*arguments) * (1 + 1e-6)
