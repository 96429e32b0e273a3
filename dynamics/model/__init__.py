"""Models: loss and gain, predictor and target branch, input covariance, and parameters.

May import ``derivations``, ``export``, ``generated`` and what is below them.
"""
