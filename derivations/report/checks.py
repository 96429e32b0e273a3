"""Check single steps of a derivation; a check raises ``ProofError`` if the step is wrong."""

import random
from collections.abc import Iterable
from itertools import product
from typing import Any

import mpmath as mp
import sympy as sp
from sympy.integrals.quadrature import gauss_hermite

from derivations.errors import ProofError
from derivations.losses import gradients
from derivations.losses.catalogue import Setting
from derivations.symbols import notation as n
from derivations.symbols.modes import derivative
from derivations.symbols.stop_gradient import StopGradient, release
from derivations.theory import invariants
from derivations.theory.moments import VIEW_STATISTICS, VIEWS, without_index
from derivations.theory.tilting import Tilt, norm_weight

DIGITS, MODES, POINTS = 30, 3, 3
CLOSE = mp.mpf(10) ** -20  # tolerance; of the 30 digits, a numerical derivative loses 10


def equal(a: sp.Expr, b: sp.Expr, what: str) -> None:
    """Check symbolically that a = b; every sum over modes is treated as an independent number."""
    if not invariants.vanishes(sp.sympify(a) - sp.sympify(b)):
        raise ProofError(f"{what}: {a} is not {b}")


# --- numbers --------------------------------------------------------------------------------------------------------


def number(expression: sp.Expr, values: dict[Any, Any], mode: int = 1, modes: int = MODES) -> mp.mpf:
    """Return the numerical value of an expression in mode m = ``mode``, if there are ``modes`` modes.

    values: value of each symbol; for an indexed quantity, a list of its values in mode 1, 2, ...
    """
    values = _with_parameters(expression, values)
    names = sorted(values, key=str)
    call = sp.lambdify([*names, n.M, n.m], expression, [{"StopGradient": lambda value: value}, "mpmath"])
    padded = [[None, *values[name]] if isinstance(values[name], list) else values[name] for name in names]
    return call(*padded, modes, mode)


def _with_parameters(expression: sp.Expr, values: dict[Any, Any]) -> dict[Any, Any]:
    """Return the values of symbols; each parameter of a loss that has no value gets an arbitrary number."""
    named = {str(name) for name in values} | {str(symbol) for symbol in (n.M, n.m, n.k)}
    left = (symbol for symbol in expression.free_symbols if isinstance(symbol, sp.Symbol) and str(symbol) not in named)
    open_numbers = {s for s in left if s.is_real and not s.is_integer}
    return values | {s: (-1) ** bool(s.is_negative) * mp.mpf(1 + sum(map(ord, str(s))) % 7) / 4 for s in open_numbers}


def _random_vectors(rng: random.Random, *bases: sp.IndexedBase) -> dict[Any, Any]:
    return {base: [mp.mpf(rng.uniform(-2, 2)) for _ in range(MODES)] for base in bases}


def _spectrum(rng: random.Random) -> list[mp.mpf]:
    return [mp.mpf(rng.uniform(0.2, 2)) for _ in range(MODES)]


def _agree(a: mp.mpf, b: mp.mpf, what: str) -> None:
    if abs(a - b) > CLOSE * (1 + abs(a)):
        raise ProofError(f"{what}: {mp.nstr(a, 15)} is not {mp.nstr(b, 15)}")


def same_in_any_basis(in_vectors: sp.Expr, in_eigenbasis: sp.Expr, predictor: bool) -> None:
    """Check numerically that a loss has the same value in any basis and in the eigenbasis of the predictor.

    The eigenvectors U of the predictor and the representations z are random. ``in_vectors`` is evaluated at z and at
    the prediction p = U Lambda U^T z, where Lambda are the eigenvalues of the predictor. ``in_eigenbasis`` is evaluated
    at U^T z.
    """
    rng = random.Random(1)
    with mp.workdps(DIGITS):
        for _ in range(POINTS):
            U = mp.qr(mp.matrix([[rng.uniform(-1, 1) for _ in range(MODES)] for _ in range(MODES)]))[0]
            lam = _spectrum(rng) if predictor else [mp.mpf(1)] * MODES
            z = {name: mp.matrix(values) for name, values in _random_vectors(rng, n.z1, n.z2).items()}
            p = {
                sp.IndexedBase(f"p{i}", real=True): U * mp.diag(lam) * U.T * z[base]
                for i, base in ((1, n.z1), (2, n.z2))
            }
            turned = {base: list(U.T * vector) for base, vector in z.items()} | {n.lam: lam}
            before = {base: list(vector) for base, vector in (z | p).items()}
            _agree(number(in_vectors, before), number(in_eigenbasis, turned), "the loss in the eigenbasis")


