"""Print SymPy expressions as array code, training loops, LaTeX, plain text, or text in the loss grammar.

This package imports ``symbols``, ``losses`` and ``theory``. To support another array library, add a dialect to
``array_code``.
"""
