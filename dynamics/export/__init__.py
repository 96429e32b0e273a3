"""Export: the loss of a model as a module for a training loop in PyTorch or JAX.

Stands below ``model``, which it knows by the protocol ``Exportable``; imports ``errors`` and ``derivations``.
"""
