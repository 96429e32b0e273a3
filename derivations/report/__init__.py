"""Write ``docs/derivations``: the derivation of each loss, step by step (``python -m derivations.report``).

This package imports all other packages of ``derivations``.
"""
