"""Derive the eigenvalue dynamics of a loss with SymPy, and write the results as array code and reports.

The packages have the order ``symbols``, ``losses``, ``theory``, ``printers``, ``codegen``, ``report``; each imports
only packages to its left. All packages may import the module ``errors``, and none imports ``dynamics``.
"""
