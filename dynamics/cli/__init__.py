"""Define the command line; its commands call the public functions of the package.

This package may import all other packages.
"""
