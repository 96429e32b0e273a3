"""The command line, whose commands call the public functions of the package.

May import everything.
"""
