"""Define the published toy setting (Halvagal et al. 2023): 10 modes, 15 inputs, initial weights of variance 1/16."""

import numpy as np

M, N = 10, 15
END, POINTS = 150.0, 200  # duration of a flow (1 500 steps at learning rate 0.1), and number of recorded times
SIGMA2 = 0.1
TIMES = np.linspace(0, END, POINTS)


def weights(seed: int = 0) -> np.ndarray:
    """Draw initial weights (M, N)."""
    return np.random.default_rng(seed).normal(size=(M, N)) / 4


def spectra(many: int, seed: int = 0) -> np.ndarray:
    """Draw initial eigenvalues (many, M), ascending."""
    W = np.random.default_rng(seed).normal(size=(many, M, N)) / 4
    return np.sort(np.linalg.svd(W, compute_uv=False) ** 2, axis=-1)
