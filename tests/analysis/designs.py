"""Shared by the tests of designs: a noisy Euclidean model, and designs with it."""

import dynamics as dyn

NOISE = (0.5, 0.1)
REST = 1 / (1 + NOISE[0] ** 2)
BETWEEN = (0.01, 0.3)


def euclidean(alpha=1.0, noise=NOISE, **options):
    return dyn.Model("euclidean", predictor=dyn.ClosedForm(alpha), noise=noise, **options)


def decaying():
    return euclidean(weight_decay=0.05)


def designed(target, model=None, between=BETWEEN):
    return dyn.design(target, euclidean() if model is None else model, between=between)


def refused(target, model=euclidean, between=BETWEEN):
    """A call that raises."""
    return lambda: dyn.design(target, model(), between=between)
