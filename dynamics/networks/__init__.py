"""Training of networks by automatic differentiation of the loss, which checks the theory.

``train`` trains a linear network (``linear``) or a deep network (``deep/``); both use the same ``loop``.
May import results, solvers, vector_field, model, generated, numerics and errors.
"""
