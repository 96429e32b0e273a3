"""Write ``dynamics/generated``: one module per loss of the catalogue, with everything derived about it.

``python -m derivations.codegen`` writes, ``--check`` writes nothing and fails where the files differ.
"""

import sys
from pathlib import Path

import sympy as sp

from derivations import closures, equilibria, gradients, invariants, matrices, rates, solutions, written
from derivations import notation as n
from derivations.array_code import SPECIAL, UntranslatableError, function
from derivations.display import MathText
from derivations.losses import LOSSES, Setting, catalogue
from derivations.modes import total

GENERATED = Path(__file__).resolve().parent.parent / "dynamics" / "generated"
STATISTICS = list(closures.VIEW_STATISTICS.items())
PARAMETERS = ["sigma1", "sigma2"]
ARGUMENTS = ["s", "lam", "ratio", *PARAMETERS]  # of every expectation


def simplest(expression: sp.Expr) -> sp.Expr:
    """A short form; constants in sigma1 and sigma2, where n1 - 1 would cancel."""
    if not expression.has(sp.Indexed):
        return sp.factor(sp.expand(expression.subs(closures.VIEW_STATISTICS)))
    if expression.has(sp.Sum):  # each a generator to ``factor``, which can then take minutes
        return sp.factor_terms(expression)
    return min(
        (expression, sp.factor_terms(expression), sp.factor(expression)), key=lambda e: (sp.count_ops(e), str(e))
    )


def module(setting: Setting) -> str:
    """The source of one generated module; what cannot be derived is refused with the name of the setting."""
    try:
        return _module(setting)
    except (closures.UnsupportedLossError, UntranslatableError, solutions.ProofError) as error:
        raise type(error)(f"{setting.name}: {error}") from error


def _module(setting: Setting) -> str:
    loss, integrals = setting.in_eigenbasis(), Integrals()
    parts = [
        loss_function(setting),
        *force_functions(loss, setting.trains_predictor),
        *expectation_functions(loss, setting.trains_predictor, integrals),
        *matrix_functions(loss, integrals),
        *integrals.table(),
        *exact_functions(loss),
        *invariant_functions(loss, setting.trains_predictor),
        *equilibrium_functions(loss),
    ]
    code = "\n\n".join(parts)
    special = sorted(name for name in SPECIAL.values() if f"{name}(" in code)
    imports = f"\nfrom dynamics.special import {', '.join(special)}\n" if special else ""
    return header(setting.title) + imports + "\n\n" + code


def header(title: str) -> str:
    """The docstring of a generated file."""
    how = "Written by ``python -m derivations.codegen``: change ``derivations/``, then run ``make derive``."
    return f'"""{title}.\n\n{how}\n"""\n'


def loss_function(setting: Setting) -> str:
    """The loss itself, for automatic differentiation: any predictor, any basis."""
    p = {z: sp.IndexedBase(f"p{i}", real=True)[n.k] for i, z in ((1, n.z1[n.k]), (2, n.z2[n.k]))}
    expression = setting.expression(lambda _, z: p[z])
    used = [symbol for symbol in p.values() if expression.has(symbol.base)]
    definitions = [(symbol, sp.Function("predict")(sp.Symbol(f"z{str(symbol.base)[1]}"))) for symbol in used]
    arguments = ["z1", "z2", "t1", "t2", "predict", "over_modes", "stop_gradient"]
    doc = "L of each sample, of what predict makes of z, and over_modes of its sums over modes."
    source = function("loss", arguments, doc, [expression], over_modes="over_modes({})")
    definition, docstring, body = source.split("\n", 2)
    predictions = [f"    {symbol.base} = {call}" for symbol, call in definitions]
    return "\n".join([definition, docstring, *predictions, body])


def force_functions(loss: sp.Expr, trains_predictor: bool) -> list[str]:
    forces = {
        "force_on_view1": ("g = -dL/dz1 - dL/dt1 per sample, in the eigenbasis.", gradients.force(loss, 1)),
        "force_on_view2": ("h = -dL/dz2 - dL/dt2 per sample, in the eigenbasis.", gradients.force(loss, 2)),
    }
    if trains_predictor:
        forces["force_on_predictor"] = ("-dL/dlam per sample.", gradients.force_on_predictor(loss))
    arguments = ["z1", "z2", "lam", "ratio"]
    return [function(name, arguments, doc, [_like_input(force)]) for name, (doc, force) in forces.items()]


def _like_input(force: sp.Expr) -> sp.Expr:
    return sp.Mul(0, n.z1[n.m], evaluate=False) if force == 0 else sp.factor_terms(force)


QUANTITIES = {
    "rates": ("r_m", rates.rates),
    "predictor_force": ("f_m", rates.predictor_force),
}


class Integrals(dict):
    """Of each quantity that is an integral: the names of its (scales, integrand), one pair for each pair of norms."""

    def table(self) -> list[str]:
        rows = (", ".join(f"({scales}, {integrand})" for scales, integrand in pairs) for pairs in self.values())
        lines = [f'    "{quantity}": ({row},),\n' for quantity, row in zip(self, rows, strict=True)]
        return [f"INTEGRALS = {{\n{''.join(lines)}}}\n"] if lines else []


