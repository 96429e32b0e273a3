"""Compute, draw and caption the figures; each figure has one module. ``python -m figures`` lists all figures."""

import pkgutil

HELPERS = ("style", "captions", "statistics", "agreement", "gallery", "panels", "deep_networks", "__main__")


def names() -> list[str]:
    """Return the names of all figures: every module of this package that is not in HELPERS."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in HELPERS)
