"""Models: loss and gain, predictor and target, inputs, and their parameters.

May import ``derivations``, ``export``, ``generated`` and what is below them.
"""
