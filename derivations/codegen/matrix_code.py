"""Write the code of the matrices E[g l^T] and E[h l^T], from which the velocity of the weights is computed.

g and h are the forces on the representations of views 1 and 2, and l are independent normals. The code is a formula, or
integrands if the forces are divided by norms.
"""

import json

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest, call, numbered, tuple_of
from derivations.codegen.signature import PLAIN, Signature
from derivations.theory import matrices


def matrix_functions(loss: sp.Expr, manifest: Manifest, signature: Signature = PLAIN) -> list[str]:
    """Return the source of the functions that compute E[g l^T] and E[h l^T].

    g and h are the forces on views 1 and 2, and l are independent normals. If a force is not divided by norms, one
    function returns its expectation. Otherwise some functions return integrands of the expectation, and others return
    the matrices X of the norms ||X l||, which set the scales of the integration variables.
    """
    drives = {f"drive_on_view{view}": matrices.expectations(loss, view) for view in (1, 2)}
    everything = [expectation for expectations in drives.values() for expectation in expectations]
    present = set().union(*(expectation.symbols() for expectation in everything))
    vectors = [vector for vector in matrices.VECTORS.values() if vector in present]
    arguments = ["W_P", *map(str, vectors), *signature.loss_parameters]
    code = {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    vectors_of = numbered("norm_vectors", (expectation.norms for expectation in everything if expectation.norms))
    manifest["vectors"] = tuple_of(json.dumps(str(vector)) for vector in vectors)
    sources = []
    for norms, name in vectors_of.items():
        doc = (
            "Return the matrix X of each norm ||X l|| by which the forces on the representations are divided.\n\n"
            f"{_roles(vectors)}"
            "The squared singular values of X set the scale of the integration variable that replaces the norm.\n"
        )
        sources.append(function(name, arguments, doc, matrices.norm_vectors(norms)))
    for quantity, members in drives.items():
        letter, view = ("g", 1) if quantity.endswith("1") else ("h", 2)
        roles = f"{letter} is the force on the representation of view {view}.\n{_roles(vectors)}"
        names = numbered(f"{quantity}_integrand", (e.norms for e in members if e.norms))
        for e in members:
            if e.norms:
                doc = (
                    "Return the integrand (M, d) of an integral over x, y in (0, oo).\n\n"
                    f"The integral is a term of the expectation E[{letter} l^T] over Gaussian views. {roles}"
                )
                sources.append(
                    function(names[e.norms], ["x", "y", *arguments], doc, [e.terms], matrices.tilted(e.norms), code)
                )
            else:
                doc = f"Return the exact expectation E[{letter} l^T] (M, d) over Gaussian views.\n\n{roles}"
                sources.append(function(quantity, arguments, doc, [e.terms], (), code))
                manifest[quantity] = call("MatrixExpectation", formula=quantity)
        if names:
            rows = [f"MatrixIntegral({vectors_of[norms]}, {name})" for norms, name in names.items()]
            manifest[quantity] = call("MatrixExpectation", integrals=tuple_of(rows))
    return sources


def _roles(vectors: list[sp.MatrixSymbol]) -> str:
    """Return the sentences of a docstring that define the normals l, the predictor, and the representations."""
    return (
        "l are d independent standard normals, of which the representations are linear functions.\n"
        f"{', '.join(map(str, vectors))} (M, d): each a matrix that maps l to the representation of this name.\n"
        "W_P: matrix of the predictor.\n"
    )
