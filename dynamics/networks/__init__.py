"""Networks that are really trained, linear and deep, with gradients by automatic differentiation.

May import ``solvers`` and what is below it.
"""
