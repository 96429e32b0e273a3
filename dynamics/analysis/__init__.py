"""Analyse models: equilibria, invariants, collapse, bifurcations, phase diagrams, time scales, and designed gains.

This package may import ``results``, ``solvers`` and all packages that ``results`` and ``solvers`` may import, but not
``networks``.
"""
