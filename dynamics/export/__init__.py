"""A loss and its predictor as a module of PyTorch or JAX that needs nothing of this package.

May import ``derivations`` and ``errors``.
"""
