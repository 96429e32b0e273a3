"""``check``: every rung of the ladder against the one next to it, for one model."""

import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.networks.train import train
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.descent import iterate
from dynamics.solvers.flow import solve
from dynamics.solvers.methods import has_exact_solution
from dynamics.vector_field.eigenmode_state import spectrum
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.verification.compare import Comparison, compare

MODES, SPARE = 4, 2  # of the network: modes, and inputs beyond them
LOWEST, HIGHEST = 0.1, 0.9  # eigenvalues at the start; not 1, where functions such as W_P - W_P^2 vanish
SAMPLES = 200_000  # of the Monte Carlo that the closure is checked by
ROUNDING = 1e-9  # of derivatives, relative: condition numbers of random representations, times eps
CHANCE = 4.5  # standard errors that no deviation exceeds by chance, for a handful of modes: once in 30 000 runs
BEARING = 400  # samples that a variance rests on at least: it is then known to 5 %, errors to 2.5 %
COLUMNS = 100  # of what is printed
STEPS, MOVES = 60, 0.02  # of the network, whose fastest mode moves so far in a step, relative
FRACTIONS = (2, 4, 8)  # of the learning rate: shorter steps, whose map is nearer to the flow
SAMPLES_A_STEP = (20_000, 160_000, 1_280_000)  # the next where fluctuations are too large to be linear
LEAST = 0.1  # rate that a learning rate is chosen for
SLOWEST = 1e-2  # rate, relative to what it is a difference of, that a learning rate is chosen for
TRIALS = 8  # of learning rates, each half the one before


@dataclass(frozen=True)
class Rung:
    """One check. deviation, limit: what was found, and what is allowed; both None where there is nothing to check."""

    name: str
    against: str
    deviation: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """True also where there is nothing to check."""
        return self.deviation is None or bool(self.deviation <= (self.limit or 0.0))

    def __str__(self):
        mark = "--" if self.deviation is None else "ok" if self.passed else "NO"
        found = "" if self.deviation is None else f"{self.deviation:.2g} (at most {self.limit:.2g})"
        line = f"  {mark}  {self.name:<12} {self.against:<44} {found}{' ' * bool(found and self.note)}{self.note}"
        return textwrap.fill(line.rstrip(), COLUMNS, subsequent_indent=" " * 19)


@dataclass(frozen=True, repr=False)
class Check:
    """The rungs, and the network beside the descent map where training got that far."""

    model: Model
    rungs: tuple[Rung, ...]
    comparison: Comparison | None = field(default=None)

    @property
    def passed(self) -> bool:
        """Whether all rungs hold."""
        return all(rung.passed for rung in self.rungs)

    def plot(self, ax=None):
        """Draw the eigenvalues of network and descent map, with the sampling error; returns the matplotlib Axes."""
        from dynamics.results.plotting import plot_check

        return plot_check(self, ax)

    def __repr__(self):
        return f"<Check of {self.model}: {'passed' if self.passed else 'failed'}>"

    def __str__(self):
        failed = sum(not rung.passed for rung in self.rungs)
        verdict = "all rungs hold" if not failed else f"{failed} of {len(self.rungs)} rungs do not hold"
        title = textwrap.shorten(f"Check of {self.model}", 3 * COLUMNS, placeholder=" ...")
        return "\n".join([textwrap.fill(f"{title}: {verdict}", COLUMNS, subsequent_indent="  "), *map(str, self.rungs)])


def check(model: Model, s0=None, *, seed: int = 0, progress=None) -> Check:
    """Run the whole ladder for a model: is its loss what it is meant to be, and does its theory hold?

    s0: eigenvalues (M,) at which it is checked, and from which the network starts; default: four, from 0.1 to 0.9.
    seed: of random representations, samples and network. progress: True, False, or None: a bar where it takes long.

    1. basis: the loss is the same when representations and W_P are rotated together.
    2. gradient: the derived per-sample forces are those of automatic differentiation.
    3. rates: those of the closure are means of that gradient over samples, to within their error.
    4. exact: the exact solution is that of the integrated flow, where there is one.
    5. descent map: it differs from the flow in proportion to the learning rate.
    6. network: a network trained on samples follows the descent map, to within its sampling error.

    The result prints on one screen and has a ``plot``. Raises ArgumentError for models with correlated inputs, for
    ensembles, and for losses whose gradient has no variance with so many modes: means over a batch say nothing then.
    """
    errors.instance("model", model, Model, "be a Model")
    if model.inputs is not None or model.batch_shape:
        errors.reject("model", "have white inputs and plain numbers", model)
    s0 = model.check_eigenvalues(np.geomspace(LOWEST, HIGHEST, MODES) if s0 is None else s0)
    if s0.ndim != 1 or not s0.all():
        errors.reject("s0", "be eigenvalues above zero of one start, (M,)", s0)
    subject = Subject(model, s0, errors.count("seed", seed, 0))
    known = [subject.basis(), subject.gradient(), subject.rates(), subject.exact()]
    theory = subject.theory()
    descent = subject.descent(theory.settings["learning_rate"])
    network, comparison = subject.network(theory, progress)
    return Check(model, (*known, descent, network), comparison)


