"""Write ``dynamics/generated``: one module of array code per loss (``python -m derivations.codegen``).

Imports everything but ``report``.
"""
