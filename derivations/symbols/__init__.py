"""Define the symbols of the theory, vectors and sums over modes, and the stop-gradient.

This package imports no other package of ``derivations``.
"""
