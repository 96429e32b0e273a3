"""Write ``dynamics/generated``: one module of array code per loss (``python -m derivations.codegen``).

Imports all other packages of ``derivations`` except ``report``.
"""
