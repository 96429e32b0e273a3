"""The trajectory, which is the result at all levels of description: to be printed, saved, loaded and drawn.

Imports ``model`` and ``vector_field``.
"""
