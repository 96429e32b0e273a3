"""The result of every rung of the ladder: eigenvalues over time, with units and provenance."""

import json
import math
import textwrap
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.vector_field.weight_state import on_white

FORMAT = "ssl-dynamics trajectory 1"
ARRAYS = (
    "t",
    "s",
    "target",
    "predictor",
    "step",
    "blow_up_time",
    "deviation",
    "weights",
    "target_weights",
    "predictor_weights",
    "embeddings",
)
MEASURE = "measures."  # how the names of measures begin in a file
QUANTITIES = ("s", "target", "predictor")  # that every trajectory has
STEADY = "steady"  # how the status of a flow begins that was followed to its rest
KINDS = {"flow": "flow", "descent": "descent map", "network": "network"}


@dataclass(frozen=True, repr=False, eq=False)
class Trajectory:
    """Eigenvalues s(t) of the representation correlation, from a flow, a descent map or a network.

    t: times (T,), in units of learning rate times steps. step: steps (T,), where there are steps.
    s: eigenvalues (..., T, M), each mode in its own column (networks, correlated inputs: ascending). target: those of
    the target branch's correlation. predictor: lambda. kind: "flow", "descent" or "network".
    method: what computed it. status: one sentence on how it ended. error: estimated relative error of the rates.
    blow_up_time: when eigenvalues leave the finite world (...), inf where they do not.
    deviation: predicted standard deviation (T, M) of s in networks trained with batches of finite size, if asked.
    weights: encoder weights (..., T, M, N), of networks, and of theory where inputs are correlated. target_weights:
    those of a target branch of its own.
    predictor_weights: (..., T, M, M), of a learned predictor.
    embeddings: probes' representations (..., T, P, M), if asked. settings: arguments of the run.
    measures: of deep networks, by name, what else was measured at each record (``dynamics/networks/deep/metrics.py``).
    """

    model: Model
    kind: str
    t: np.ndarray
    s: np.ndarray
    target: np.ndarray
    predictor: np.ndarray
    method: str
    step: np.ndarray | None = None
    status: str = "complete"
    error: float = 0.0
    blow_up_time: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    deviation: np.ndarray | None = None
    weights: np.ndarray | None = None
    target_weights: np.ndarray | None = None
    predictor_weights: np.ndarray | None = None
    embeddings: np.ndarray | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def alignment(self) -> np.ndarray:
        """|u_m . W_P u_m|/|W_P u_m| (..., T, M): 1 where the eigenvector u_m of W W^T is one of a learned predictor.

        For networks with a learned predictor; u_m in ascending order of the eigenvalues. Raises ArgumentError.
        """
        if "alignment" in self.measures:
            return self.measures["alignment"]
        if self.predictor_weights is None or self.weights is None:
            errors.reject("alignment", "be asked of a network with a learned predictor", self)
        U = np.linalg.svd(self.weights.astype(float), full_matrices=False)[0][..., ::-1]
        turned = self.predictor_weights.astype(float) @ U
        return np.abs((U * turned).sum(axis=-2)) / np.linalg.norm(turned, axis=-2)

    @property
    def modes(self) -> np.ndarray:
        """u_m . C u_m (..., T, M), with u_m the eigenvectors of C at the start, in ascending order.

        Networks fluctuate evenly around theory in these; sorted eigenvalues repel where they are nearly equal. Of
        eigenmodes, where no eigenvector turns, they are s itself.
        """
        if self.weights is None:
            order = np.argsort(self.s[..., :1, :], axis=-1)
            return np.take_along_axis(self.s, order, axis=-1)
        weights = on_white(np.asarray(self.weights, float), self.model.input_root)
        U = np.linalg.svd(weights[..., :1, :, :], full_matrices=False)[0][..., ::-1]
        return ((U.mT @ weights) ** 2).sum(axis=-1)

    @property
    def complete(self) -> bool:
        """True if the run reached the last time or step asked for, or the rest it was asked for."""
        return self.status == "complete" or self.status.startswith(STEADY)

    def plot(self, ax=None, quantity="s", **style):
        """Draw s against step, or time (flow, or where ``ax`` shows time); returns the matplotlib Axes.

        quantity: "s", "target" or "predictor", or one of the ``measures`` of a deep network.
        style: passed to ``Axes.plot``. Raises ArgumentError.
        """
        from dynamics.results.plotting import plot_trajectory

        errors.choice("quantity", quantity, (*QUANTITIES, *self.measures))
        return plot_trajectory(self, ax, quantity, **style)

    def save(self, path) -> Path:
        """Write an .npz file that ``load`` reads back; the path written."""
        path = Path(path)
        path = path if path.suffix.lower() == ".npz" else path.with_name(path.name + ".npz")
        arrays = {name: getattr(self, name) for name in ARRAYS}
        about = {
            "format": FORMAT,
            "model": self.model.to_dict(),
            **{name: getattr(self, name) for name in ("kind", "method", "status", "error", "settings")},
        }
        present = {name: array for name, array in arrays.items() if array is not None}
        present |= {MEASURE + name: array for name, array in self.measures.items()}
        with path.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **present)
        return path

    def to_csv(self, path) -> Path:
        """Write t, step and the eigenvalues as text, one row a time and ensemble member."""
        members = self.members()
        steps = self.step if self.step is not None else np.full(len(self.t), np.nan)
        rows = [np.column_stack([np.full(len(self.t), i), self.t, steps, s]) for i, s in enumerate(members)]
        names = ["member", "t", "step", *(f"s{m + 1}" for m in range(self.s.shape[-1]))]
        np.savetxt(path, np.concatenate(rows), delimiter=",", header=",".join(names), comments="", fmt="%.17g")
        return Path(path)

    def members(self, quantity: str = "s") -> np.ndarray:
        """A quantity of every member, one after another: (B, T, M), or (B, T, 1) if it is one number a time."""
        values = getattr(self, quantity) if quantity in QUANTITIES else self.measures[quantity]
        return values.reshape(math.prod(self.s.shape[:-2]), len(self.t), *(values.shape[self.s.ndim - 1 :] or (1,)))

    def __repr__(self):
        return f"<Trajectory: {KINDS[self.kind]}, {self.model}, s {self.s.shape}>"

    def __str__(self):
        last = self.s[..., -1, :] if self.s.shape[-2] else self.s.reshape(-1)
        ensemble = self.s.shape[:-2]
        lines = [
            textwrap.fill(f"{KINDS[self.kind].capitalize()} of {self.model}", 100, subsequent_indent="  "),
            f"  modes {self.s.shape[-1]}, times {len(self.t)}" + (f", ensemble {ensemble}" if ensemble else ""),
        ]
        if len(self.t):
            lines.append(f"  t    {self.t[0]:.6g} ... {self.t[-1]:.6g}  (learning rate x steps)")
        if self.step is not None and len(self.step):
            lines.append(f"  step {self.step[0]} ... {self.step[-1]}")
        if last.size:
            lines.append(f"  s    {_span(self.s[..., 0, :])} at the start")
            lines.append(f"       {_span(last)} at the end")
        lines.append(
            f"  method {self.method}" + (f", estimated error of the rates {self.error:.1e}" if self.error else "")
        )
        lines.append(f"  status {self.status}")
        return "\n".join(lines)


