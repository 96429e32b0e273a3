"""Compute the right-hand side of a model's gradient flow: rates of eigenmodes, or forces on weight matrices.

This package may import ``model`` and the packages below it.
"""
