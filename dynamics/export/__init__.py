"""Export of a loss and its predictor as a PyTorch or JAX module that does not depend on this package.

May import ``derivations`` and ``errors``.
"""