def _span(s: np.ndarray) -> str:
    """Smallest and largest of the values that were computed."""
    computed = s[~np.isnan(s)]
    return f"{computed.min():.4g} ... {computed.max():.4g}" if computed.size else "not computed"


def load(path) -> Trajectory:
    """Read a trajectory that ``Trajectory.save`` wrote. Nothing in the file is executed.

    Raises FileNotFoundError, or ArgumentError if the file is truncated, foreign, or contains pickled objects.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    must = "name a complete file written by Trajectory.save"
    if not zipfile.is_zipfile(path):
        raise errors.ArgumentError(f"Argument `path` must {must}, but {path} is truncated or no npz file.")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            contents = {name: file[name] for name in file.files}
    except Exception as error:  # whatever a damaged archive makes its readers raise
        reason = "contains pickled objects, which are never loaded" if "allow_pickle" in str(error) else "is damaged"
        raise errors.ArgumentError(f"Argument `path` must {must}, but {path} {reason}.") from error
    try:
        about = json.loads(str(contents.pop("about")))
        if about.pop("format") != FORMAT:
            raise ValueError("an unknown format")
        names = [name for name in contents if name.startswith(MEASURE)]
        measures = {name.removeprefix(MEASURE): contents.pop(name) for name in names}
        loaded = Trajectory(model=Model.from_dict(about.pop("model")), **about, **contents, measures=measures)
        if loaded.kind not in KINDS:
            raise ValueError(f"an unknown kind {loaded.kind!r}")
        if loaded.s.ndim < 2 or loaded.s.shape[-2] != len(loaded.t):
            raise ValueError("shapes that do not fit together")
        return loaded
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.ArgumentError(
            f"Argument `path` must {must}, but {path} holds something else ({error})."
        ) from error
