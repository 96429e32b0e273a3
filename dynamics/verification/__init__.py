"""Comparison of a network with its theory (``compare``), and of each level of description with the next (``check``).

Imports ``networks``, ``solvers``, ``results`` and what is below them.
"""
