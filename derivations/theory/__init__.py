"""Derive the rate of each mode under a loss, and from the rates exact solutions, invariants, equilibria and gains.

A rate is an expectation over Gaussian views. A gain is a function of the predictor that a loss may contain.
This package imports ``symbols`` and ``losses``.
"""
