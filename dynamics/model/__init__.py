"""Define models: loss, gain, predictor, target branch, covariance of the inputs, and parameters.

This package may import ``derivations``, ``export``, ``generated`` and all packages that these may import.
"""
