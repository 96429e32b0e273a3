"""Write everything derived about one loss as one module of array code."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy as sp

from derivations import closures, equilibria, gradients, invariants, matrices, rates, solutions
from derivations import notation as n
from derivations.array_code import ARRAY, SPECIAL, ArrayPrinter, UntranslatableError, function
from derivations.display import MathText
from derivations.losses import Loss, is_power
from derivations.modes import expanded, total

STATISTICS = list(closures.VIEW_STATISTICS.items())
SPECTRUM = ["s", "lam", "ratio"]
VIEWS = ["sigma1", "sigma2"]
GIVEN_SUM = replace(ARRAY, over_modes="over_modes({})")  # of a loss, whose caller knows the axis of modes


@dataclass(frozen=True)
class Terms:
    """What the functions of one module speak of: numbers that its loss leaves open, and functions of W_P by name."""

    numbers: tuple[str, ...] = ()
    operators: tuple[tuple[sp.Expr, sp.Expr], ...] = ()

    @classmethod
    def of(cls, loss: Loss) -> "Terms":
        """Those of a loss."""
        return cls(loss.parameters, tuple(loss.operators.items()))

    @property
    def parameters(self) -> list[str]:
        """Numbers that belong to views and loss."""
        return [*VIEWS, *self.numbers]

    @property
    def arguments(self) -> list[str]:
        """Of every expectation."""
        return [*SPECTRUM, *self.parameters]

    @property
    def definitions(self) -> list[tuple[sp.Expr, sp.Expr]]:
        """Of every expectation."""
        return [*self.operators, *STATISTICS]


PLAIN = Terms()


def simplest(expression: sp.Expr) -> sp.Expr:
    """A short form; constants in sigma1 and sigma2, where n1 - 1 would cancel."""
    if not expression.has(sp.Indexed):
        return sp.factor(sp.expand(expression.subs(closures.VIEW_STATISTICS)))
    if expression.has(sp.Sum):  # each a generator to ``factor``, which can then take minutes
        return sp.factor_terms(expression)
    return min(
        (expression, sp.factor_terms(expression), sp.factor(expression)), key=lambda e: (sp.count_ops(e), str(e))
    )


def module(loss: Loss, whole: bool = True) -> str:
    """The source of one generated module.

    whole: refuse, with the name of the loss, what cannot be derived as a whole; else NO_CLOSURE and NO_MATRICES in the
    module say why it has no exact expectations, of eigenmodes and of matrices.
    """
    try:
        return _module(loss, whole)
    except (closures.UnsupportedLossError, UntranslatableError, solutions.ProofError) as error:
        raise type(error)(f"{loss.name}: {error}") from error


def _module(loss: Loss, whole: bool) -> str:
    expression, terms, learned = loss.in_eigenbasis(), Terms.of(loss), loss.trains_predictor
    manifest = Manifest(loss.name)
    parts = [
        *operator_functions(terms),
        *pole_functions(loss, terms, manifest),
        loss_function(loss, terms),
        *force_functions(expression, learned, terms, manifest),
        *_unless(whole, manifest, "no_closure", lambda: expectation_functions(expression, learned, manifest, terms)),
        *_unless(whole, manifest, "no_matrices", lambda: matrix_functions(expression, manifest)),
    ]
    rate = None if "integrals=" in manifest.get("rates", "") else _own_rate(loss)
    parts += [
        *exact_functions(rate, terms, manifest, whole),
        *invariant_functions(expression, learned, manifest),
        *equilibrium_functions(rate, terms, manifest),
        manifest.source(),
    ]
    code = "\n\n".join(parts)
    special = sorted(name for name in SPECIAL.values() if f"{name}(" in code)
    imports = f"\nfrom dynamics.derived_loss import {', '.join(manifest.classes)}"
    imports += f"\nfrom dynamics.numerics.special import {', '.join(special)}" if special else ""
    return header(loss.title) + imports + "\n\n\n" + code


def _unless(whole: bool, manifest: "Manifest", reason: str, derive: Callable[[], list[str]]) -> list[str]:
    """The derived functions; where they cannot be derived, the manifest states the reason under a name."""
    try:
        return derive()
    except closures.UnsupportedLossError as error:
        if whole:
            raise
        manifest[reason] = json.dumps(str(error))
        return []


def _own_rate(loss: Loss) -> sp.Expr | None:
    """r_m as a formula, with functions of W_P written out; None where there is none."""
    try:
        rate = rates.rates(loss.in_eigenbasis(), "gaussian")
    except closures.UnsupportedLossError:
        return None
    return loss.explicit(rate) if isinstance(rate, sp.Expr) else None


def header(title: str) -> str:
    """The docstring of a generated file."""
    how = "Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``."
    return f'"""{title}.\n\n{how}\n"""\n'


# --- the loss -------------------------------------------------------------------------------------------------------


def operator_functions(terms: Terms) -> list[str]:
    """Functions of W_P, by their eigenvalues."""
    return [
        function(f"operator_{name.base}", ["lam", *terms.numbers], f"{name.base}(lambda).", [meaning])
        for name, meaning in terms.operators
    ]


def pole_functions(loss: Loss, terms: Terms, manifest: "Manifest") -> list[str]:
    """Those that may have a pole where lambda is zero; of most losses there are none."""
    doc = "Functions of lambda in the gradient: where one is no number, the gradient has a pole."
    if not (found := loss.poles):
        return []
    manifest["poles"] = "poles"
    return [function("poles", ["lam", *terms.numbers], doc, found)]


class Predictions:
    """Gives a name to what W_P, or a function of it, makes of a vector; ``lines`` computes them in turn."""

    def __init__(self, loss: Loss, printer: ArrayPrinter):
        self.loss, self.printer = loss, printer
        self.names: dict[tuple[sp.Expr, sp.Expr], sp.Indexed] = {}
        self.lines: list[str] = []

    def __call__(self, eigenvalue: sp.Expr, component: sp.Expr) -> sp.Expr:
        """The vector's component, in any basis."""
        coefficient, function = eigenvalue.as_coeff_Mul()
        base, exponent = function.as_base_exp()
        if not function.has(n.lam):
            return coefficient * function * component
        if base == n.lam[n.k] and exponent.is_Integer and exponent > 1:
            return coefficient * self(base, self(base ** (exponent - 1), component))
        return coefficient * self._named(function, component)

    def _named(self, function: sp.Expr, component: sp.Expr) -> sp.Expr:
        key = (function, component)
        if key not in self.names:
            view = {n.z1[n.k]: 1, n.z2[n.k]: 2}.get(component)
            name = f"p{view}" if view and function == n.lam[n.k] else f"v{len(self.lines) + 1}"
            self.names[key] = sp.IndexedBase(name, real=True)[n.k]
            arguments = [self.printer.doprint(component), *self._function(function)]
            self.lines.append(f"    {name} = predict({', '.join(arguments)})")
        return self.names[key]

    def _function(self, function: sp.Expr) -> list[str]:
        """The second argument of predict: none for W_P itself."""
        if function == n.lam[n.k]:
            return []
        if is_power(function):
            return [f"lambda lam: {self.printer.doprint(function)}"]
        name = next(name for name, meaning in self.loss.operators.items() if meaning == function)
        return [f"lambda lam: operator_{name.base}({', '.join(('lam', *self.loss.parameters))})"]


