"""From a model and initial eigenvalues to a trajectory: exact solution, flow, descent map, finite batches.

May import ``results``, ``vector_field`` and what is below them.
"""
