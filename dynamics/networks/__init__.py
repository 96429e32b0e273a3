"""Networks that are really trained: the check of the theory by gradients of the loss itself.

``train`` dispatches to a linear network (``linear``) or a deep one (``deep/``); both go through one ``loop``.
May import results, solvers, vector_field, model, generated, numerics and errors.
"""
