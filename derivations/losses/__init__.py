"""The loss grammar, the losses written in it (catalogue and user-defined), and their gradients per sample.

Imports ``symbols``.
"""
