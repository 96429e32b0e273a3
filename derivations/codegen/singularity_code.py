"""Write into the manifest of a generated module the sets of views on which gradients of the loss are infinite."""

import json

import sympy as sp

from derivations.codegen.manifest import Manifest, call, tuple_of
from derivations.errors import UnsupportedLossError
from derivations.theory import existence


def write_singularities(loss: sp.Expr, trains_predictor: bool, manifest: Manifest) -> None:
    """Write the singularities of a loss into ``manifest``: the sets of views on which a gradient is infinite.

    manifest: the fields of the ``DerivedLoss`` in a generated module. The singularities for views with noise and those
    for views without noise are derived separately. If the growth of a gradient near one singularity cannot be derived,
    all singularities for views with noise, or all for views without noise, are left out.
    """
    rows = []
    for noiseless in (False, True):
        try:
            quantities = existence.singularities(loss, noiseless)
        except UnsupportedLossError:
            continue
        for quantity, singularities in quantities.items():
            if quantity != "predictor" or trains_predictor:
                rows += [_row(quantity, noiseless, singularity) for singularity in singularities]
    if rows:
        manifest["singularities"] = tuple_of(rows)


def _row(quantity: str, noiseless: bool, singularity: existence.SingularSet) -> str:
    alone = None if singularity.order_alone == sp.oo else float(singularity.order_alone)
    return call(
        "Singularity",
        quantity=json.dumps(quantity),
        at=json.dumps(singularity.at),
        noiseless=str(noiseless),
        conditions=str(singularity.conditions),
        order=f"{float(singularity.order):g}",
        order_alone=f"{alone:g}" if alone is not None else "None",
    )
