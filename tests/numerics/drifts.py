"""The drift of cosine losses by the Gaussian closure, and what its error is relative to."""

import numpy as np

from derivations.losses.catalogue import Setting
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.reference import model_of

ALPHAS = (0.5, 1.0, 2.0)
TARGET = Setting("cosine")
ONE = np.ones((1, 1))  # v/w where the target shares the weights
# What the reference may be off by, relative to the terms that s r is the sum of: all nodes are positive, and each is
# the product of about ten factors rounded to 1.1e-16, and of an exponential whose argument is about -10 at most.
REFERENCE = 1e-14
# Where the terms of s r cancel below this fraction, the documented tolerance is absolute.
CANCELLED = 1e-3


def scale_of(drift, terms):
    """The scale of errors of s r."""
    return max(np.abs(drift).max(), CANCELLED * terms.max())


def drift_of(setting, s, alpha=1.0, noise=(0.1, 0.5), rtol=1e-10):
    return s * EigenmodeField(model_of(setting, alpha, noise), rtol=rtol).of_eigenvalues(s)
