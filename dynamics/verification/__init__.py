"""Verify models: ``compare`` compares a trained network with theory, and ``check`` checks a model from loss to network.

This package may import ``networks``, ``solvers``, ``results`` and all packages that these may import.
"""
