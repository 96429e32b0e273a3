"""Write the steps of a derivation report that evaluate the rate of a mode, which is an expectation.

The rate of a loss without norms follows from Gaussian moments. If the loss contains norms, the norms are written as
integrals, and a further step gives the rate in mean field.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import sympy as sp

from derivations.losses.loss import SymbolicLoss
from derivations.report import checks
from derivations.report.steps import Step, gathered, tex
from derivations.symbols import notation as n
from derivations.symbols.modes import total
from derivations.theory import expectations, moments, rates
from derivations.theory.expectations import Term, TiltedIntegral
from derivations.theory.tilting import TILTED, norm_weight

VIEWS_IN_LATEX = (
    r"\mathbb{E}[\zeta_{1,m}^2] = n_1, \qquad \mathbb{E}[\zeta_{1,m}\zeta_{2,m}] = 1, \qquad "
    r"\mathbb{E}[\zeta_{2,m}^2] = n_2"
)
LETTERS = "ABCEFGHIJ"  # names of expectations, without D, which denotes a determinant


def moments_step(setting: SymbolicLoss, rate: sp.Expr) -> Step:
    """Return the step of the report that evaluates the rate by Gaussian moments."""
    drive = rates.shared_weights(rates.drive(setting.in_eigenbasis()))
    shown = sp.factor_terms(rates.shared_weights(rate))
    checks.is_expectation(drive, shown, moments.VIEWS)
    text = (
        r"The expression contains no norm, so Gaussian moments suffice, with $n_i = 1 + \sigma_i^2$. The rate is "
        "exact. If it contains no sum over modes, each mode evolves independently of the others."
    )
    equations = (
        VIEWS_IN_LATEX,
        f"r_m = {tex(shown)}",
    )
    done = "numerically: equal to the expectation by Gaussian quadrature, which is exact for polynomials"
    return Step("The expectation", text, equations, (done,))


@dataclass(frozen=True)
class NamedExpectation:
    """An expectation that occurs in the rate of a mode, with its name and its coefficient in the rate.

    The argument of the expectation is a factor in mode m, times sums over modes, divided by powers of norms.
    """

    name: str
    coefficient: sp.Expr
    term: Term

    @property
    def symbol(self) -> sp.Indexed:
        """The symbol of the expectation in mode ``m``."""
        return sp.IndexedBase(self.name, real=True)[n.m]

    @property
    def inside(self) -> sp.Expr:
        """The argument of the expectation; sums over modes are written in the representations z1 and z2."""
        sums = sp.Mul(*(total(_in_representations(s)) for s in self.term.sums))
        return self.term.local * sums / self._norms(_in_representations)

    @property
    def of_views(self) -> sp.Expr:
        """The argument of the expectation, written in the views zeta1 and zeta2."""
        return self.term.local * sp.Mul(*map(total, self.term.sums)) / self._norms(sp.sympify)

    def _norms(self, change: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
        return sp.Mul(*(norm.map(change).whole ** (power / 2) for norm, power in self.term.norms))

    @property
    def weight(self) -> sp.Expr:
        """The weight f(x) f(y) in the integral over x and y that replaces the norms in the denominator.

        x belongs to the first norm, and y to the second (see ``tilting.norm_weight``).
        """
        pairs = zip((n.x, n.y), self.term.norms, strict=False)
        return sp.Mul(*(norm_weight(v, power, norm.softening) for v, (norm, power) in pairs))

    @property
    def kind(self) -> tuple[Any, ...]:
        """Pairs (norm, q modulo 2), one for each factor norm^(-q) of the expectation.

        Expectations with equal pairs are computed by the same integral.
        """
        return tuple((norm, power % 2) for norm, power in self.term.norms)

    @property
    def wick(self) -> sp.Expr:
        """The expectation of the numerator under the tilted Gaussian (see module ``tilting``), by Wick's theorem."""
        return moments.joint_moment(self.term.local, self.term.sums, TILTED)


def _in_representations(component: sp.Expr) -> sp.Expr:
    views = {n.zeta1: n.z1, n.zeta2: n.z2}

    def view(e: sp.Indexed) -> sp.Expr:
        return views[e.base][e.indices] / sp.sqrt(n.s[e.indices])

    return sp.expand(component.replace(lambda e: isinstance(e, sp.Indexed) and e.base in views, view))


def named_expectations(setting: SymbolicLoss) -> list[NamedExpectation]:
    """Return the expectations that occur in the rate; expectations with fewer sums over modes come first."""
    drive = rates.shared_weights(rates.drive(setting.in_eigenbasis()))
    groups: dict[tuple[Any, ...], list[Term]] = {}
    for term in expectations.terms(drive):
        groups.setdefault((len(term.sums), term.norms, term.local, term.sums), []).append(term)
    ordered = sorted(groups.items(), key=_order)
    names = chain(LETTERS, (f"A_{number}" for number in count(1)))
    return [
        NamedExpectation(name, sp.Add(*(term.coefficient for term in terms)), terms[0])
        for name, (_, terms) in zip(names, ordered, strict=False)
    ]


def _order(item: tuple[tuple[Any, ...], list[Term]]) -> tuple[int, str]:
    sums, norms, *rest = item[0]
    return sums, str((tuple((norm.square, power) for norm, power in norms), *rest))


