"""Compare a network with its theory (``compare``), and each level of description with the next (``check``).

This package may import ``networks``, ``solvers``, ``results`` and all packages that these may import.
"""
