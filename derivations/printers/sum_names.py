"""Give readable names to sums over modes, such as ``p1_dot_z2``, ``norm_z2_squared`` or ``sum_lam2_s``."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import count

import sympy as sp

from derivations.symbols.stop_gradient import StopGradient, release

Spelling = Callable[[sp.Expr], str]  # function that returns the code of an indexed quantity
VECTOR = re.compile(r"[ptvz]\d*|target")  # names of vectors; all other names are spectra
BRANCH = {"lam": "p", "ratio": "t"}  # names of products of a spectrum with z1 or z2: lam * z1 is p1, ratio * z2 is t2


def names_of_sums(sums: Iterable[sp.Sum], spell: Spelling, taken: Iterable[str]) -> dict[sp.Sum, str]:
    """Return a dictionary from sums over modes to names that describe their summands.

    If a summand is no product for which there is a name, the name of the sum is ``sum_1``, ``sum_2``, ... Names do not
    mention stop-gradients, unless two sums differ only in stop-gradients. taken: names already in use.
    """
    sums, used = list(sums), set(taken)
    plain = {summation: _name(release(summation.function), spell) for summation in sums}
    occurrences = Counter(plain.values())
    names: dict[sp.Sum, str] = {}
    unnamed = count(1)
    for summation in sums:
        name = plain[summation]
        if occurrences[name] > 1:
            name = _name(summation.function, spell)
        names[summation] = free(name or f"sum_{next(unnamed)}", used)
        used.add(names[summation])
    return names


def free(name: str, taken: Collection[str]) -> str:
    """Return the name; if the name is in ``taken``, append the smallest number that makes the name unique."""
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (name, *numbered) if candidate not in taken)


def _name(summand: sp.Expr, spell: Spelling) -> str | None:
    return _product_of_vectors(summand, spell) or _monomial(summand, spell)


def _product_of_vectors(summand: sp.Expr, spell: Spelling) -> str | None:
    """Return a name for a sum over a product of two vectors, such as ``norm_p1_squared`` or ``p1_dot_z2``.

    The summand may also contain powers of ``lam``, the predictor eigenvalue, and of ``ratio``, the singular value of
    the target branch over that of the encoder. The factor ``lam`` turns a vector z into the prediction p, and the
    factor ``ratio`` turns z into the target t. Returns None for any other summand.
    """
    vectors: list[str] = []
    spectra: Counter[str] = Counter()
    for factor, exponent in summand.as_powers_dict().items():
        if not (exponent.is_Integer and exponent > 0):
            return None
        word = _vector(factor, spell)
        if word is not None:
            vectors += [word] * int(exponent)
        elif isinstance(factor, sp.Indexed) and spell(factor) in BRANCH:
            spectra[spell(factor)] = int(exponent)
        else:
            return None
    if len(vectors) != 2:
        return None
    vectors.sort()
    for spectrum, power in spectra.items():  # lam * z1 becomes the prediction p1, ratio * z2 the target t2
        for index in (0, 1, 2)[:power] if spectrum == "lam" else (1, 0, 2)[:power]:
            view = re.fullmatch(r"z([12])", vectors[index]) if index < 2 else None
            if view is None:
                return None
            vectors[index] = BRANCH[spectrum] + view[1]
    first, second = sorted(vectors)
    return f"norm_{first}_squared" if first == second else f"{first}_dot_{second}"


def _vector(factor: sp.Expr, spell: Spelling) -> str | None:
    """Return the name of a vector, of a sum or difference of two vectors, or of a vector inside a stop-gradient.

    Returns None for any other expression.
    """
    if isinstance(factor, StopGradient):
        inside = _vector(factor.args[0], spell)
        return inside and f"sg_{inside}"
    if isinstance(factor, sp.Indexed):
        word = spell(factor)
        return word if VECTOR.fullmatch(word) else None
    if isinstance(factor, sp.Add) and len(factor.args) == 2:
        first, second = sorted(factor.args, key=lambda term: (term.could_extract_minus_sign(), str(term)))
        sign = "minus" if second.could_extract_minus_sign() else "plus"
        words = [_vector(term, spell) for term in (first, -second if sign == "minus" else second)]
        return f"_{sign}_".join(words) if all(words) else None  # type: ignore[arg-type]
    return None


def _monomial(summand: sp.Expr, spell: Spelling) -> str | None:
    """Return a name for a sum over a product of powers, such as ``sum_lam2_s`` for the summand lambda^2 s.

    Returns None if the summand is no product of positive integer powers of indexed quantities.
    """
    powers = summand.as_powers_dict()
    if not all(isinstance(f, sp.Indexed) and exponent.is_Integer and exponent > 0 for f, exponent in powers.items()):
        return None
    words = sorted(
        (spell(factor) + (f"{exponent}" if exponent > 1 else "") for factor, exponent in powers.items()), key=str.lower
    )
    return "_".join(["sum", *words])
