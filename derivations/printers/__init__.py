"""SymPy expressions as text: array code and its dialects, training loops, LaTeX, plain text, the loss grammar.

Imports ``symbols``, ``losses`` and ``theory``. A new target language is one more dialect in ``array_code``.
"""