def numbered(name: str, keys) -> dict:
    """A name for each of the keys: numbered where there are several."""
    keys = list(dict.fromkeys(keys))
    return {key: f"{name}_{number}" if len(keys) > 1 else name for number, key in enumerate(keys, 1)}


def expectation_functions(loss: sp.Expr, trains_predictor: bool, integrals: Integrals) -> list[str]:
    """Rates, and the force on a learned predictor: formulas, or integrands with the scales of their integrals."""
    sources: list[str] = []
    found = {q: derive(loss, "gaussian") for q, (_, derive) in QUANTITIES.items() if q == "rates" or trains_predictor}
    tilts = [integral.tilt for exact in found.values() if not isinstance(exact, sp.Expr) for integral in exact]
    scales = numbered("mean_squares", (tilt.norms for tilt in tilts))
    sources += [_mean_squares(scales[tilt.norms], tilt) for tilt in {tilt.norms: tilt for tilt in tilts}.values()]
    for quantity, exact in found.items():
        symbol, derive = QUANTITIES[quantity]
        if isinstance(exact, sp.Expr):
            doc = f"{symbol}, exact (Gaussian moments)."
            sources.append(function(quantity, ARGUMENTS, doc, [_per_mode(simplest(exact))], STATISTICS))
            continue
        doc = f"{symbol} with every norm and sum replaced by its mean."
        mean = sp.factor_terms(derive(loss, "mean_field"))
        sources.append(function(f"{quantity}_mean_field", ARGUMENTS, doc, [mean], STATISTICS))
        names = numbered(f"{quantity}_integrand", (integral.tilt.norms for integral in exact))
        sources += [_integrand(names[integral.tilt.norms], symbol, integral) for integral in exact]
        integrals[quantity] = [(scales[norms], name) for norms, name in names.items()]
    return sources


def _mean_squares(name: str, tilt: closures.Tilt) -> str:
    doc = "Mean square of each norm, per mode: the scales of the integral."
    return function(name, ARGUMENTS, doc, [sp.factor_terms(q) for q in tilt.mean_squares], STATISTICS)


def _integrand(name: str, symbol: str, integral: closures.TiltedIntegral) -> str:
    z = sp.exp(-total(sp.log(n.Delta[n.k])) / 2)
    doc = f"{symbol} is the integral of this over x, y in (0, oo)."
    body = sp.factor_terms(sp.factor_terms(integral.integrand, radical=True))
    return function(
        name, ["x", "y", *ARGUMENTS], doc, [body], [*STATISTICS, *integral.tilt.definitions.items(), (n.Z, z)]
    )


def matrix_functions(loss: sp.Expr, integrals: Integrals) -> list[str]:
    """What drives the weights, E[g l^T] and E[h l^T]: formulas, or integrands with the vectors of their norms."""
    found = {f"drive_on_view{view}": matrices.expectations(loss, view) for view in (1, 2)}
    everything = [expectation for expectations in found.values() for expectation in expectations]
    present = set().union(*(expectation.symbols() for expectation in everything))
    vectors = [vector for vector in matrices.VECTORS.values() if vector in present]
    arguments, code = ["W_P", *map(str, vectors)], {sp.Identity(matrices.d): f"xp.eye({vectors[0]}.shape[-1])"}
    vectors_of = numbered("norm_vectors", (expectation.norms for expectation in everything if expectation.norms))
    sources = [f"VECTORS = {tuple(map(str, vectors))}\n".replace("'", '"')]
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
        if names:
            integrals[quantity] = [(vectors_of[norms], name) for norms, name in names.items()]
    return sources


def _per_mode(rate: sp.Expr) -> sp.Expr:
    """A rate that is the same number for all modes still has the shape of s."""
    return rate if rate.has(sp.Indexed) else sp.Add(rate, sp.Mul(0, n.s[n.m], evaluate=False), evaluate=False)


