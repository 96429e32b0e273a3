"""Write the code of the matrices E[f l^T], from which the velocity of the weights is computed.

f are the forces on vectors, and l are independent normals. The code is a formula, or integrands if the forces are
divided by norms.
"""

import json
from collections.abc import Iterable

import sympy as sp

from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest, call, numbered, tuple_of
from derivations.codegen.signature import PLAIN, Signature
from derivations.losses.loss import is_power
from derivations.losses.products import LossInVectors, Product
from derivations.printers.array_code import ArrayPrinter
from derivations.symbols import notation as n
from derivations.theory import matrices


def matrix_functions(loss: LossInVectors, manifest: Manifest, signature: Signature = PLAIN) -> list[str]:
    """Return the source of the functions that compute E[f l^T] for the forces f on vectors; l are independent normals.

    If the forces are not divided by norms, one function returns the expectations. Otherwise functions return integrands
    of the expectations.
    """
    members = matrices.expectations(loss.expression)
    present = set().union(*(expectation.symbols() for expectation in members))
    known = [*matrices.REPRESENTATIONS, *(product.vector for product in loss.products)]
    present |= {matrices.map_of(vector) for product in loss.products for vector in (product.vector, product.of)}
    vectors = [vector for vector in map(matrices.map_of, known) if vector in present]
    arguments = [*map(str, vectors), *signature.loss_parameters]
    code = {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    manifest["vectors"] = _names(vectors)
    if loss.products:
        manifest["products"] = tuple_of(_product(product, signature) for product in loss.products)
    names = numbered("forces_integrand", (member.norms for member in members if member.norms))
    sources, integrals = [], []
    for member in members:
        driven = [vector for vector, _ in member.forces]
        if not member.norms:
            doc = f"Return the exact expectations E[f l^T] (M, d) over Gaussian views.\n\n{_roles(driven, vectors)}"
            sources.append(function("forces", arguments, doc, member.terms, (), code))
            manifest["forces"] = call("MatrixExpectation", formula="forces", driven=_names(driven))
            continue
        doc = (
            "Return the integrands (M, d) of integrals over x, y in (0, oo).\n\n"
            f"The integrals are terms of the expectations E[f l^T] over Gaussian views. {_roles(driven, vectors)}"
        )
        name = names[member.norms]
        sources.append(function(name, ["x", "y", *arguments], doc, member.terms, matrices.tilted(member.norms), code))
        integrals.append(f"MatrixIntegral({_names(member.norms)}, {name}, {_names(driven)})")
    if integrals:
        manifest["forces"] = call("MatrixExpectation", integrals=tuple_of(integrals))
    return sources


def _product(product: Product, signature: Signature) -> str:
    """Return the code ``VectorProduct(...)`` of a product h(W_P) u; h is left out if h(lambda) = lambda."""
    function = product.function
    arguments = {"name": json.dumps(str(product.vector)), "of": json.dumps(str(product.of))}
    if is_power(function) and function != n.lam[n.k]:
        arguments["function"] = f"lambda {', '.join(('lam', *signature.loss_parameters))}: " + ArrayPrinter().doprint(
            function
        )
    elif function != n.lam[n.k]:
        name = next(name for name, meaning in signature.operators if meaning == function)
        arguments["function"] = f"operator_{name.base}"
    if product.stopped:
        arguments["stopped"] = "True"
    return call("VectorProduct", **arguments)


def _names(vectors: Iterable[sp.MatrixSymbol]) -> str:
    return tuple_of(json.dumps(str(vector)) for vector in vectors)


def _roles(driven: list[sp.MatrixSymbol], vectors: list[sp.MatrixSymbol]) -> str:
    """Return the sentences of a docstring that define the forces, the normals l, and the vectors."""
    return (
        f"f: the force on {', '.join(map(str, driven))} (a matrix is returned for each force).\n"
        "l: d independent standard normals.\n"
        f"{', '.join(map(str, vectors))} (M, d): matrices that map l to the vectors of these names.\n"
    )
