"""Models: options and their rules, components, expressions, parameters, validated starts.

Imports ``errors``, ``derived_loss`` and ``generated``; ``derivations`` and ``export`` only when they are needed.
"""
