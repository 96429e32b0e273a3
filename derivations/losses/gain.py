"""Read gains h(lambda), functions of the predictor eigenvalues; h(W_P) replaces W_P as a factor of the gradient."""

import sympy as sp

from derivations.losses import reader
from derivations.losses.reader import Number, Operator, Value, Vocabulary
from derivations.symbols import notation as n

EIGENVALUE = ("lambda", "lam", "λ")  # names of the eigenvalues of W_P in a gain


def read_gain(text: str, parameters: tuple[str, ...] = ()) -> sp.Expr:
    """Return the gain h(lambda) in mode ``k``, read from a text; raises ExpressionError if the text is not a gain."""
    values: dict[str, Value] = dict.fromkeys(EIGENVALUE, Operator(n.lam[n.k]))
    values |= {name: Number(sp.Symbol(name, real=True)) for name in parameters}
    value = reader.read(
        text, Vocabulary(values, lambda *_: sp.nan)
    )  # apply is never called: a gain contains no vectors
    return value.eigenvalue if isinstance(value, Operator) else reader.content(value)
