"""The result that all levels of description share, a trajectory: printed, saved, loaded and drawn.

Imports ``model`` and ``vector_field``.
"""
