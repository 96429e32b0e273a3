"""How results are shown: as one line, as one screen of text, as a card in a notebook, and as plain values for JSON.

May import from numerics, errors and what is below them.
"""
