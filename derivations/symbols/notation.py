"""The symbols of the theory: one table from paper symbol to code name, LaTeX and meaning.

Everything is written in the eigenbasis of the representation correlation C = U diag(s) U^T. A vector is
its component in mode ``k``; per-mode quantities are indexed by the mode. The number of modes M stays a symbol.
"""

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class SymbolEntry:
    """One symbol: its SymPy object, LaTeX, and meaning. Its code name is the SymPy name."""

    symbol: sp.Symbol | sp.IndexedBase
    latex: str
    meaning: str


M = sp.Symbol("M", integer=True, positive=True)
k = sp.Symbol("k", integer=True)  # the free mode index of a component
m = sp.Symbol("m", integer=True)  # the mode a derivative or a rate is taken for

z1 = sp.IndexedBase("z1", real=True)
z2 = sp.IndexedBase("z2", real=True)
t1 = sp.IndexedBase("t1", real=True)
t2 = sp.IndexedBase("t2", real=True)
lam = sp.IndexedBase("lam", positive=True)
s = sp.IndexedBase("s", positive=True)
w = sp.IndexedBase("w", positive=True)
v = sp.IndexedBase("v", positive=True)
ratio = sp.IndexedBase("ratio", positive=True)
zeta1 = sp.IndexedBase("zeta1", real=True)
zeta2 = sp.IndexedBase("zeta2", real=True)

alpha, sigma1, sigma2, rho, eta, t = sp.symbols("alpha sigma1 sigma2 rho eta t", positive=True)
epsilon, decay, rate_ratio = sp.symbols("epsilon decay rate_ratio", positive=True)
n1, n2, D = sp.symbols("n1 n2 D", positive=True)
x, y = sp.symbols("x y", positive=True)
Delta = sp.IndexedBase("Delta", positive=True)
S11 = sp.IndexedBase("S11", positive=True)
S12 = sp.IndexedBase("S12", real=True)
S22 = sp.IndexedBase("S22", positive=True)
Z = sp.Symbol("Z", positive=True)

TABLE = [
    SymbolEntry(M, "M", "number of modes"),
    SymbolEntry(z1, r"\hat z_1", "representation of view 1 by the encoder, in the eigenbasis"),
    SymbolEntry(z2, r"\hat z_2", "representation of view 2 by the encoder"),
    SymbolEntry(t1, r"\hat t_1", "representation of view 1 by the target branch: z1, or that of separate weights"),
    SymbolEntry(t2, r"\hat t_2", "representation of view 2 by the target branch"),
    SymbolEntry(lam, r"\lambda", "eigenvalues of the predictor $W_P$"),
    SymbolEntry(s, "s", "eigenvalues of the representation correlation $C$"),
    SymbolEntry(w, "w", "singular values of the encoder $W$"),
    SymbolEntry(v, "v", "singular values of the target encoder"),
    SymbolEntry(ratio, r"(v/w)", "the target's singular value relative to the encoder's; 1 where they share weights"),
    SymbolEntry(zeta1, r"\zeta_1", r"view 1 along the input direction of a mode, $\hat z_1 = w \zeta_1$"),
    SymbolEntry(zeta2, r"\zeta_2", r"view 2 along the input direction of a mode, $\hat z_2 = w \zeta_2$"),
    SymbolEntry(alpha, r"\alpha", "exponent of the closed-form predictor"),
    SymbolEntry(epsilon, r"\epsilon", "constant that the closed-form predictor adds to the eigenvalues"),
    SymbolEntry(
        decay, r"\tau", "decay per step of an exponential average: of the target's weights, of the correlation"
    ),
    SymbolEntry(rate_ratio, "a_P", "learning rate of a learned predictor relative to the encoder's"),
    SymbolEntry(sigma1, r"\sigma_1", "noise of view 1"),
    SymbolEntry(sigma2, r"\sigma_2", "noise of view 2"),
    SymbolEntry(n1, "n_1", r"variance of view 1 per direction, $1 + \sigma_1^2$"),
    SymbolEntry(n2, "n_2", r"variance of view 2 per direction, $1 + \sigma_2^2$"),
    SymbolEntry(D, "D", r"determinant of the views' covariance per direction, $n_1 n_2 - 1$"),
    SymbolEntry(rho, r"\rho", "weight decay"),
    SymbolEntry(eta, r"\eta", "learning rate"),
    SymbolEntry(t, "t", "time, learning rate times step"),
    SymbolEntry(x, "x", "integration variable that replaces the norm of the online branch"),
    SymbolEntry(y, "y", "integration variable that replaces the norm of the target branch"),
    SymbolEntry(Delta, r"\Delta", "tilted determinant per mode"),
    SymbolEntry(S11, "S_{11}", r"tilted variance of $\zeta_1$"),
    SymbolEntry(S12, "S_{12}", r"tilted covariance of $\zeta_1$ and $\zeta_2$"),
    SymbolEntry(S22, "S_{22}", r"tilted variance of $\zeta_2$"),
    SymbolEntry(Z, "Z", r"normalisation of the tilted Gaussian, $\prod_k \Delta_k^{-1/2}$"),
]

LATEX = {str(entry.symbol): entry.latex for entry in TABLE}
