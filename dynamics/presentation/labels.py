"""Name quantities and parameters on the axes of plots: one label for the same quantity everywhere."""

LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
GREEK = dict(zip(LETTERS.split(), "αβγδεζηθικλμνξπρστφχψω", strict=True))
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

TIME, STEP = r"time $t$ = learning rate $\times$ step", "step"

EIGENVALUES = {  # axis labels of the quantities that are drawn on a logarithmic axis
    "s": "eigenvalue $s_m$",
    "target": "eigenvalue of the target",
    "tracked": "tracked eigenvalue",
    "modes": "variance $s_m$ of an initial mode",
}
LABELS = EIGENVALUES | {  # axis labels of these and other quantities, and of parameters
    "predictor": r"eigenvalue $\lambda_m$ of the predictor",
    "weight_decay": r"weight decay $\rho$",
    "learning_rate": r"learning rate $\eta$",
    "sigma1": r"noise $\sigma_1$ of the online view",
    "sigma2": r"noise $\sigma_2$ of the target view",
    "alpha": r"exponent $\alpha$ of the predictor",
    "epsilon": r"offset $\epsilon$ of the predictor",
    "decay": r"decay $\tau$ of the target",
}


def label_of(name: str) -> str:
    """Return the axis label of a quantity or of a parameter."""
    return LABELS.get(name, symbol(name).replace("_", " "))


def symbol(name: str) -> str:
    """Return a name as a symbol, such as "σ₁" for "sigma1", or "z₁" for "z1"; other names are returned unchanged."""
    letters = name.rstrip("0123456789")
    return GREEK.get(letters, letters) + name[len(letters) :].translate(LOWERED) if letters else name
