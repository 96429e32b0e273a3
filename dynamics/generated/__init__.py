"""Array code written from the derivations.

Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``.
"""
