"""Write ``dynamics/generated``: one module of array code per loss (``python -m derivations.codegen``).

This package imports all other packages of ``derivations`` except ``report``.
"""
