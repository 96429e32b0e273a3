"""Levels of description checked against each other: theory against network, and each level against the next.

May import ``analysis``, ``networks`` and what is below them.
"""
