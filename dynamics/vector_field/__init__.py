"""The right-hand side of a model's flow: rates of eigenmodes, or gradients of weight matrices.

May import ``model`` and what is below it.
"""
