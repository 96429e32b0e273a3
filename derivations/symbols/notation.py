"""List the symbols of the theory in one table, with their names in code, their LaTeX, and their meaning.

The LaTeX follows Halvagal, Laborieux and Zenke (2023). All expressions are in the eigenbasis of the correlation
C = U diag(s) U^T of the representations. A vector is represented by its component in mode ``k``. A quantity that has a
value for each mode is indexed by the mode. The number of modes M stays a symbol.
"""

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class SymbolEntry:
    """A symbol: its SymPy object, LaTeX and meaning. The name of the SymPy object is also the name in code."""

    symbol: sp.Symbol | sp.IndexedBase
    latex: str
    meaning: str


M = sp.Symbol("M", integer=True, positive=True)
k = sp.Symbol("k", integer=True)  # the mode in which components of vectors are written
m = sp.Symbol("m", integer=True)  # the mode for which a derivative or a rate is computed

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
epsilon, decay, rate_ratio, momentum = sp.symbols("epsilon decay rate_ratio momentum", positive=True)
n1, n2, D = sp.symbols("n1 n2 D", positive=True)
n1_of, n2_of, D_of = (sp.IndexedBase(str(symbol), positive=True) for symbol in (n1, n2, D))  # of the mode in the index
cross = sp.IndexedBase("cross", positive=True)  # second moment that the views share in a mode; 1 for white views
STATISTICS = {n1_of: n1, n2_of: n2, D_of: D}
x, y = sp.symbols("x y", positive=True)
Delta = sp.IndexedBase("Delta", positive=True)
inverse_Delta = sp.IndexedBase("inverse_Delta", positive=True)  # in code only, because divisions are slow
S11 = sp.IndexedBase("S11", positive=True)
S12 = sp.IndexedBase("S12", real=True)
S22 = sp.IndexedBase("S22", positive=True)
Z = sp.Symbol("Z", positive=True)

TABLE = [
    SymbolEntry(M, "M", "number of modes"),
    SymbolEntry(z1, r"\hat z_1", "representation of view 1 by the encoder, in the eigenbasis"),
    SymbolEntry(z2, r"\hat z_2", "representation of view 2 by the encoder"),
    SymbolEntry(t1, r"\hat t_1", r"view 1 represented by the target branch; $\hat z_1$ for shared weights"),
    SymbolEntry(t2, r"\hat t_2", "view 2 represented by the target branch"),
    SymbolEntry(lam, r"\lambda", "eigenvalues of the predictor $W_P$"),
    SymbolEntry(s, "s", "eigenvalues of the representation correlation $C$"),
    SymbolEntry(w, "w", "singular values of the encoder $W$"),
    SymbolEntry(v, "v", "singular values of the target encoder"),
    SymbolEntry(
        ratio,
        r"(v/w)",
        "singular values of the target encoder divided by those of the encoder; 1 if they share weights",
    ),
    SymbolEntry(zeta1, r"\zeta_1", r"component of view 1 along the input direction of a mode, $\hat z_1 = w \zeta_1$"),
    SymbolEntry(zeta2, r"\zeta_2", r"component of view 2 along the input direction of a mode, $\hat z_2 = w \zeta_2$"),
    SymbolEntry(alpha, r"\alpha", "exponent of the closed-form predictor"),
    SymbolEntry(epsilon, r"\epsilon", "constant that the closed-form predictor adds to the eigenvalues of $C$"),
    SymbolEntry(
        decay, r"\tau", "decay per step of an exponential average (of the target's weights or of the correlation)"
    ),
    SymbolEntry(rate_ratio, "a_P", "learning rate of a learned predictor divided by that of the encoder"),
    SymbolEntry(sigma1, r"\sigma_1", "standard deviation of the noise of view 1"),
    SymbolEntry(sigma2, r"\sigma_2", "standard deviation of the noise of view 2"),
    SymbolEntry(n1, "n_1", r"variance of view 1 per input direction, $1 + \sigma_1^2$"),
    SymbolEntry(n2, "n_2", r"variance of view 2 per input direction, $1 + \sigma_2^2$"),
    SymbolEntry(D, "D", r"determinant of the views' covariance per input direction, $n_1 n_2 - 1$"),
    SymbolEntry(rho, r"\rho", "weight decay"),
    SymbolEntry(eta, r"\eta", "learning rate"),
    SymbolEntry(momentum, r"\mu", "momentum of gradient descent"),
    SymbolEntry(t, "t", "time, learning rate times number of steps"),
    SymbolEntry(x, "x", "integration variable that replaces the first norm in a denominator"),
    SymbolEntry(y, "y", "integration variable that replaces the second norm in a denominator"),
    SymbolEntry(
        Delta,
        r"\Delta",
        r"$\det(1 + K P)$ of a mode: $K$ is the covariance of $(\zeta_1, \zeta_2)$, $P$ the precision that norms add",
    ),
    SymbolEntry(S11, "S_{11}", r"variance of $\zeta_1$ under the tilted Gaussian"),
    SymbolEntry(S12, "S_{12}", r"covariance of $\zeta_1$ and $\zeta_2$ under the tilted Gaussian"),
    SymbolEntry(S22, "S_{22}", r"variance of $\zeta_2$ under the tilted Gaussian"),
    SymbolEntry(Z, "Z", r"weight of the tilted Gaussian, $\prod_k \Delta_k^{-1/2}$"),
]

LATEX = {str(entry.symbol): entry.latex for entry in TABLE}
