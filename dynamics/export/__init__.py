"""A loss and its predictor as a module of PyTorch or JAX that does not depend on this package.

May import ``derivations`` and ``errors``.
"""
