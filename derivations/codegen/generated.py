"""Write all files of ``dynamics/generated``: a module for each loss, an index, and a module that all losses use."""

from pathlib import Path

from derivations.codegen.eigenvalue_code import eigenvalues
from derivations.codegen.module import header, module
from derivations.losses.catalogue import LOSSES, catalogue

GENERATED = Path(__file__).resolve().parents[2] / "dynamics" / "generated"


def catalogue_index() -> str:
    """Return the source of the index, a dictionary from the settings of each loss to the name of the loss's module.

    The index can be imported without SymPy.
    """
    rows = "".join(
        f'    ("{s.loss}", "{s.stop_gradient}", {s.isotropic}, {s.predictor}, {s.symmetrised}): "{s.name}",\n'
        for s in catalogue()
    )
    comment = "# (loss, stop_gradient, isotropic, has a predictor, symmetrised): module in this package\n"
    losses = ", ".join(f'"{name}"' for name in LOSSES)
    return header("The catalogue of losses") + f"\nLOSSES = ({losses},)\n\n{comment}MODULES = {{\n{rows}}}\n"


def files() -> dict[str, str]:
    """Return the source of each generated file, in a dictionary from file names to sources."""
    sources = {"__init__.py": header("Array code written from the derivations"), "catalogue.py": catalogue_index()}
    sources["eigenvalues.py"] = eigenvalues()
    return sources | {f"{setting.name}.py": module(setting) for setting in catalogue()}
