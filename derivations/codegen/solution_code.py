"""Write the code of the results that follow from the rates: exact solutions, invariants and fixed points."""

import json

import sympy as sp

from derivations import errors
from derivations.codegen.functions import function
from derivations.codegen.manifest import Manifest, call
from derivations.codegen.signature import STATISTICS, Signature
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import equilibria, invariants, moments, solutions


def simplest(expression: sp.Expr) -> sp.Expr:
    """Return a short form of an expression.

    An expression without eigenvalues is rewritten in terms of sigma1 and sigma2, the standard deviations of the noise
    of the two views. If it were written in terms of the variance n1 = 1 + sigma1^2 of view 1, a difference such as
    n1 - 1 would lose the digits of a small sigma1.
    """
    if not expression.has(sp.Indexed):
        return sp.factor(sp.expand(expression.subs(moments.VIEW_STATISTICS)))
    if expression.has(sp.Sum):  # ``factor`` may take minutes with sums
        return sp.factor_terms(expression)
    return min(
        (expression, sp.factor_terms(expression), sp.factor(expression)), key=lambda e: (sp.count_ops(e), str(e))
    )


def exact_functions(rate: sp.Expr | None, signature: Signature, manifest: Manifest, whole: bool = True) -> list[str]:
    """Return the source of the exact solution of the flow; return an empty list if no exact solution is known.

    whole: determines what happens if the solution cannot be proved. If True, ProofError is raised; if False, the
    solution is left out.
    """
    try:
        solution = None if rate is None else solutions.solve(rate)
    except errors.ProofError:
        if whole:
            raise
        solution = None
    if solution is None:
        return []
    arguments = ["alpha", *signature.parameters, "rho"]
    doc = (
        f"Return log(s(t)/s(0)) of a correlation eigenvalue s, by the {solution.name} solution.\n\n"
        "lam0, log_lam0: initial eigenvalue of the predictor, and its logarithm. alpha: exponent of the predictor.\n"
    )
    time_doc = (
        "Return the time that a predictor eigenvalue takes from lam0 to lam1, which are given by their logarithms.\n\n"
        "The time is negative or nan if the flow does not lead from lam0 to lam1. alpha: exponent of the predictor.\n"
    )
    manifest["exact"] = call(
        "ExactSolution",
        name=json.dumps(solution.name),
        growth="growth",
        time_to_reach="time_to_reach",
        any_weight_decay=str(solution.any_weight_decay),
        **({} if solution.blow_up is None else {"diverges": "True"}),
    )
    names: dict[sp.Basic, str] = {sp.log(lam): f"log_{lam}" for lam in (solutions.lam0, solutions.lam1)}
    return [
        function(
            "growth",
            ["lam0", "log_lam0", "t", *arguments],
            doc,
            [_stable(solution.growth / n.alpha)],
            STATISTICS,
            names,
        ),
        function(
            "time_to_reach",
            ["log_lam0", "log_lam1", *arguments],
            time_doc,
            [_stable(solution.duration)],
            STATISTICS,
            names,
        ),
    ]


def invariant_functions(loss: sp.Expr, trains_predictor: bool, manifest: Manifest) -> list[str]:
    """Return the sources of two functions: the conserved sum over modes, and its decay rate under weight decay.

    The sum is a sum of powers of the correlation eigenvalues. The returned list is empty if no conserved sum is known.
    If the predictor is learned, the field ``balanced`` of the manifest is set; it states whether encoder and predictor
    are balanced (see ``theory.invariants.is_balanced``).
    """
    a, sources = invariants.conserved_exponent(loss), []
    if a is not None:
        decay, shared = invariants.power_sum_decay(a), n.cross[n.k]
        formula, of_views = (
            json.dumps(MathText().doprint(invariants.power_sum(a, moment))) for moment in (sp.S.One, shared)
        )
        manifest["conserved"] = call(
            "PowerSum",
            formula=formula,
            of_views=of_views,
            exponent=str(a),
            value="conserved",
            decay="conserved_decay",
        )
        sources = [
            function(
                "conserved",
                ["s", "alpha", "epsilon", "cross"],
                "Return a sum over modes that the flow without weight decay conserves, (..., 1).\n\n"
                f"The sum is {json.loads(of_views)}. s: eigenvalues of the correlation. alpha, epsilon: parameters of "
                "the predictor (s + epsilon)^alpha. cross: second moments that the views share.\n",
                [invariants.power_sum(a, shared)],
            ),
            function(
                "conserved_decay",
                ["alpha", "rho"],
                "Return k >= 0: under weight decay rho, the sum ``conserved`` over modes falls as exp(-k t).\n\n"
                "t is the time of the flow, and alpha is the exponent of the predictor. The formula holds for "
                "predictors with epsilon = 0.\n",
                [decay],
            ),
        ]
    if trains_predictor:
        manifest["balanced"] = str(invariants.is_balanced(loss))
    return sources


def equilibrium_functions(rate: sp.Expr | None, signature: Signature, manifest: Manifest) -> list[str]:
    """Return the sources of two functions: the fixed points of a mode, and the fold at which two of them meet.

    The second function is left out if there is no fold. The returned list is empty if the rate of a mode is not a
    formula in the predictor eigenvalue of this mode alone, or if the fixed points have no formula.
    """
    of_lambda = equilibria.independent_rate(rate)
    manifest["independent_modes"] = str(of_lambda is not None)
    if of_lambda is None or not equilibria.has_roots(of_lambda):
        return []
    manifest["fixed_points"] = "fixed_points"
    roots, fold = [_stable(root) for root in equilibria.roots(of_lambda)], equilibria.fold(of_lambda)
    doc = (
        "Return the predictor eigenvalues of a mode at which its rate equals the weight decay rho.\n\n"
        "The larger eigenvalue is returned first. A value that is nan, or not above zero, is no fixed point.\n"
    )
    sources = [function("fixed_points", [*signature.parameters, "rho"], doc, roots, STATISTICS)]
    if fold is not None:
        manifest["fold"] = "fold"
        sources.append(
            function(
                "fold",
                signature.parameters,
                "Return the weight decay and the predictor eigenvalue at the fold, where two fixed points meet.",
                list(map(simplest, fold)),
            )
        )
    return sources


def _stable(expression: sp.Expr) -> sp.Expr:
    """Rewrite an expression so that its code keeps the digits of small sigma1 and sigma2.

    sigma1 and sigma2 are the standard deviations of the noise of the two views. A difference such as n1 - 1, with the
    variance n1 = 1 + sigma1^2 of view 1, would lose the digits of a small sigma1. Three kinds of subexpressions are
    therefore written in terms of sigma1 and sigma2: exponents, arguments of square roots, and divisors that are zero
    if noise and weight decay are zero.
    """
    noiseless = {n.n1: 1, n.n2: 1, n.rho: 0}
    expression = expression.replace(
        lambda e: e.is_Pow and (e.exp == sp.Rational(1, 2) or (e.exp == -1 and e.base.subs(noiseless) == 0)),
        lambda e: sp.Pow(simplest(e.base), e.exp),
    )
    expression = expression.replace(sp.exp, lambda argument: sp.exp(simplest(argument)))
    for kind in (solutions.LinearGrowth, solutions.LinearTime):
        expression = expression.replace(kind, lambda *arguments, kind=kind: kind(*map(simplest, arguments)))
    return expression
