"""Verification: a network against its theory (``compare``), and every level of a model against the next (``check``).

Imports ``networks``, ``solvers``, ``results`` and what is below them.
"""
