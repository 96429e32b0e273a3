"""Many runs over a grid of parameters and seeds, on one machine or many.

May import ``analysis``, ``networks`` and what is below them.
"""

from dynamics.errors import require_extra

require_extra("sweeps", "xarray", "zarr")
