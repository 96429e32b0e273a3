"""Levels of description checked against each other.

May import ``analysis``, ``networks`` and what is below them.
"""
