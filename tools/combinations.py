"""Write docs/combinations.md: which parts of a model go together, as the code itself says."""

from itertools import product
from pathlib import Path

import dynamics as dyn

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "combinations.md"
LOSSES = {
    "Euclidean": {"loss": "euclidean"},
    "Euclidean, isotropic": {"loss": "euclidean", "isotropic": True},
    "cosine": {"loss": "cosine"},
    "cosine, isotropic": {"loss": "cosine", "isotropic": True},
    "Euclidean, gain lambda^0.5": {"loss": "euclidean", "gain": "lambda^0.5"},
    "of one's own, such as `p . sg(z2) * (p . p) / 4`": {"loss": dyn.Loss.parse("p . sg(z2) * (p . p) / 4")},
}
STOP_GRADIENTS = {"target": "the target", "none": "nothing", "online": "the online branch"}
PREDICTORS = {"`ClosedForm()`": dyn.ClosedForm(), "`Learned()`": dyn.Learned(), "`NoPredictor()`": dyn.NoPredictor()}
TARGETS = {"`Shared()`": dyn.Shared(), "`EMA(decay)`": dyn.EMA(0.9)}
DECAYS = (0.0, 0.01)


def refusal(options: dict) -> str | None:
    """Why there is no such model; None where there is one."""
    try:
        dyn.Model(**options)
    except dyn.ArgumentError as error:
        return str(error)
    return None


def document() -> str:
    """The table, and the reasons it refers to."""
    reasons: list[str] = []
    rows = []
    for (loss, options), stop in product(LOSSES.items(), STOP_GRADIENTS):
        cells = []
        for predictor, target in product(PREDICTORS.values(), TARGETS.values()):
            parts = options | {"stop_gradient": stop, "predictor": predictor, "target": target}
            (refused,) = {refusal(parts | {"weight_decay": decay}) for decay in DECAYS}
            reason = refused or refusal(parts | {"inputs": [[1.0]]})
            if reason and reason not in reasons:
                reasons.append(reason)
            answer = "no" if refused else "white inputs" if reason else "yes"
            cells.append(f"{answer} ({reasons.index(reason) + 1})" if reason else answer)
        rows.append(f"| {loss} | {STOP_GRADIENTS[stop]} | {' | '.join(cells)} |")
    columns = [f"{predictor}, {target}" for predictor, target in product(PREDICTORS, TARGETS)]
    lines = [
        "# What goes together",
        "",
        "Written by `make docs` (`tools/combinations.py`) from what `Model` accepts and refuses. Every combination",
        "with a yes runs on all rungs (flow, descent map, network), with any weight decay, noise on the views,",
        'and `inputs` of any covariance, symmetrised or not; one with "white inputs" does so for white inputs.',
        "`ClosedForm` includes its options `epsilon`, `normalize` and `tracking`. The numbers are the reasons below.",
        "",
        f"| loss | gradient stopped on | {' | '.join(columns)} |",
        f"|{'---|' * (2 + len(columns))}",
        *rows,
        "",
        *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"written: {DOCUMENT}")
