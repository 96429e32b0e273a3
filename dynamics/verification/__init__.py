"""Compare a network with theory (``compare``), and each level of description of a model with the next (``check``).

This package may import ``networks``, ``solvers``, ``results`` and all packages that these may import.
"""
