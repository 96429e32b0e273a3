"""Linear and deep networks, really trained, by automatic differentiation of the loss.

May import ``solvers`` and what is below it.
"""
