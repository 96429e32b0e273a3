"""Define the loss grammar, losses that are written in this grammar, and the gradients of a loss for one sample.

Losses come from a catalogue, or are defined by the user. This package imports ``symbols``.
"""
