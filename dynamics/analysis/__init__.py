"""What a model does without simulating it: equilibria, stability, bifurcations, collapse, time scales, design.

May import ``derivations``, ``solvers`` and what is below it.
"""
