"""Provide numerical methods that do not depend on a loss: quadrature, special functions, continuation, threads, memory.

This package may import ``errors`` and ``derived_loss``.
"""
