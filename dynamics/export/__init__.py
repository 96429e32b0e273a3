"""Export: the loss of a model as a module for a training loop in PyTorch or JAX.

Stands below ``model``, of which it has only the protocol ``Exportable``; imports ``errors`` and ``derivations``.
"""
