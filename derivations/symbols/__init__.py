"""The symbols of the theory, vectors and sums over modes, and the stop-gradient.

Imports no other package of ``derivations``.
"""
