"""What is simulated: the model, its loss and gain, predictor and target, and their parameters.

May import ``derivations``, ``export``, ``generated`` and what is below them.
"""