def loss_function(loss: Loss, terms: Terms) -> str:
    """The loss itself, for automatic differentiation: any predictor, any basis."""
    predictions = Predictions(loss, ArrayPrinter(dialect=GIVEN_SUM))
    expression = loss.expression(predictions)
    arguments = ["z1", "z2", "t1", "t2", "predict", "over_modes", "stop_gradient", *terms.numbers]
    doc = "L of each sample, of what predict makes of z, and over_modes of its sums over modes."
    source = function("loss", arguments, doc, [expression], dialect=GIVEN_SUM)
    definition, docstring, body = source.split("\n", 2)
    namespace = "    xp = z1.__array_namespace__()\n"
    if any("xp." in line for line in predictions.lines):
        docstring, body = f"{docstring}\n{namespace}".rstrip(), body.replace(namespace, "")
    return "\n".join([definition, docstring, *predictions.lines, body])


# --- what moves the eigenmodes --------------------------------------------------------------------------------------


def force_functions(loss: sp.Expr, trains_predictor: bool, terms: Terms, manifest: "Manifest") -> list[str]:
    """What the gradient does to each sample's representations."""
    forces = {
        "force_on_view1": ("g = -dL/dz1 - dL/dt1 per sample, in the eigenbasis.", gradients.force(loss, 1)),
        "force_on_view2": ("h = -dL/dz2 - dL/dt2 per sample, in the eigenbasis.", gradients.force(loss, 2)),
    }
    if trains_predictor:
        forces["force_on_predictor"] = ("-dL/dlam per sample.", gradients.force_on_predictor(loss))
    manifest |= {name: name for name in ("loss", *forces)}
    arguments, operators = ["z1", "z2", "lam", "ratio", *terms.numbers], terms.operators
    return [function(name, arguments, doc, [_like_input(force)], operators) for name, (doc, force) in forces.items()]


