"""Trajectories, saved and loaded, and how they are drawn.

May import ``vector_field`` and what is below it.
"""
