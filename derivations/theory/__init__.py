"""Derive expectations over Gaussian views, rates, exact solutions, invariants, equilibria and gains of losses.

This package imports ``symbols`` and ``losses``.
"""
