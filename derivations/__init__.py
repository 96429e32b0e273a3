"""From a loss, written as mathematics, to its eigenvalue dynamics and to code: SymPy in, array code and reports out.

The pipeline is the order of import: ``symbols``, ``losses``, ``theory``, ``printers``, ``codegen``, ``report``.
Nothing here imports ``dynamics``; ``errors`` may be imported by all.
"""
