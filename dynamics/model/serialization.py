"""Models as plain data, for files, and back."""

from dataclasses import fields
from typing import Any

import numpy as np

from dynamics.model.components import EMA, ClosedForm, Learned, NoPredictor, Shared
from dynamics.model.expressions import Expression, Gain, Loss
from dynamics.model.model import Model

PARTS = {part.__name__: part for part in (ClosedForm, Learned, NoPredictor, Shared, EMA)}
SENTENCES = {kind.__name__: kind for kind in (Loss, Gain)}


def describe(model: Model) -> dict[str, Any]:
    """A model as plain data."""

    def plain(value):
        if type(value) in PARTS.values():
            return {"kind": type(value).__name__} | {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, Expression):
            numbers = {name: plain(number) for name, number in value.parameters.items()}
            return {"kind": type(value).__name__, "text": value.text, "numbers": numbers}
        return [plain(part) for part in value] if isinstance(value, tuple) else np.asarray(value).tolist()

    # What came later is left out where it is not used: descriptions in files stay as they are.
    return {f.name: plain(getattr(model, f.name)) for f in fields(model) if f.name != "gain" or model.gain is not None}


def restore(description: dict[str, Any]) -> Model:
    """The model that ``describe`` described."""

    def part(plain):
        kind = plain["kind"]
        if kind in SENTENCES:
            return SENTENCES[kind].parse(plain["text"], **plain["numbers"])
        return PARTS[kind](**{name: value for name, value in plain.items() if name != "kind"})

    parts = {name: part(value) for name, value in description.items() if isinstance(value, dict)}
    return Model(**(description | parts | {"noise": tuple(description["noise"])}))