def integral_steps(setting: SymbolicLoss, rate: Iterable[TiltedIntegral]) -> list[Step]:
    """Return the steps of the report that list the expectations in a rate, and write them as integrals.

    The last of these steps gives the rate in the mean-field approximation.
    """
    named = named_expectations(setting)
    drive = rates.shared_weights(rates.drive(setting.in_eigenbasis()))
    combined = sp.Add(*(e.coefficient * e.symbol for e in named))
    inside = sp.Add(*(e.coefficient * e.inside for e in named))
    checks.equal(_in_representations(inside - drive), sp.Integer(0), "the rate is made of these expectations")
    equations = [rf"{tex(e.symbol)} = \mathbb{{E}}\left[{tex(e.inside)}\right]" for e in named]
    which = Step(
        "The expectations in the rate",
        "The rate is a linear combination of expectations of products that are divided by powers of norms.",
        (*equations, f"r_m = {tex(combined)}"),
        ("symbolically: the linear combination is the rate of the linear network",),
    )
    groups: dict[tuple[Any, ...], list[TiltedIntegral]] = {}  # integrals whose norms are the same for shared weights
    for integral in rate:
        norms = (norm.map(rates.shared_weights) for norm in integral.tilt.norms)
        kind = tuple((norm, power % 2) for norm, power in zip(norms, integral.powers, strict=True))
        groups.setdefault(kind, []).append(integral)
    return [which, *(_tilted(named, kind, group) for kind, group in groups.items()), _mean_field(setting, named)]


def _tilted(named: list[NamedExpectation], kind: tuple[Any, ...], integrals: list[TiltedIntegral]) -> Step:
    """Return the step of the report that writes a group of expectations as integrals.

    The expectations of the group have the same norms in the denominator. kind: a pair (norm, q modulo 2) for each
    factor norm^(-q); the pairs are the same for all expectations of the group.
    """
    integral = integrals[0]
    mine = [e for e in named if e.kind == kind]
    checks.norm_is_integral({power for e in mine for _, power in e.term.norms})
    checks.is_tilted(integral.tilt)
    for e in mine:
        checks.is_expectation(e.term.local * sp.Mul(*map(total, e.term.sums)), e.wick, TILTED)
    whole = sp.Add(*(e.coefficient * e.weight * n.Z * e.wick for e in mine))
    generated = sp.Add(*(rates.shared_weights(i.integrand) for i in integrals))
    checks.equal(whole, generated, "the integrand is that of the generated code")
    definitions = {s: sp.factor_terms(rates.shared_weights(e)) for s, e in integral.tilt.definitions.items()}
    used = {base for e in mine for base in e.wick.atoms(sp.IndexedBase)} | {n.Delta}
    norms = dict(zip("xy", (norm.map(_in_representations) for norm, _ in kind), strict=False))
    written = {axis: tex(sp.sqrt(norm.whole)) for axis, norm in norms.items()}
    bare = {axis: tex(sp.sqrt(total(norm.square))) for axis, norm in norms.items()}
    who = " and ".join(f"${axis}$ for ${text}$" for axis, text in written.items())
    exponent = " ".join(f"- {axis}^2 {text}^2" for axis, text in bare.items()).replace("- ", "-", 1)
    area, measure = r"\!\!".join([r"\int_0^\infty"] * len(kind)), r"\,".join(rf"\mathrm{{d}}{axis}" for axis in norms)
    left = "two integrals are left" if len(kind) == 2 else "one integral is left"
    equations = [
        r"\frac{1}{\left\|a\right\|^{q}} = \frac{2}{\Gamma(q/2)} \int_0^\infty x^{q-1} "
        r"e^{-x^2 \left\|a\right\|^2}\, \mathrm{d}x",
        VIEWS_IN_LATEX,
        *(f"{tex(symbol)} = {tex(value)}" for symbol, value in definitions.items() if symbol.base in used),
        r"Z = \prod_{k=1}^{M} \Delta_k^{-1/2}",
        *(rf"{tex(e.symbol)} = {area} {tex(sp.factor_terms(e.weight * n.Z * e.wick))}\;{measure}" for e in mine),
    ]
    text = (
        "Each norm in a denominator is written as an integral over a Gaussian weight, by the first equation below, "
        f"with {who}. The integrand contains $e^{{{exponent}}}$, which tilts the Gaussian of the views. "
        r"In each mode, let $K$ be the covariance of $(\zeta_1, \zeta_2)$, and $-\zeta^\top P \zeta/2$ the exponent. "
        r"Then the tilted Gaussian has the covariance $S = (K^{-1} + P)^{-1}$ and the weight $\Delta^{-1/2}$ with "
        r"$\Delta = \det(1 + KP)$, and its moments follow from Wick's theorem. "
        f"This is exact for any number of modes; {left}, and the integrand costs one sum over modes."
    )
    done = (
        "symbolically: the integral over the weight is the power of the norm",
        "symbolically: covariance and weight of the tilted Gaussian",
        "numerically: the moments, by Gaussian quadrature for random covariances of two modes",
        "symbolically: these expectations, combined as in the rate, have the integrand of the generated code",
    )
    return Step("Norms as integrals", text, tuple(equations), done)


def _mean_field(setting: SymbolicLoss, named: list[NamedExpectation]) -> Step:
    value = rates.shared_weights(rates.rates(setting.in_eigenbasis(), "mean_field"))
    parts = sp.Add(*(e.coefficient * expectations.mean_field(e.of_views) for e in named))
    shown = gathered(value)
    checks.equal(parts, shown, "the mean field of the expectations")
    text = (
        "The mean-field closure replaces the expectation of each product divided by norms by the product of the "
        "expectations of its factors. It is exact only in the limit of many modes; the derivation above does not use "
        "this closure."
    )
    done = "symbolically: equal to the expectations above in mean field, combined as in the rate"
    return Step("Mean field", text, (rf"r_m \approx {tex(shown)}",), (done,))
