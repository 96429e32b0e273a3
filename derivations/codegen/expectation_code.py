"""Write code for two expectations: the rate of each mode, and the force on a learned predictor.

If an expectation has a formula, its code is this formula. Otherwise its code is a set of integrands for numerical
integration, and a function that computes the scale of each integration variable.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sympy as sp

from derivations.codegen.functions import Definition, bound, function, needed_definitions, used_symbols
from derivations.codegen.manifest import Manifest, call, numbered, tuple_of
from derivations.codegen.signature import PLAIN, SPECTRUM_DOC, Signature
from derivations.codegen.solution_code import simplest
from derivations.printers.array_code import INTEGRAND
from derivations.symbols import notation as n
from derivations.symbols.modes import expanded
from derivations.theory import expectations, rates, tilting

QUANTITIES = {
    "rates": ("the rate r_m of each mode m", rates.rates),
    "predictor_force": ("the force f_m on the predictor eigenvalue of each mode m", rates.predictor_force),
}
UNUSED = sp.Symbol("_")
NORMALISATION = (n.Z, 1 / sp.sqrt(sp.Product(n.Delta[n.k], (n.k, 1, n.M))))


class Integrand(NamedTuple):
    """A generated function that returns an integrand, or the sum of the absolute values of an integrand's terms.

    name, doc: name and docstring of the function. tilt: the tilted Gaussian (see the module ``tilting``); ``value``
    contains the covariance and the weight of this Gaussian. value: the expression that the function returns.
    """

    name: str
    doc: str
    tilt: tilting.Tilt
    value: sp.Expr


def expectation_functions(
    loss: sp.Expr, trains_predictor: bool, manifest: Manifest, signature: Signature = PLAIN
) -> list[str]:
    """Return the source of the functions that compute the rate of each mode and the force on a learned predictor.

    There are three kinds of functions. They return the value of a formula, the value of an integrand, or the mean
    squares of norms, which set the scales of the integration variables.
    """
    sources: list[str] = []
    integrands: list[Integrand] = []
    exact = {q: derive(loss, "gaussian") for q, (_, derive) in QUANTITIES.items() if q == "rates" or trains_predictor}
    integrals = [integral for value in exact.values() if not isinstance(value, sp.Expr) for integral in value]
    scales = numbered("mean_squares", (integral.tilt.norms for integral in integrals))
    for quantity, value in exact.items():
        symbol, derive = QUANTITIES[quantity]
        if isinstance(value, sp.Expr):
            doc = f"Return {symbol}: the exact expectation over Gaussian views.\n\n{SPECTRUM_DOC}"
            sources.append(
                function(quantity, signature.arguments, doc, [_per_mode(simplest(value))], signature.definitions)
            )
            manifest[quantity] = call("Expectation", formula=quantity)
            continue
        mean = sp.factor_terms(derive(loss, "mean_field"))
        fields, written = _formulas(quantity, value, mean, signature)
        sources += written
        names = numbered(f"{quantity}_integrand", value)
        members = [_integrands(symbol, names[integral], integral) for integral in value]
        integrands += [integrand for group in members for integrand in group]
        rows = (_row(scales[i.tilt.norms], i, group) for i, group in zip(value, members, strict=True))
        manifest[quantity] = call("Expectation", **fields, integrals=tuple_of(rows))
    tilts = {integral.tilt.norms: integral.tilt for integral in integrals}
    means = [_mean_squares(scales[norms], tilt, signature) for norms, tilt in tilts.items()]
    return means + sources + _tilted_functions(integrands, signature)


def _formulas(
    quantity: str, exact: Iterable[expectations.TiltedIntegral], mean: sp.Expr, signature: Signature
) -> tuple[dict[str, str], list[str]]:
    """Return the names and the sources of formulas for a quantity whose exact value contains integrals.

    The quantity is the rate of a mode or the force on a learned predictor. The first result maps fields of
    ``dynamics.derived_loss.Expectation`` to names of generated functions. The second result contains the source of each
    function. One function computes the quantity in mean field. If some terms of the quantity contain no norm, a second
    function computes the exact expectation of these terms.
    """
    symbol, fields = QUANTITIES[quantity][0], {"mean_field": f"{quantity}_mean_field"}
    doc = (
        f"Return {symbol} in the mean-field approximation.\n\n"
        f"Every norm and every sum over modes is replaced by its mean.\n{SPECTRUM_DOC}"
    )
    sources = [function(fields["mean_field"], signature.arguments, doc, [mean], signature.definitions)]
    if isinstance(exact, expectations.Mixed):
        fields["moments"] = f"{quantity}_moments"
        doc = (
            f"Return the terms without norms of {symbol}.\n\n"
            f"The value is the exact expectation of these terms over Gaussian views.\n{SPECTRUM_DOC}"
        )
        moments = [_per_mode(simplest(exact.formula))]
        sources.append(function(fields["moments"], signature.arguments, doc, moments, signature.definitions))
    return fields, sources


def _integrands(symbol: str, name: str, integral: expectations.TiltedIntegral) -> list[Integrand]:
    """Return two functions for an integral: its integrand, and the sum of the absolute values of the integrand's terms.

    The second function is left out if the integrand replaces two norms and both norms have odd powers. symbol: the
    quantity that the integral computes, in words such as "the rate r_m of each mode m". name: the name of the first
    function.
    """
    axes = "x, y" if len(integral.powers) == 2 else "x"
    summary = f"Return the integrand of an integral over {axes} in (0, oo)."
    doc = f"{summary}\n\nThe integral is a term of {symbol}.\n{SPECTRUM_DOC}"
    integrands = [Integrand(name, doc, integral.tilt, integral.integrand)]
    if not (len(integral.powers) == 2 and all(power % 2 == 1 for power in integral.powers)):
        size = sp.Add(*map(sp.Abs, sp.Add.make_args(expanded(integral.integrand))))
        doc = f"Return the sum of the absolute values of all terms of ``{name}``, with the same arguments."
        integrands.append(Integrand(name.replace("integrand", "size"), doc, integral.tilt, size))
    return integrands


def _row(scale: str, integral: expectations.TiltedIntegral, integrands: list[Integrand]) -> str:
    """Return the code ``Integral(...)``, which creates a ``dynamics.derived_loss.Integral`` in the manifest.

    scale: the name of the function that returns the mean squares of the norms. integrands: one or two functions, the
    integrand and the sum of the absolute values of the integrand's terms.
    """
    integrand, *size = (integrand.name for integrand in integrands)
    powers = [tuple_of(f"{float(power):g}" for power in integral.powers)] if size else []
    softened = ["softened=True"] if any(norm.softening != 0 for norm in integral.tilt.norms) else []
    differences = [norm.softening == 0 and tilting.quadratic_form(norm)[0, 1] != 0 for norm in integral.tilt.norms]
    marks = [f"differences={tuple_of(map(str, differences))}"] if any(differences) else []
    return f"Integral({', '.join([scale, integrand, *powers, *size, *softened, *marks])})"


def _mean_squares(name: str, tilt: tilting.Tilt, signature: Signature) -> str:
    doc = (
        "Return the contribution of each mode to the mean square of each norm in a denominator of the loss "
        "gradient.\n\n"
        "The mean square of a norm sets the scale of the integration variable that replaces the norm.\n"
        f"{SPECTRUM_DOC}"
    )
    return function(
        name, signature.arguments, doc, [sp.factor_terms(q) for q in tilt.mean_squares], signature.definitions
    )


def _tilted_functions(integrands: list[Integrand], signature: Signature) -> list[str]:
    """Return the source of the functions that compute the integrands.

    If several integrands replace the same norms, they share a tilted Gaussian. In this case an additional function
    computes the covariance and the weight of the tilted Gaussian, and the integrands call this function.
    """
    arguments, sources = ["x", "y", *signature.arguments], []
    names = numbered("_tilted", (integrand.tilt.norms for integrand in integrands))
    for norms, name in names.items():
        members = [integrand for integrand in integrands if integrand.tilt.norms == norms]
        values = [sp.factor_terms(sp.factor_terms(member.value, radical=True)) for member in members]
        definitions = [*signature.definitions, *_with_one_division(members[0].tilt), NORMALISATION]
        if len(members) > 1:
            common, rest = _common(definitions, values)
            symbols = _used(common, rest, values)
            doc = (
                "Return terms of the covariance and of the weight of a Gaussian, which several integrands contain.\n\n"
                "The Gaussian is the density of the views, tilted: it is multiplied by exp(-x^2 ||a||^2) for each "
                "norm ||a|| in a denominator of the loss gradient. For a second norm, y takes the place of x.\n"
                f"{SPECTRUM_DOC}"
            )
            sources.append(function(name, arguments, doc, symbols, definitions, dialect=INTEGRAND))
        for member, value in zip(members, values, strict=True):
            if len(members) > 1:
                used = _used(common, rest, [value])
                left = sp.Tuple(*(symbol if symbol in used else UNUSED for symbol in symbols))
                definitions = [(left, f"{name}({', '.join(arguments)})"), *rest]
            sources.append(function(member.name, arguments, member.doc, [value], definitions, dialect=INTEGRAND))
    return sources


def _with_one_division(tilt: tilting.Tilt) -> list[Definition]:
    """Return the definitions of a tilted Gaussian, rewritten so that code divides by the determinant Delta only once.

    Delta is det(1 + K P) in the module ``tilting``. All other definitions multiply by the symbol for 1/Delta.
    """
    determinant, inverse = n.Delta[n.k], n.inverse_Delta[n.k]
    others = [(left, right * determinant * inverse) for left, right in tilt.definitions.items() if left != determinant]
    return [(determinant, tilt.definitions[determinant]), (inverse, 1 / determinant), *others]


def _common(definitions: list[Definition], values: list[sp.Expr]) -> tuple[list[sp.Basic], list[Definition]]:
    """Return the symbols that every value needs, and the definitions of all other symbols.

    values: the return values of several generated functions. definitions: the definitions of the symbols in the values.
    """
    needed = [[left for left, _ in needed_definitions(definitions, [value])] for value in values]
    common = [left for left, _ in definitions if all(left in lefts for lefts in needed)]
    return common, [(left, right) for left, right in definitions if left not in common]


def _used(common: list[sp.Basic], rest: list[Definition], values: list[sp.Expr]) -> list[sp.Basic]:
    """Return the symbols in the list ``common`` that occur in the values, directly or through a definition in ``rest``.

    ``rest`` defines the symbols that are not in ``common``.
    """
    others = [right for value in values for _, right in needed_definitions(rest, [value])]
    used = used_symbols(*values, *others)
    return [left for left in common if used.intersection(bound(left))]


def _per_mode(rate: sp.Expr) -> sp.Expr:
    """Return a rate as an expression whose array code returns one value per mode.

    If the rate does not depend on the mode, the term 0 * s is added to it. The sum then has the shape of the array s
    of the eigenvalues.
    """
    return rate if rate.has(sp.Indexed) else sp.Add(rate, sp.Mul(0, n.s[n.m], evaluate=False), evaluate=False)
