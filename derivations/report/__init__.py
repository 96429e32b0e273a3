"""Write ``docs/derivations``: the derivation of each loss, step by step (``python -m derivations.report``).

Imports all other packages of ``derivations``.
"""