def same_when_a_mode_is_flipped(loss: sp.Expr) -> None:
    """Check that the loss does not change if the sign of one mode is flipped in both views."""
    rng = random.Random(2)
    with mp.workdps(DIGITS):
        values = _random_vectors(rng, n.z1, n.z2)
        flipped = {base: [-vector[0], *vector[1:]] for base, vector in values.items()}
        lam = {n.lam: _spectrum(rng)}
        _agree(number(loss, values | lam), number(loss, flipped | lam), "the loss with one mode flipped")


# --- gradients ------------------------------------------------------------------------------------------------------


def split_gradient(loss: sp.Expr, view: int) -> tuple[sp.Expr, sp.Expr, dict[sp.Expr, sp.Expr]]:
    """Return the force on a view, the force without stop-gradients, and the parts that stop-gradients remove.

    The force is -dL/dz_m, where z_m is the component in mode m of the view's representation. The second result is the
    same derivative after every stop-gradient SG(x) in the loss L is replaced by x. The third result maps each
    stop-gradient to the part of the second result that this stop-gradient removes.
    """
    z, inside = (n.z1, n.z2)[view - 1], sp.IndexedBase("inside", real=True)

    def renamed(old: sp.IndexedBase, new: sp.IndexedBase, expression: sp.Expr) -> sp.Expr:
        return expression.replace(lambda e: isinstance(e, sp.Indexed) and e.base == old, lambda e: new[e.indices])

    removed = {}
    for stop in sorted(loss.atoms(StopGradient), key=str):
        marked = loss.xreplace({stop: renamed(z, inside, stop)})
        removed[stop] = renamed(inside, z, -derivative(release(marked), inside))
    return release(-derivative(loss, z)), -derivative(release(loss), z), removed


def is_derivative(loss: sp.Expr, force: sp.Expr, view: int) -> None:
    """Check a force -dL/dz_m by a numerical derivative in which the arguments of stop-gradients are held constant."""
    rng, z = random.Random(3), (n.z1, n.z2)[view - 1]
    held = sp.IndexedBase("held", real=True)
    other = sp.IndexedBase("held_other", real=True)
    names = {z: held, (n.z1, n.z2)[2 - view]: other}

    def hold(argument: sp.Expr) -> sp.Expr:
        return argument.replace(
            lambda e: isinstance(e, sp.Indexed) and e.base in names, lambda e: names[e.base][e.indices]
        )

    frozen = loss.replace(StopGradient, hold)
    with mp.workdps(DIGITS):
        values = _random_vectors(rng, n.z1, n.z2)
        values |= {n.lam: _spectrum(rng)} | {new: values[old] for old, new in names.items()}
        for mode in range(1, MODES + 1):

            def moved(value: mp.mpf, mode: int = mode) -> mp.mpf:
                vector = [*values[z][: mode - 1], value, *values[z][mode:]]
                return number(frozen, values | {z: vector})

            _agree(number(force, values, mode), -mp.diff(moved, values[z][mode - 1]), "the gradient of the loss")


def isotropic_is_standard_over_lambda(standard: Setting, isotropic: Setting) -> None:
    """Check that the force of a standard loss in mode m is lambda_m times the force of its isotropic version.

    lambda_m is the predictor eigenvalue of mode m.
    """
    for view in (1, 2):
        forces = (gradients.force(setting.in_eigenbasis(), view) for setting in (standard, isotropic))
        equal(
            next(forces),
            n.lam[n.m] * next(forces),
            "the force of the standard loss divided by the force of the isotropic loss",
        )


# --- expectations ---------------------------------------------------------------------------------------------------


