"""Show results: as one line, as one screen of text, as a card in a notebook, and as plain values for JSON.

This package may import ``numerics``, ``errors`` and all packages that these may import.
"""
