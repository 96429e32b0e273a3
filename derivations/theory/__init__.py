"""The derivations: expectations over Gaussian views, rates, exact solutions, invariants, equilibria, gain design.

Imports ``symbols`` and ``losses``.
"""
