"""Define the trajectory, the common result of flow, descent map and network; save, load, print and draw trajectories.

This package may import ``model`` and ``vector_field``.
"""
