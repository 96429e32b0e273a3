"""Define the loss grammar, the losses that are written in it, and the gradients of these losses for one sample.

Losses come from a catalogue, or are defined by the user. This package imports ``symbols``.
"""
