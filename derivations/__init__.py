"""Derive with SymPy how a loss moves the eigenvalues of correlation and predictor; write array code and reports.

The packages have the order ``symbols``, ``losses``, ``theory``, ``printers``, ``codegen``, ``report``; each imports
only packages to its left. All packages may import the module ``errors``, and none imports ``dynamics``.
"""
