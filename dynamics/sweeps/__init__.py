"""Sweeps: runs over a grid of parameters and seeds, on one or many machines, with results in a store on disk.

May import ``analysis``, ``networks`` and what is below them.
"""

from dynamics.errors import require_extra

require_extra("sweeps", "xarray", "zarr")
