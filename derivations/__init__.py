"""Derive the eigenvalue dynamics of a loss with SymPy, and write the results as array code and reports.

Each package imports only packages before it in this order: ``symbols``, ``losses``, ``theory``,
``printers``, ``codegen``, ``report``. None imports ``dynamics``; all may import ``errors``.
"""
