"""The trajectory: the common result of flow, descent map and network, which can be printed, saved, loaded and drawn.

Imports ``model`` and ``vector_field``.
"""
