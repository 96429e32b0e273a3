"""Export the loss and the predictor of a model as a PyTorch or JAX module that does not depend on this package.

This package may import ``derivations`` and ``errors``.
"""
