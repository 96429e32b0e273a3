"""Analysis of a model without simulating it: equilibria, bifurcations, collapse, time scales, design.

May import ``derivations``, ``solvers`` and what is below it.
"""
