"""From a model and initial eigenvalues to a trajectory: exact solution, integrated flow, descent map, linear noise.

May import ``results``, ``vector_field`` and what is below them.
"""
