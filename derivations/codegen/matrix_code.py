"""Code of the expectations over matrices, E[g l^T] and E[h l^T]: formulas, or integrands."""

import json

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest, call, numbered, tuple_of
from derivations.theory import matrices


def matrix_functions(loss: sp.Expr, manifest: Manifest) -> list[str]:
    """Return the source of E[g l^T] and E[h l^T], which drive the weights: formulas, or integrands and their scales."""
    drives = {f"drive_on_view{view}": matrices.expectations(loss, view) for view in (1, 2)}
    everything = [expectation for expectations in drives.values() for expectation in expectations]
    present = set().union(*(expectation.symbols() for expectation in everything))
    vectors = [vector for vector in matrices.VECTORS.values() if vector in present]
    arguments, code = ["W_P", *map(str, vectors)], {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    vectors_of = numbered("norm_vectors", (expectation.norms for expectation in everything if expectation.norms))
    manifest["vectors"] = tuple_of(json.dumps(str(vector)) for vector in vectors)
    sources = []
    for norms, name in vectors_of.items():
        doc = "Return the matrix X of each norm ||X l||; its squared singular values are the scales of the integral."
        sources.append(function(name, arguments, doc, matrices.norm_vectors(norms)))
    for quantity, members in drives.items():
        doc = f"E[{'g' if quantity.endswith('1') else 'h'} l^T] (M, d) for independent normals l (d,)"
        names = numbered(f"{quantity}_integrand", (e.norms for e in members if e.norms))
        for e in members:
            if e.norms:
                inner, tilted = f"Return an integrand of {doc}, over x, y in (0, oo).", matrices.tilted(e.norms)
                sources.append(function(names[e.norms], ["x", "y", *arguments], inner, [e.terms], tilted, code))
            else:
                sources.append(
                    function(quantity, arguments, f"Return {doc}, exact (Gaussian moments).", [e.terms], (), code)
                )
                manifest[quantity] = call("MatrixExpectation", formula=quantity)
        if names:
            rows = [f"MatrixIntegral({vectors_of[norms]}, {name})" for norms, name in names.items()]
            manifest[quantity] = call("MatrixExpectation", integrals=tuple_of(rows))
    return sources