def _like_input(force: sp.Expr) -> sp.Expr:
    return sp.Mul(0, n.z1[n.m], evaluate=False) if force == 0 else sp.factor_terms(force)


QUANTITIES = {
    "rates": ("r_m", rates.rates),
    "predictor_force": ("f_m", rates.predictor_force),
}


class Manifest(dict):
    """The fields of ``dynamics.derived_loss.DerivedLoss`` that a module fills, by name, as code."""

    def __init__(self, name: str):
        super().__init__(name=json.dumps(name))

    @property
    def classes(self) -> list[str]:
        """Names to import."""
        code = re.sub(r'"(\\.|[^"\\])*"', "", " ".join(self.values()))  # without strings, which quote expressions
        return sorted({*re.findall(r"\b[A-Z]\w+(?=\()", code), "DerivedLoss"})

    def source(self) -> str:
        """The statement that binds the manifest."""
        rows = "".join(f"    {field}={code},\n" for field, code in self.items())
        return f"DERIVED = DerivedLoss(\n{rows})\n"


def call(callee: str, /, **arguments: str) -> str:
    """Code of a call with keyword arguments."""
    return f"{callee}({', '.join(f'{key}={code}' for key, code in arguments.items())})"


def numbered(name: str, keys) -> dict:
    """A name for each of the keys: numbered where there are several."""
    keys = list(dict.fromkeys(keys))
    return {key: f"{name}_{number}" if len(keys) > 1 else name for number, key in enumerate(keys, 1)}


def expectation_functions(loss: sp.Expr, trains_predictor: bool, manifest: Manifest, terms: Terms = PLAIN) -> list[str]:
    """Rates, and the force on a learned predictor: formulas, or integrands with the scales of their integrals."""
    sources: list[str] = []
    found = {q: derive(loss, "gaussian") for q, (_, derive) in QUANTITIES.items() if q == "rates" or trains_predictor}
    tilts = [integral.tilt for exact in found.values() if not isinstance(exact, sp.Expr) for integral in exact]
    scales = numbered("mean_squares", (tilt.norms for tilt in tilts))
    unique = {tilt.norms: tilt for tilt in tilts}.values()
    sources += [_mean_squares(scales[tilt.norms], tilt, terms) for tilt in unique]
    for quantity, exact in found.items():
        symbol, derive = QUANTITIES[quantity]
        if isinstance(exact, sp.Expr):
            doc = f"{symbol}, exact (Gaussian moments)."
            sources.append(function(quantity, terms.arguments, doc, [_per_mode(simplest(exact))], terms.definitions))
            manifest[quantity] = call("Expectation", formula=quantity)
            continue
        doc = f"{symbol} with every norm and sum replaced by its mean."
        mean = sp.factor_terms(derive(loss, "mean_field"))
        entry, rows = {"mean_field": f"{quantity}_mean_field"}, []
        sources.append(function(f"{quantity}_mean_field", terms.arguments, doc, [mean], terms.definitions))
        if isinstance(exact, closures.Mixed):
            doc = f"The part of {symbol} that needs no integral, exact (Gaussian moments)."
            moments = [_per_mode(simplest(exact.formula))]
            sources.append(function(f"{quantity}_moments", terms.arguments, doc, moments, terms.definitions))
            entry["moments"] = f"{quantity}_moments"
        names = numbered(f"{quantity}_integrand", exact)
        for integral, name in names.items():
            doc = f"{symbol} is the integral of this over {'x, y'[: 3 * len(integral.powers) - 2]} in (0, oo)."
            sources.append(_integrand(name, doc, integral, integral.integrand, terms))
            row = [scales[integral.tilt.norms], name]
            if not _is_usual(integral):
                size = name.replace("integrand", "size")
                doc = f"Sum of the sizes of the terms of {name}."
                sources.append(_integrand(size, doc, integral, _size(integral.integrand), terms))
                row += [f"({''.join(f'{float(power):g}, ' for power in integral.powers)})", size]
            rows.append(f"Integral({', '.join(row)})")
        manifest[quantity] = call("Expectation", **entry, integrals=f"({', '.join(rows)},)")
    return sources