class Subject:
    """A model at eigenvalues s0, and what its rungs are checked with."""

    def __init__(self, model: Model, s0: np.ndarray, seed: int):
        self.model, self.s0, self.seed, self.generated = model, s0, seed, model.generated
        self.rng = np.random.default_rng(seed)
        self.forces = EigenmodeField(model, self.closure)
        self.state = self.forces.start(s0)
        _, self.lam, _ = spectrum(model.structure, self.forces.parameters, self.state)
        self.own = [float(a[0]) for a in model.parameters.of_loss]
        self.learned = model.structure.predictor == "learned"

    @property
    def closure(self) -> str:
        """The one that theory has for the loss."""
        return "monte_carlo" if self.generated.no_closure is not None else "gaussian"

    # --- the loss and its gradient

    def loss(self, z1, z2, t1, t2, lam, U=None):
        """L of samples (B, M), with W_P = U diag(lam) U^T; U: the identity."""
        import jax
        import jax.numpy as jnp

        from dynamics.networks.linear import over_modes

        U = jnp.eye(len(self.s0)) if U is None else U

        def predict(z, function=lambda lam: lam):
            return (U * function(lam)) @ U.T @ z

        arguments = (z1.T, z2.T, t1.T, t2.T, predict, over_modes, jax.lax.stop_gradient, *self.own)
        return self.generated.loss(*arguments)[0]

    def representations(self, count: int) -> list[np.ndarray]:
        """Of both views (B, M), with the model's noise."""
        x = self.rng.standard_normal((count, len(self.s0)))
        views = (x + sigma * self.rng.standard_normal(x.shape) for sigma in self.model.noise)
        return [np.sqrt(self.s0) * zeta for zeta in views]

    def anywhere(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Representations of two views (B, M) that have nothing to do with one another, and eigenvalues nearby."""
        z1, z2 = np.sqrt(self.s0) * self.rng.standard_normal((2, 50, len(self.s0)))
        return z1, z2, self.lam * self.rng.uniform(0.5, 1.5, len(self.s0))

    def basis(self) -> Rung:
        """The same values in a random basis."""
        import jax

        z1, z2, lam = self.anywhere()
        U = np.linalg.qr(self.rng.standard_normal((len(self.s0),) * 2))[0]
        with jax.enable_x64(True):
            here = np.asarray(self.loss(z1, z2, z1, z2, lam))
            there = np.asarray(self.loss(z1 @ U.T, z2 @ U.T, z1 @ U.T, z2 @ U.T, lam, U))
        return Rung("basis", "loss in a random basis", _relative(there, here), ROUNDING)

    def gradient(self) -> Rung:
        """Derived forces against automatic differentiation."""
        z1, z2, lam = self.anywhere()
        arguments = (z1, z2, lam, 1.0, *self.own)
        derived = [self.generated.force_on_view1(*arguments), self.generated.force_on_view2(*arguments)]
        found = self.slopes(z1, z2, lam)
        if self.learned and self.generated.force_on_predictor:
            derived.append(self.generated.force_on_predictor(*arguments))
        worst = _relative(np.stack(derived), np.stack(found), float(self.natural.min()))
        return Rung("gradient", "derived forces, automatic differentiation", worst, ROUNDING)

    def slopes(self, z1, z2, lam) -> list[np.ndarray]:
        """-dL/dz of both views (B, M), and of a learned predictor's lam, by automatic differentiation."""
        import jax

        with jax.enable_x64(True):
            lam = np.broadcast_to(lam, z1.shape)
            slope = jax.grad(lambda a, b, c: self._sum(a, b, c), (0, 1, 2) if self.learned else (0, 1))(z1, z2, lam)
            return [-np.asarray(a) for a in slope]

    def _sum(self, z1, z2, lam):
        """Sum over samples, each with eigenvalues of its own (B, M), in the eigenbasis."""
        import jax

        from dynamics.networks.linear import over_modes

        def predict(z, function=lambda lam: lam):
            return function(lam.T) * z

        arguments = (z1.T, z2.T, z1.T, z2.T, predict, over_modes, jax.lax.stop_gradient, *self.own)
        return self.generated.loss(*arguments).sum()

    # --- the theory

    def rates(self) -> Rung:
        """The closure against a mean over samples of the gradient; in standard errors."""
        z1, z2 = self.representations(SAMPLES)
        g, h, *_ = self.slopes(z1, z2, self.lam)
        with np.errstate(over="ignore", invalid="ignore"):
            drive = (g * z1 + h * z2) / self.s0
            square = (drive - drive.mean(axis=0)) ** 2
        if not np.isfinite(square).all():
            self._refuse("a gradient with a square that is finite in all samples")
        bearing = _bearing(square)
        if bearing < BEARING:
            self._refuse(f"a gradient with a variance that {SAMPLES:,} samples tell; it rests on {bearing:.0f} of them")
        error = np.sqrt(square.mean(axis=0) / SAMPLES)
        rates = self.forces(self.state).rates
        accuracy = max(self.forces.error if self.closure == "monte_carlo" else 0.0, ROUNDING)
        size = np.maximum(np.abs(drive).mean(axis=0) * accuracy, self.natural * ROUNDING)
        away = np.abs(rates - drive.mean(axis=0))
        with np.errstate(invalid="ignore"):
            z = np.where(away == 0, 0.0, away / np.hypot(error, size))
        how = "exact Gaussian closure" if self.closure == "gaussian" else f"{self.closure_note()}"
        return Rung("rates", f"{how}, sampled gradient", float(z.max()), CHANCE, "standard errors")

    def closure_note(self) -> str:
        """What the closure of samples is worth."""
        return f"Monte Carlo closure ({self.forces.error:.0e})"

    def _refuse(self, must: str) -> NoReturn:
        errors.reject("model", f"have {must}, with {len(self.s0)} modes", self.model)

    def exact(self) -> Rung:
        """The formula against the integrated flow."""
        if self.closure != "gaussian" or not has_exact_solution(self.model):
            return Rung("exact", "none for this model")
        times = np.linspace(0, 1 / self.fastest(), 5)
        exact, flow = (solve(self.model, self.s0, times, method=method, rtol=1e-10) for method in ("exact", "scipy"))
        kept = min(len(exact.t), len(flow.t))
        return Rung("exact", f"{exact.method}, integrated flow", _relative(flow.s[:kept], exact.s[:kept]), 1e-8)

    @cached_property
    def natural(self) -> np.ndarray:
        """Mean |L|/s (M,): what rates are differences of, and rounding is relative to, where they nearly cancel."""
        import jax

        z1, z2 = self.representations(1000)
        with jax.enable_x64(True):
            return np.abs(np.asarray(self.loss(z1, z2, z1, z2, self.lam))).mean() / self.s0

    def fastest(self) -> float:
        """Largest |r - rho| at the start, or where there is next to none, of what they are differences of."""
        away = np.abs(self.forces(self.state).rates - self.model.weight_decay).max()
        return float(max(away, SLOWEST * self.natural.min(), LEAST))

    def theory(self) -> Trajectory:
        """The descent map, with a learning rate for which the fastest mode moves by MOVES in a step, or less.

        Less, where what moves becomes more than twice as fast on the way, as where modes collapse in finite time.
        """
        eta = MOVES / self.fastest()
        for _ in range(TRIALS):
            found = iterate(self.model, np.sort(self.s0), STEPS, eta, closure=self.closure, method="numpy")
            if found.complete and _slowly(found.s) and (not self.learned or _slowly(found.predictor)):
                return found
            eta /= 2
        self._refuse(f"rates that do not grow without bounds at once: even steps of {eta:.1g} are too long")

    def descent(self, eta: float) -> Rung:
        """With half the learning rate the descent map is half as far from the flow, all along: modes may cross it.

        That is so of small ones. Where the first is too large, smaller ones tell its curvature from a wrong map.
        """
        if self.model.needs_learning_rate:
            return Rung("descent map", "something decays per step: no flow of its own")
        times = eta * np.arange(STEPS // 2 + 1)
        flow = solve(self.model, self.s0, times, closure=self.closure, method="scipy", rtol=1e-9).s
        away = self._from_flow(flow, eta, 1)
        size = np.abs(away).max() / np.abs(flow).max()
        if size < 1e-9:
            return Rung("descent map", "the same as the flow", float(size), 1e-9)
        for shorter in FRACTIONS:
            before, away = away, self._from_flow(flow, eta, shorter)
            off = abs(float(np.linalg.norm(before) / np.linalg.norm(away)) - 2)
            if off <= 0.2:
                break
        return Rung("descent map", "its distance to the flow is linear in eta", off, 0.2)

    def _from_flow(self, flow: np.ndarray, eta: float, shorter: int) -> np.ndarray:
        """How far the map of steps shorter by this factor is from the flow, at the latter's times."""
        steps = shorter * (STEPS // 2)
        own = iterate(self.model, self.s0, steps, eta / shorter, closure=self.closure, method="numpy").s[::shorter]
        kept = min(len(own), len(flow))
        return own[:kept] - flow[:kept]

    # --- the network

    def network(self, theory: Trajectory, progress) -> tuple[Rung, Comparison | None]:
        """Trained on samples, against the descent map; in standard errors.

        Those are linear in fluctuations. Where a loss makes so much of fluctuations that their squares count, more
        samples a step tell them from a wrong theory: to that the test with more samples is the stricter one.
        """
        inputs = len(self.s0) + SPARE
        directions = np.linalg.qr(self.rng.standard_normal((inputs, len(self.s0))))[0].T
        W0 = np.sqrt(np.sort(self.s0))[:, None] * directions
        options, before = {"seed": self.seed, "progress": progress, "record": STEPS // 6}, ""
        for samples in SAMPLES_A_STEP:
            eta = theory.settings["learning_rate"]
            trained = train(self.model, W0, STEPS, eta, batch_size=samples, **options)
            if not trained.complete:
                return Rung("network", trained.status, np.inf, CHANCE), None
            found = compare(theory, trained)
            z = self.deviation(theory, found)
            note = f"standard errors; largest deviation {found.max_relative():.1%}{before}"
            if z <= CHANCE:
                break
            before += f"; {z:.2g} standard errors with {samples:,}"
        return Rung("network", f"{STEPS} steps on {samples:,} samples each, descent map", z, CHANCE, note), found

    def deviation(self, theory: Trajectory, found: Comparison) -> float:
        """The largest, in standard errors: of sampling, of a closure of samples, of the network's single precision."""
        drift = 2 * theory.error * self.fastest() * found.t[:, None] * found.theory_modes
        away = np.abs(found.network_modes - found.theory_modes)[1:]
        single = 2 * np.finfo(np.float32).eps * np.sort(self.natural)[::-1] * found.t[:, None] * found.theory_modes
        own = np.hypot(found.sampling_error, drift if self.closure == "monte_carlo" else 0.0)
        own = np.hypot(own, single)[1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(away <= found.rounding * found.theory_modes[1:], 0.0, away / own)
        return float(z.max())


def _bearing(square: np.ndarray) -> float:
    """How many of the samples a mean of squares (samples, M) rests on: samples over kurtosis, in the worst mode."""
    share = square / np.maximum(square.max(axis=0), np.finfo(float).tiny)
    number = share.sum(axis=0) ** 2 / np.maximum((share**2).sum(axis=0), np.finfo(float).tiny)
    return float(number.min(where=square.max(axis=0) > 0, initial=len(square)))


def _slowly(values: np.ndarray) -> bool:
    """Whether nothing (T, M) moves by more than twice what the fastest mode is to move in a step: (1 + MOVES)^2 - 1."""
    return bool((np.abs(np.diff(values, axis=0)) <= 4 * MOVES * np.abs(values[:-1])).all())


def _relative(found: np.ndarray, expected: np.ndarray, least: float = 0.0) -> float:
    """Largest difference, relative to what is largest, or ``least``; inf where something is no number."""
    difference, scale = np.abs(found - expected).max(), max(np.abs(expected).max(), least)
    return float(difference / scale) if np.isfinite(difference) and scale > 0 else float("inf" if difference else 0.0)
