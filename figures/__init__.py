"""One file a figure: compute, then draw. ``python -m figures`` lists them."""

import pkgutil

HELPERS = ("style", "captions", "gallery", "deep_networks", "__main__")


def names() -> list[str]:
    """Every module of this package is a figure, but the helpers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in HELPERS)
