"""Run sweeps over a grid of parameters and seeds, on one or many machines, and store the results on disk.

This package may import ``analysis``, ``networks`` and all packages that these may import.
"""

from dynamics.errors import require_extra

require_extra("sweeps", "xarray", "zarr")
