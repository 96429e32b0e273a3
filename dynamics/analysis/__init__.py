"""Analyses of a model: equilibria, invariants, collapse, bifurcations, phase diagrams, time scales, and design.

Imports ``results``, ``solvers`` and what is below them, but not ``networks``.
"""
