"""Define the trajectory, the common result of flow, descent map and network, and print, save, load and draw it.

This package may import ``model`` and ``vector_field``.
"""
