"""Eigenvalue dynamics of non-contrastive self-supervised learning: exact solution, flow, descent map and network.

    import dynamics as dyn
    model = dyn.Model(loss="cosine", noise=(0.0, 0.1))
    flow = dyn.solve(model, s0=[0.1, 0.5, 1.0], times=range(10))

Time is the learning rate times the number of steps. ``__init__.pyi`` lists the public names. The module that defines a
name is imported when the name is first used, so that SymPy, JAX and matplotlib are loaded only when they are needed.
"""

from typing import Any

import lazy_loader

__version__ = "0.2.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Return a public name, whose module is imported now; raise AttributeError with the nearest name otherwise."""
    try:
        return _load(name)
    except AttributeError:
        if name in __all__:
            raise
        if name.startswith("_"):
            raise AttributeError(f"`dynamics` has no `{name}`.") from None
    from dynamics.errors import nearest

    alike = [public for public in __all__ if public[0].isupper() == name[0].isupper()]  # classes, or functions
    near = nearest(name, alike) or nearest(name, __all__)
    raise AttributeError(f"`dynamics` has no `{name}`." + (f" Did you mean `{near}`?" if near else ""))
