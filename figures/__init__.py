"""One file a figure: compute, then draw. ``python -m figures`` lists them."""

import pkgutil

HELPERS = ("style", "captions", "gallery", "deep_networks", "__main__")


def names() -> list[str]:
    """Return the names of all figures: every module of this package but the helpers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in HELPERS)