def is_expectation(polynomial: sp.Expr, value: sp.Expr, covariance: sp.Matrix) -> None:
    """Check E[polynomial] = value numerically, for a polynomial in the Gaussian views zeta1 and zeta2.

    The expectation is computed for two modes by Gauss-Hermite quadrature, which is exact for polynomials.
    """
    polynomial, value, covariance = map(without_index, (polynomial, value, covariance))
    rng, modes = random.Random(4), 2
    count = max(3, _degree(polynomial) // 2 + 1)
    nodes, weights = gauss_hermite(count, DIGITS)
    with mp.workdps(DIGITS):
        symbols = {n.sigma1: mp.mpf("0.3"), n.sigma2: mp.mpf("0.6")}
        symbols |= {stat: mp.mpf(expression.subs(symbols)) for stat, expression in VIEW_STATISTICS.items()}
        values = {n.s: _spectrum(rng)[:modes], n.lam: _spectrum(rng)[:modes]}
        tilted = [
            (mp.mpf(rng.uniform(1, 2)), mp.mpf(rng.uniform(-0.5, 0.5)), mp.mpf(rng.uniform(1, 2))) for _ in range(modes)
        ]
        values |= dict(zip((n.S11, n.S12, n.S22), map(list, zip(*tilted, strict=True)), strict=True))
        roots = []
        for k in range(1, modes + 1):
            of_mode = covariance.applyfunc(lambda e, k=k: number(e.subs(n.k, k), values | symbols, 1, modes))
            roots.append(mp.cholesky(mp.matrix(of_mode.tolist())))
        mean = mp.mpf(0)
        for chosen in product(range(count), repeat=2 * modes):
            weight = mp.fprod(mp.mpf(weights[i]) for i in chosen) / mp.pi**modes
            normal = [mp.sqrt(2) * mp.mpf(nodes[i]) for i in chosen]
            pairs = [roots[k] * mp.matrix(normal[2 * k : 2 * k + 2]) for k in range(modes)]
            views = {n.zeta1: [pair[0] for pair in pairs], n.zeta2: [pair[1] for pair in pairs]}
            mean += weight * number(polynomial, values | symbols | views, 1, modes)
        _agree(mean, number(value, values | symbols, 1, modes), f"the expectation of {polynomial}")


def _degree(polynomial: sp.Expr) -> int:
    """Return the degree of a polynomial in zeta1 and zeta2."""
    if isinstance(polynomial, sp.Sum):
        return _degree(polynomial.function)
    if isinstance(polynomial, sp.Pow):
        return _degree(polynomial.base) * int(polynomial.exp) if polynomial.has(n.zeta1, n.zeta2) else 0
    if isinstance(polynomial, sp.Add | sp.Mul):
        return (max if isinstance(polynomial, sp.Add) else sum)(map(_degree, polynomial.args))
    return int(isinstance(polynomial, sp.Indexed) and polynomial.base in (n.zeta1, n.zeta2))


def norm_is_integral(powers: Iterable[sp.Expr]) -> None:
    """Check, for each power q, that (c + ||a||^2)^(-q/2) equals the integral that replaces it.

    The module ``tilting`` defines this integral. c is a constant, the softening of the norm.
    """
    square, softening = sp.symbols("square softening", positive=True)
    for power in powers:
        weight = norm_weight(n.x, power, softening) * sp.exp(-(n.x**2) * square)
        integral = sp.integrate(sp.powsimp(weight), (n.x, 0, sp.oo))
        if sp.simplify(integral - (softening + square) ** (-sp.sympify(power) / 2)) != 0:
            raise ProofError(f"the integral for a norm to the power -{power} has the wrong value {integral}")


def is_tilted(tilt: Tilt) -> None:
    """Check that a tilted Gaussian has the covariance S = (K^-1 + P)^-1 and the determinant Delta = det(1 + K P).

    K is the covariance of the views. Each norm ||a|| contributes a factor exp(-x^2 ||a||^2), and P is the precision
    that these factors add to the Gaussian of the views (see the module ``tilting``).
    """
    pair = (n.zeta1[n.k], n.zeta2[n.k])
    precision = sp.zeros(2)
    for variable, norm in zip((n.x, n.y), tilt.norms, strict=False):
        precision += variable**2 * sp.hessian(norm.square, pair)
    values = {symbol: value.subs(tilt.definitions) for symbol, value in tilt.definitions.items()}
    values = {symbol: without_index(value) for symbol, value in values.items()}
    views = without_index(VIEWS)
    S = sp.Matrix([[values[n.S11[n.k]], values[n.S12[n.k]]], [values[n.S12[n.k]], values[n.S22[n.k]]]])
    relations = {n.D: n.n1 * n.n2 - 1, n.sigma1**2: n.n1 - 1, n.sigma2**2: n.n2 - 1}
    if sp.simplify(((views.inv() + precision) * S).subs(relations)) != sp.eye(2):
        raise ProofError(f"the tilted covariance {S} is not the inverse of K^-1 + P")
    if sp.simplify((values[n.Delta[n.k]] - (sp.eye(2) + views * precision).det()).subs(relations)) != 0:
        raise ProofError("Delta of the tilted Gaussian is not det(1 + K P)")
