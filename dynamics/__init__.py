"""Eigenvalue dynamics of non-contrastive self-supervised learning: exact solution, flow, descent map and network.

    import dynamics as dyn
    model = dyn.Model(loss="cosine", noise=(0.0, 0.1))
    flow = dyn.solve(model, s0=[0.1, 0.5, 1.0], times=range(10))

Time is the learning rate times the number of steps. ``__init__.pyi`` lists the public names. The module that defines a
name is imported when the name is first used, so that SymPy, JAX and matplotlib are loaded only when they are needed.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
