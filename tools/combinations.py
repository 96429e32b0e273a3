"""Write docs/combinations.md, a table that shows which options of ``Model`` can be combined."""

from dataclasses import MISSING
from itertools import product
from pathlib import Path
from typing import Any

import dynamics as dyn
from dynamics.generated import catalogue
from dynamics.model.options import defaults, options, signature

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "combinations.md"
USER_DEFINED = "p . sg(z2) * (p . p) / 4"
BRANCHES = {"target": "the target", "none": "nothing", "online": "the online branch"}
STATED = {None: "as stated"}  # of losses that contain their stop-gradients
DECAYS = (0.0, 0.01)
VIEWS = (None, dyn.Views.modes([1.5], [1.0], [1.5]))


def losses() -> dict[str, dict[str, Any]]:
    """Return, for the title of each loss in the table, the options of ``Model`` that select the loss."""
    first, plain = catalogue.LOSSES[0], {loss: {"loss": loss} for loss in catalogue.LOSSES}
    isotropic = {f"{loss}, isotropic": {"loss": loss, "isotropic": True} for loss in catalogue.LOSSES}
    gained = {f"{first}, gain `{dyn.Gain.example}`": {"loss": first, "gain": dyn.Gain.example}}
    return plain | isotropic | gained | {f"user-defined, `{USER_DEFINED}`": {"loss": dyn.Loss.parse(USER_DEFINED)}}


def components(name: str) -> dict[str, Any]:
    """Return an example of each component that an option of ``Model`` accepts.

    The keys of the dictionary are the signatures of the classes of the components. name: name of the option, such as
    "predictor".
    """
    examples = {}
    for kind in options(dyn.Model)[name].classes:
        required = [option for option, default in defaults(kind).items() if default is MISSING]
        examples[f"`{signature(kind)}`"] = kind(**{option: options(kind)[option].example for option in required})
    return examples


def refusal(parts: dict[str, Any]) -> str | None:
    """Return the requirement that options of ``Model`` violate; None if the options can be combined."""
    try:
        dyn.Model(**parts)
    except dyn.ArgumentError as error:
        return str(error).rpartition(", but ")[0] + "."
    return None


def cases() -> list[tuple[str, dict[str, Any], str | None, str]]:
    """Return the title and the options of each loss, for each place of the stop-gradient and its title."""
    return [
        (loss, parts, stop, branch)
        for loss, parts in losses().items()
        for stop, branch in ((STATED if dyn.Model(**parts).stop_gradient is None else {}) | BRANCHES).items()
    ]


def document() -> str:
    """Return the text of docs/combinations.md: the table, and the requirements to which it refers."""
    reasons: list[str] = []
    predictors, targets = components("predictor"), components("target")
    rows = []
    for loss, parts, stop, branch in cases():
        cells = []
        for predictor, target in product(predictors.values(), targets.values()):
            whole = parts | {"stop_gradient": stop, "predictor": predictor, "target": target}
            (refused,) = {
                refusal(whole | {"weight_decay": decay, "views": views}) for decay in DECAYS for views in VIEWS
            }
            reason = refused or refusal(whole | {"inputs": [[1.0]]})
            if reason and reason not in reasons:
                reasons.append(reason)
            answer = "no" if refused else "white inputs" if reason else "yes"
            cells.append(f"{answer} ({reasons.index(reason) + 1})" if reason else answer)
        rows.append(f"| {loss} | {branch} | {' | '.join(cells)} |")
    columns = [", ".join(pair) for pair in product(predictors, targets)]
    lines = [
        "# Combinations of options",
        "",
        'Written by `make docs` (`tools/combinations.py`) from the rules of `Model`. "yes": a combination runs on all',
        "levels of description (flow, descent map, network), with any weight decay, noise on the views, `views` with",
        'second moments of each mode, and `inputs` of any covariance, symmetrised or not. "white inputs": the',
        'combination runs for white inputs, and for `views` with second moments of each mode, only. "no": it',
        "is refused. `ClosedForm` includes the options `epsilon`, `normalize` and `tracking`. Numbers in parentheses",
        'refer to the reasons below the table. "as stated": `stop_gradient` is left out, because the loss or the gain',
        "states its stop-gradients. In a loss without `p` and `W_P`, options of the predictor have no effect, and",
        "`target` has none in a loss without `z2`: they are refused.",
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
