"""Find out whether a loss has an exact expected gradient, and what must be known of its parameters for this.

For example, (delta + |v|^2)^(1/2) is a norm only if delta >= 0, and |v|^q is a power of a norm only for a known q.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import sympy as sp

from derivations.errors import ExpressionError, UndecidedError, UnsupportedLossError
from derivations.losses.loss import SymbolicLoss
from derivations.losses.products import in_vectors
from derivations.losses.user_defined import UserDefinedLoss
from derivations.theory import matrices, rates


@lru_cache(maxsize=256)
def refusal(loss: SymbolicLoss, correlated: bool) -> ValueError | None:
    """Return None if a loss has an exact expected gradient, and otherwise the error that states the reason.

    correlated: True for inputs with any covariance, for which matrices of weights take the place of modes.
    """
    try:
        expression = loss.in_eigenbasis()
        if correlated:
            matrices.expectations(in_vectors(loss).expression)
            return None
        rates.rates(expression)
        if loss.trains_predictor:
            rates.predictor_force(expression)
    except (UnsupportedLossError, ExpressionError) as error:
        return error.with_traceback(None)
    return None


def with_known_parameters(
    loss: UserDefinedLoss, signs: dict[str, str], values: dict[str, str], correlated: bool
) -> UserDefinedLoss:
    """Return a loss with the fewest assumptions on its parameters that an exact expectation needs.

    The signs of the parameters are always assumed. If the signs do not suffice, the values of all exponents of norms
    are assumed too; if these do not suffice, all values. The result then holds for the assumed values alone. If even
    all values do not suffice for an exact expectation, only the signs are assumed.

    signs: "positive" or "negative" for parameters of one sign. values: numbers, as text, for parameters that have a
    single value.
    """
    for known in _assumptions(loss, signs, values):
        candidate = replace(loss, known=tuple(sorted(known.items())))
        error = refusal(candidate, correlated)
        if error is None:
            return candidate
        if not isinstance(error, UndecidedError):
            break
    return replace(loss, known=tuple(sorted(signs.items())))


def _assumptions(loss: UserDefinedLoss, signs: dict[str, str], values: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield sets of assumptions on the parameters of a loss, the weakest first."""
    yield dict(signs)
    exponents = {name: values[name] for name in _exponents(loss) if name in values}
    if exponents:
        yield signs | exponents
    if values.keys() - exponents:
        yield signs | values


def _exponents(loss: UserDefinedLoss) -> set[str]:
    """Return the names of the parameters in exponents of norms."""
    powers = (power for power in loss.in_eigenbasis().atoms(sp.Pow) if power.base.has(sp.Sum))
    return {str(symbol) for power in powers for symbol in power.exp.free_symbols} & set(loss.parameters)