def exact_functions(loss: sp.Expr) -> list[str]:
    rate = rates.rates(loss, "gaussian")
    solution = solutions.solve(rate) if isinstance(rate, sp.Expr) else None
    if solution is None:
        return []
    arguments = ["lam0", "t", "alpha", *PARAMETERS, "rho"]
    doc = f"Predictor eigenvalues at time t: {solution.name} solution."
    sources = [
        f"EXACT = {solution.name!r}\nEXACT_FOR_ANY_WEIGHT_DECAY = {solution.any_weight_decay}\n".replace("'", '"'),
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
    return sources


def invariant_functions(loss: sp.Expr, trains_predictor: bool) -> list[str]:
    """The power sum that the flow conserves, if there is one; and whether a learned predictor is balanced."""
    a, sources = invariants.conserved_exponent(loss), []
    if a is not None:
        power_sum, decay = invariants.power_sum(a), invariants.power_sum_decay(a)
        sources = [
            f'CONSERVED = "{MathText().doprint(power_sum)}"\nCONSERVED_EXPONENT = {a}\n',
            function("conserved", ["s", "alpha", "epsilon"], "CONSERVED, (..., 1).", [power_sum]),
            function("conserved_decay", ["alpha", "rho"], "Its decay rate, for epsilon = 0.", [decay]),
        ]
    if trains_predictor:
        sources.append(f"BALANCED = {invariants.is_balanced(loss)}\n")
    return sources


def equilibrium_functions(loss: sp.Expr) -> list[str]:
    """Fixed points of a mode of its own, and where two of them meet."""
    own = equilibria.own_rate(rates.rates(loss, "gaussian"))
    sources = [f"INDEPENDENT_MODES = {own is not None}\n"]
    if not equilibria.has_roots(own):
        return sources
    found, fold = [_stable(root) for root in equilibria.roots(own)], equilibria.fold(own)
    doc = "Predictor eigenvalues where r = rho, larger first; where there is none, not a number or not positive."
    sources.append(function("fixed_points", [*PARAMETERS, "rho"], doc, found, STATISTICS))
    if fold is not None:
        sources.append(function("fold", PARAMETERS, "(rho, lambda) where the two meet.", list(map(simplest, fold))))
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


def eigenvalues() -> str:
    """Predictors, and what changes in a step and in the flow: the same for every loss."""
    in_code = {rates.rate: sp.IndexedBase("r", real=True)[n.m]}
    trained = {n.lam[n.m]: sp.Symbol("weights", real=True)}
    inverse = (n.s[n.m] ** (1 / n.alpha)).subs(n.s[n.m], n.lam[n.m])
    encoder, descent = rates.encoder_step(), rates.predictor_step()
    descent_arguments = ["weights", "force", "rate_ratio", "rho"]
    parts = [
        function(name, arguments, doc, [expression.subs(in_code)])
        for name, arguments, doc, expression in (
            ("predictor", ["s", "alpha", "epsilon"], "lambda = (s + epsilon)^alpha.", rates.predictor()),
            (
                "normalized_predictor",
                ["s", "alpha", "epsilon"],
                "lambda = (s/max s + epsilon)^alpha.",
                rates.normalized_predictor(),
            ),
            ("predictor_inverse", ["lam", "alpha"], "s = lambda^(1/alpha), for epsilon = 0.", inverse),
            ("velocity", ["s", "r", "rho"], "ds/dt = 2 s (r - rho).", rates.velocity()),
            ("encoder_velocity", ["w", "r", "rho"], "dw/dt = w (r - rho).", rates.flow(encoder)),
            ("encoder_step", ["w", "r", "rho", "eta"], "w <- w (1 + eta (r - rho)).", encoder),
            (
                "descent_velocity",
                descent_arguments,
                "d lambda/dt = a_P f - rho lambda, of a learned predictor; of a matrix of weights with a_P = 1.",
                rates.flow(descent).subs(trained),
            ),
            (
                "descent_step",
                [*descent_arguments, "eta"],
                "lambda <- lambda + eta (a_P f - rho lambda).",
                descent.subs(trained),
            ),
            (
                "average_velocity",
                ["average", "x", "decay", "eta"],
                "da/dt = (1 - tau)/eta (x - a), of an exponential average.",
                rates.average_velocity(),
            ),
            ("average_step", ["average", "x", "decay"], "a <- tau a + (1 - tau) x.", rates.average_step()),
            (
                "imbalance",
                ["s", "lam", "rate_ratio"],
                "s - lambda^2/a_P, of encoder and learned predictor; conserved where BALANCED.",
                invariants.imbalance(),
            ),
            ("imbalance_decay", ["rho"], "Its decay rate.", invariants.imbalance_decay()),
        )
    ]
    parts.append(f'IMBALANCE = "{MathText().doprint(invariants.imbalance())}"\n')
    return header("From rates to what moves") + "\n\n" + "\n\n".join(parts)


def catalogue_index() -> str:
    """What exists, readable without SymPy: setting -> module."""
    rows = "".join(
        f'    ("{s.loss}", "{s.stop_gradient}", {s.isotropic}, {s.predictor}, {s.symmetrised}): "{s.name}",\n'
        for s in catalogue()
    )
    comment = "# (loss, stop_gradient, isotropic, has a predictor, symmetrised): module in this package\n"
    losses = ", ".join(f'"{name}"' for name in LOSSES)
    return header("The losses there are") + f"\nLOSSES = ({losses},)\n\n{comment}MODULES = {{\n{rows}}}\n"


def files() -> dict[str, str]:
    """File name -> source, of everything generated."""
    sources = {"__init__.py": header("Array code written from the derivations"), "catalogue.py": catalogue_index()}
    sources["eigenvalues.py"] = eigenvalues()
    return sources | {f"{setting.name}.py": module(setting) for setting in catalogue()}


if __name__ == "__main__":
    sys.exit(written.main("python -m derivations.codegen", __doc__ or "", GENERATED, files))
