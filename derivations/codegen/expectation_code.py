"""Code of the expectations of a loss: formulas, or integrands with the scales of their integrals."""

import json

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest, call, numbered
from derivations.codegen.solution_code import simplest
from derivations.codegen.terms import PLAIN, Terms
from derivations.symbols import notation as n
from derivations.symbols.modes import expanded, total
from derivations.theory import expectations, matrices, rates, tilting

QUANTITIES = {
    "rates": ("r_m", rates.rates),
    "predictor_force": ("f_m", rates.predictor_force),
}


def expectation_functions(loss: sp.Expr, trains_predictor: bool, manifest: Manifest, terms: Terms = PLAIN) -> list[str]:
    """Rates, and the force on a learned predictor: formulas, or integrands with the scales of their integrals."""
    sources: list[str] = []
    found = {q: derive(loss, "gaussian") for q, (_, derive) in QUANTITIES.items() if q == "rates" or trains_predictor}
    tilts = [integral.tilt for exact in found.values() if not isinstance(exact, sp.Expr) for integral in exact]
    scales = numbered("mean_squares", (tilt.norms for tilt in tilts))
    unique = {tilt.norms: tilt for tilt in tilts}.values()
    sources += [_mean_squares(scales[tilt.norms], tilt, terms) for tilt in unique]
    for quantity, exact in found.items():
        symbol, derive = QUANTITIES[quantity]
        if isinstance(exact, sp.Expr):
            doc = f"{symbol}, exact (Gaussian moments)."
            sources.append(function(quantity, terms.arguments, doc, [_per_mode(simplest(exact))], terms.definitions))
            manifest[quantity] = call("Expectation", formula=quantity)
            continue
        doc = f"{symbol} with every norm and sum replaced by its mean."
        mean = sp.factor_terms(derive(loss, "mean_field"))
        entry, rows = {"mean_field": f"{quantity}_mean_field"}, []
        sources.append(function(f"{quantity}_mean_field", terms.arguments, doc, [mean], terms.definitions))
        if isinstance(exact, expectations.Mixed):
            doc = f"The part of {symbol} that needs no integral, exact (Gaussian moments)."
            moments = [_per_mode(simplest(exact.formula))]
            sources.append(function(f"{quantity}_moments", terms.arguments, doc, moments, terms.definitions))
            entry["moments"] = f"{quantity}_moments"
        names = numbered(f"{quantity}_integrand", exact)
        for integral, name in names.items():
            doc = f"{symbol} is the integral of this over {'x, y'[: 3 * len(integral.powers) - 2]} in (0, oo)."
            sources.append(_integrand(name, doc, integral, integral.integrand, terms))
            row = [scales[integral.tilt.norms], name]
            if not _is_usual(integral):
                size = name.replace("integrand", "size")
                doc = f"Sum of the sizes of the terms of {name}."
                sources.append(_integrand(size, doc, integral, _size(integral.integrand), terms))
                row += [f"({''.join(f'{float(power):g}, ' for power in integral.powers)})", size]
            rows.append(f"Integral({', '.join(row)})")
        manifest[quantity] = call("Expectation", **entry, integrals=f"({', '.join(rows)},)")
    return sources


def _is_usual(integral: expectations.TiltedIntegral) -> bool:
    return len(integral.powers) == 2 and all(power % 2 == 1 for power in integral.powers)


def _size(integrand: sp.Expr) -> sp.Expr:
    return sp.Add(*map(sp.Abs, sp.Add.make_args(expanded(integrand))))


def _mean_squares(name: str, tilt: tilting.Tilt, terms: Terms) -> str:
    doc = "Mean square of each norm, per mode: the scales of the integral."
    return function(name, terms.arguments, doc, [sp.factor_terms(q) for q in tilt.mean_squares], terms.definitions)


def _integrand(name: str, doc: str, integral: expectations.TiltedIntegral, body: sp.Expr, terms: Terms) -> str:
    z = sp.exp(-total(sp.log(n.Delta[n.k])) / 2)
    body = sp.factor_terms(sp.factor_terms(body, radical=True))
    definitions = [*terms.definitions, *integral.tilt.definitions.items(), (n.Z, z)]
    return function(name, ["x", "y", *terms.arguments], doc, [body], definitions)


def matrix_functions(loss: sp.Expr, manifest: Manifest) -> list[str]:
    """What drives the weights, E[g l^T] and E[h l^T]: formulas, or integrands with the vectors of their norms."""
    found = {f"drive_on_view{view}": matrices.expectations(loss, view) for view in (1, 2)}
    everything = [expectation for expectations in found.values() for expectation in expectations]
    present = set().union(*(expectation.symbols() for expectation in everything))
    vectors = [vector for vector in matrices.VECTORS.values() if vector in present]
    arguments, code = ["W_P", *map(str, vectors)], {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    vectors_of = numbered("norm_vectors", (expectation.norms for expectation in everything if expectation.norms))
    manifest["vectors"] = json.dumps([str(vector) for vector in vectors]).replace("[", "(").replace("]", ",)")
    sources = []
    for norms, name in vectors_of.items():
        doc = "X of each norm ||X l||: its squared singular values are the scales of the integral."
        sources.append(function(name, arguments, doc, matrices.norm_vectors(norms)))
    for quantity, members in found.items():
        doc = f"E[{'g' if quantity.endswith('1') else 'h'} l^T] (M, d)"
        names = numbered(f"{quantity}_integrand", (e.norms for e in members if e.norms))
        for e in members:
            if e.norms:
                inner, tilted = f"{doc} is the integral of this over x, y in (0, oo).", matrices.tilted(e.norms)
                sources.append(function(names[e.norms], ["x", "y", *arguments], inner, [e.terms], tilted, code))
            else:
                sources.append(function(quantity, arguments, f"{doc}, exact (Gaussian moments).", [e.terms], (), code))
                manifest[quantity] = call("MatrixExpectation", formula=quantity)
        if names:
            rows = [f"MatrixIntegral({vectors_of[norms]}, {name})" for norms, name in names.items()]
            manifest[quantity] = call("MatrixExpectation", integrals=f"({', '.join(rows)},)")
    return sources


def _per_mode(rate: sp.Expr) -> sp.Expr:
    """A rate that is the same number for all modes still has the shape of s."""
    return rate if rate.has(sp.Indexed) else sp.Add(rate, sp.Mul(0, n.s[n.m], evaluate=False), evaluate=False)
