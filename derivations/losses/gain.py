"""Read the expression of a gain, a function h(lambda) of the eigenvalues lambda of the predictor W_P.

As the prediction is p = W_P z1, the gradient of a loss with respect to the representation z1 has the factor W_P. In a
loss with a gain, the factor h(W_P) replaces this factor.
"""

import sympy as sp

from derivations.losses import reader
from derivations.losses.reader import Number, Operator, Value, Vocabulary
from derivations.symbols import notation as n

EIGENVALUE = ("lambda", "lam", "λ")  # names of the eigenvalues of W_P in a gain


def read_gain(text: str, parameters: tuple[str, ...] = ()) -> sp.Expr:
    """Return the gain h(lambda) that a text defines, as an expression in the predictor eigenvalue of mode ``k``.

    Raises ExpressionError if the text does not define a gain.
    """
    values: dict[str, Value] = dict.fromkeys(EIGENVALUE, Operator(n.lam[n.k]))
    values |= {name: Number(sp.Symbol(name, real=True)) for name in parameters}
    value = reader.read(
        text, Vocabulary(values, lambda *_: sp.nan)
    )  # apply is never called: a gain contains no vectors
    return value.eigenvalue if isinstance(value, Operator) else reader.content(value)
