"""Numerical methods without reference to a model: quadrature, continuation, special functions, and running long work.

May import ``dynamics.errors`` and ``dynamics.derived_loss``, and no other package.
"""
