"""From a model and initial eigenvalues to a trajectory: exact solution, integrated flow, descent map, networks at finite batches.

May import ``results``, ``vector_field`` and what is below them.
"""
