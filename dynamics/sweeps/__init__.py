"""Sweeps over grids of parameters and seeds: planned, computed in blocks on any executor, stored, and continued.

May import ``networks``, ``solvers``, ``results``, ``vector_field``, ``model`` and ``numerics``.
"""
