"""Compute trajectories from a model and initial eigenvalues: exact solution, flow, descent map, finite batches.

May import ``results``, ``vector_field`` and the packages below them.
"""
