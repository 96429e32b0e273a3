"""Define the command line ``ssl-dynamics``, whose commands call the public functions of ``dynamics``.

This package may import all other packages.
"""
