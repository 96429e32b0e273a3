"""Numerical methods that know nothing of losses: quadrature, special functions, continuation, threads, memory.

May import ``errors`` and ``derived_loss``.
"""