def _is_usual(integral: closures.TiltedIntegral) -> bool:
    return len(integral.powers) == 2 and all(power % 2 == 1 for power in integral.powers)


def _size(integrand: sp.Expr) -> sp.Expr:
    return sp.Add(*map(sp.Abs, sp.Add.make_args(expanded(integrand))))


def _mean_squares(name: str, tilt: closures.Tilt, terms: Terms) -> str:
    doc = "Mean square of each norm, per mode: the scales of the integral."
    return function(name, terms.arguments, doc, [sp.factor_terms(q) for q in tilt.mean_squares], terms.definitions)


def _integrand(name: str, doc: str, integral: closures.TiltedIntegral, body: sp.Expr, terms: Terms) -> str:
    z = sp.exp(-total(sp.log(n.Delta[n.k])) / 2)
    body = sp.factor_terms(sp.factor_terms(body, radical=True))
    definitions = [*terms.definitions, *integral.tilt.definitions.items(), (n.Z, z)]
    return function(name, ["x", "y", *terms.arguments], doc, [body], definitions)


def matrix_functions(loss: sp.Expr, manifest: Manifest) -> list[str]:
    """What drives the weights, E[g l^T] and E[h l^T]: formulas, or integrands with the vectors of their norms."""
    found = {f"drive_on_view{view}": matrices.expectations(loss, view) for view in (1, 2)}
    everything = [expectation for expectations in found.values() for expectation in expectations]
    present = set().union(*(expectation.symbols() for expectation in everything))
    vectors = [vector for vector in matrices.VECTORS.values() if vector in present]
    arguments, code = ["W_P", *map(str, vectors)], {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    vectors_of = numbered("norm_vectors", (expectation.norms for expectation in everything if expectation.norms))
    manifest["vectors"] = json.dumps([str(vector) for vector in vectors]).replace("[", "(").replace("]", ",)")
    sources = []
    for norms, name in vectors_of.items():
        doc = "X of each norm ||X l||: its squared singular values are the scales of the integral."
        sources.append(function(name, arguments, doc, matrices.norm_vectors(norms)))
    for quantity, expectations in found.items():
        doc = f"E[{'g' if quantity.endswith('1') else 'h'} l^T] (M, d)"
        names = numbered(f"{quantity}_integrand", (e.norms for e in expectations if e.norms))
        for e in expectations:
            if e.norms:
                inner, tilted = f"{doc} is the integral of this over x, y in (0, oo).", matrices.tilted(e.norms)
                sources.append(function(names[e.norms], ["x", "y", *arguments], inner, [e.terms], tilted, code))
            else:
                sources.append(function(quantity, arguments, f"{doc}, exact (Gaussian moments).", [e.terms], (), code))
                manifest[quantity] = call("MatrixExpectation", formula=quantity)
        if names:
            rows = [f"MatrixIntegral({vectors_of[norms]}, {name})" for norms, name in names.items()]
            manifest[quantity] = call("MatrixExpectation", integrals=f"({', '.join(rows)},)")
    return sources


def _per_mode(rate: sp.Expr) -> sp.Expr:
    """A rate that is the same number for all modes still has the shape of s."""
    return rate if rate.has(sp.Indexed) else sp.Add(rate, sp.Mul(0, n.s[n.m], evaluate=False), evaluate=False)


def exact_functions(rate: sp.Expr | None, terms: Terms, manifest: Manifest, whole: bool = True) -> list[str]:
    """The solution of the flow, where the rate has one; if not as a whole, none either where it cannot be proved."""
    try:
        solution = None if rate is None else solutions.solve(rate)
    except solutions.ProofError:
        if whole:
            raise
        solution = None
    if solution is None:
        return []
    arguments = ["lam0", "t", "alpha", *terms.parameters, "rho"]
    doc = f"Predictor eigenvalues at time t: {solution.name} solution."
    entry = {
        "name": json.dumps(solution.name),
        "predictor": "exact",
        "time_to_reach": "time_to_reach",
        "any_weight_decay": str(solution.any_weight_decay),
    }
    sources = [
        function("exact", arguments, doc, [_stable(solution.predictor)], STATISTICS),
        function(
            "time_to_reach",
            ["lam1" if a == "t" else a for a in arguments],
            "Time from lam0 to lam1.",
            [_stable(solution.time)],
            STATISTICS,
        ),
    ]
    if solution.blow_up is not None:
        doc = "Time at which the solution leaves the finite world; not a number where it never does."
        sources.append(
            function("blow_up_time", [a for a in arguments if a != "t"], doc, [solution.blow_up], STATISTICS)
        )
        entry["blow_up_time"] = "blow_up_time"
    manifest["exact"] = call("ExactSolution", **entry)
    return sources


def invariant_functions(loss: sp.Expr, trains_predictor: bool, manifest: Manifest) -> list[str]:
    """The power sum that the flow conserves, if there is one; and whether a learned predictor is balanced."""
    a, sources = invariants.conserved_exponent(loss), []
    if a is not None:
        power_sum, decay = invariants.power_sum(a), invariants.power_sum_decay(a)
        formula = json.dumps(MathText().doprint(power_sum))
        manifest["conserved"] = call(
            "PowerSum", formula=formula, exponent=str(a), value="conserved", decay="conserved_decay"
        )
        sources = [
            function("conserved", ["s", "alpha", "epsilon"], f"{json.loads(formula)}, (..., 1).", [power_sum]),
            function("conserved_decay", ["alpha", "rho"], "Its decay rate, for epsilon = 0.", [decay]),
        ]
    if trains_predictor:
        manifest["balanced"] = str(invariants.is_balanced(loss))
    return sources


def equilibrium_functions(rate: sp.Expr | None, terms: Terms, manifest: Manifest) -> list[str]:
    """Fixed points of a mode of its own, and where two of them meet."""
    own = equilibria.own_rate(rate)
    manifest["independent_modes"] = str(own is not None)
    if not equilibria.has_roots(own):
        return []
    manifest["fixed_points"] = "fixed_points"
    found, fold = [_stable(root) for root in equilibria.roots(own)], equilibria.fold(own)
    doc = "Predictor eigenvalues where r = rho, larger first; where there is none, not a number or not positive."
    sources = [function("fixed_points", [*terms.parameters, "rho"], doc, found, STATISTICS)]
    if fold is not None:
        manifest["fold"] = "fold"
        sources.append(
            function("fold", terms.parameters, "(rho, lambda) where the two meet.", list(map(simplest, fold)))
        )
    return sources


def _stable(expression: sp.Expr) -> sp.Expr:
    """Exponents, radicands, and divisors that vanish without noise, in sigma where n - 1 would cancel."""
    noiseless = {n.n1: 1, n.n2: 1, n.rho: 0}
    expression = expression.replace(
        lambda e: e.is_Pow and (e.exp == sp.Rational(1, 2) or (e.exp == -1 and e.base.subs(noiseless) == 0)),
        lambda e: sp.Pow(simplest(e.base), e.exp),
    )
    for kind in (sp.exp, solutions.Exprel):
        expression = expression.replace(kind, lambda argument, kind=kind: kind(simplest(argument)))
    return expression
