"""Write the results of a derivation as text or LaTeX: loss, forces, rates, flow of the eigenvalues, exact solution."""

import re
from dataclasses import dataclass

import sympy as sp

from derivations import errors
from derivations.losses import gradients
from derivations.losses.loss import SymbolicLoss
from derivations.losses.products import Product, in_vectors
from derivations.printers.latex import MathLatex
from derivations.printers.text import MathText
from derivations.symbols import notation as n
from derivations.theory import expectations, matrices, moments, rates, solutions


@dataclass(frozen=True)
class Line:
    """An equation left = right with a title."""

    title: str
    left: str
    right: sp.Expr | str


def derivation(
    setting: SymbolicLoss,
    closure: str = "gaussian",
    separate_target: bool = False,
    learned: bool = False,
    constant_target: bool = False,
) -> list[Line]:
    """Return the equations from the loss to its eigenvalue dynamics.

    closure: "gaussian" for exact expectations over the views, or "mean_field" for approximate expectations.
    separate_target: True if the weights of the target branch are not those of the encoder. They are an exponential
    average of the weights of the encoder, or constant if constant_target is True.
    learned: True if the predictor is learned. Raises ValueError if the loss does not allow one of these options.
    """
    loss = setting.in_eigenbasis()
    if separate_target and not gradients.has_free_target(loss):
        raise ValueError(
            "the target branch cannot have separate weights, because the gradient of this loss reaches this branch"
        )
    if learned and not setting.trains_predictor:
        raise ValueError("the predictor of this loss cannot be learned, because no gradient reaches the predictor")
    lines = [
        Line("loss of one sample, in the eigenbasis", "L", loss),
        Line("force on the representation of view 1", "g_m", sp.factor_terms(gradients.force(loss, 1))),
        Line("force on the representation of view 2", "h_m", sp.factor_terms(gradients.force(loss, 2))),
    ]
    try:
        rate = moments.white(rates.rates(loss, closure))
    except errors.UnsupportedLossError as error:
        rate = RATE
        lines += [Line("rate of the linear network", "r_m", f"a mean over samples: {error}")]
    else:
        lines += _expectation("rate of the linear network", "r_m", rate)
    shown = rate if isinstance(rate, sp.Expr) else RATE
    lines += _moving(sp.factor_terms(shown), separate_target, constant_target)
    if learned:
        lines += _learned(moments.white(rates.predictor_force(loss, closure)))
    else:
        lines += [Line("predictor", "lam_m", _predictor(setting))]
    if not separate_target:
        lines = [Line(a.title, a.left, shared_target(a.right)) for a in lines]
        lines += [] if learned or rate == RATE else _exact(setting, rate)
    lines = list(dict.fromkeys(lines))  # if two expectations have the same tilted Gaussian, it is shown once
    used = {s for line in lines if isinstance(line.right, sp.Expr) for s in line.right.free_symbols}
    named = [(s, e) for s, e in moments.VIEW_STATISTICS.items() if s in used]
    functions = [(f"{name.base}_m", meaning.subs(n.k, n.m)) for name, meaning in setting.operators.items()]
    return lines + [Line("where", str(symbol), expression) for symbol, expression in functions + named]


def correlated(setting: SymbolicLoss, learned: bool = False) -> list[Line]:
    """Return the equations from the loss to the dynamics of the weights, for views of any second moments.

    learned: True if the predictor is learned.
    """
    loss = in_vectors(setting)
    members = matrices.expectations(loss.expression)
    present: set[sp.MatrixSymbol] = set().union(*(expectation.symbols() for expectation in members))
    lines = [Line("loss of one sample, in the eigenbasis", "L", setting.in_eigenbasis())]
    on_views: dict[str, list[str]] = {"1": [], "2": []}
    applied = {str(product.vector): product for product in loss.products}
    for vector in dict.fromkeys(vector for expectation in members for vector, _ in expectation.forces):
        lines += _force(vector, members)
        factors, name = "", str(vector)
        while (product := applied.get(name)) is not None and not product.stopped:
            factors, name = f"{_matrix(product)}^T {factors}", str(product.of)
        if name not in applied:
            on_views[name[1]].append(f"{factors}E[f_{vector} l^T]")
    for view, parts in on_views.items():
        lines.append(Line(f"drive of view {view}", f"E[{'gh'[int(view) - 1]} l^T]", " + ".join(parts) or "0"))
    flow = "E[g l^T] E[l x1^T] + E[h l^T] E[l x2^T] - rho W"
    lines += [Line("flow of the weights", "dW/dt", flow)]
    if learned:
        on_predictor = " + ".join(f"E[f_{product.vector} l^T] {product.of}^T" for product in loss.products)
        lines += [Line("flow of the predictor", "dW_P/dt", f"a_P ({on_predictor}) - rho W_P")]
    title = "each vector as a map of independent normals l"
    maps = zip(matrices.REPRESENTATIONS, ("W E[x1 l^T]", "W E[x2 l^T]", "V E[x1 l^T]", "V E[x2 l^T]"), strict=True)
    used = present | {matrices.map_of(product.of) for product in loss.products}
    lines += [Line(title, str(vector), text) for vector, text in maps if matrices.map_of(vector) in used]
    return lines + [Line(title, name, f"{_matrix(product)} {product.of}") for name, product in applied.items()]


def _matrix(product: Product) -> str:
    """Return the matrix h(W_P) of a product h(W_P) u as text: W_P, or an expression such as (W_P + 1)."""
    matrix = MathText().doprint(product.function.subs(n.lam[n.k], sp.Symbol("W_P")))
    return matrix if product.function == n.lam[n.k] else f"({matrix})"


def _force(vector: sp.MatrixSymbol, members: list[matrices.MatrixMean]) -> list[Line]:
    """Return the equations for E[f l^T], where f is the force on a vector and l are independent normals.

    All vectors are linear maps of l. The expectation is a formula, or a sum of integrals that
    replace norms in a denominator (see ``matrices``); the integrand is called F_p1 for the vector p1.
    """
    title, left, lines, parts = f"force on {vector}", f"E[f_{vector} l^T]", [], []
    present = [expectation for expectation in members if vector in dict(expectation.forces)]
    for number, expectation in enumerate(present, 1):
        term = dict(expectation.forces)[vector]
        if not expectation.norms:
            return [Line(title, left, term)]
        x_form, y_form = (matrices.quadratic((norm, norm)) for norm in expectation.norms)
        precision = sp.MatAdd(sp.Identity(matrices.d), 2 * n.x**2 * x_form, 2 * n.y**2 * y_form)
        lines += [Line("tilted covariance", "K^T K", sp.Inverse(precision))]
        lines += [Line("weight of the tilted Gaussian", "Z", sp.Abs(sp.Determinant(matrices.K)))]
        vectors = zip(matrices.TILTED, expectation.norms, strict=True)
        lines += [Line("tilted vector", str(tilted), norm * matrices.K.T) for tilted, norm in vectors]
        part = sp.Symbol(f"F_{vector}" if len(present) == 1 else f"F_{vector}_{number}")
        lines += [Line("integrand", str(part), term)]
        parts.append(sp.Integral(part, (n.x, 0, sp.oo), (n.y, 0, sp.oo)))
    return [*lines, Line(title, left, sp.Add(*parts))]


IN_WORDS = r"\^T|^[ptvz]\d$"  # left sides that ``_latex_words`` prints, such as E[g l^T] and p1
RATE = sp.IndexedBase("r", real=True)[n.m]
FORCE = sp.IndexedBase("f", real=True)[n.m]


def _expectation(title: str, name: str, value: sp.Expr | tuple[expectations.TiltedIntegral, ...]) -> list[Line]:
    """Return the equations for an expectation: a formula, or a sum of integrals.

    The integrals replace norms in a denominator (see ``expectations``).
    """
    if isinstance(value, sp.Expr):
        return [Line(title, name, sp.factor_terms(value))]
    lines, parts = [], []
    for number, integral in enumerate(value, 1):
        part = sp.Symbol(f"{'I' if name == 'r_m' else 'J'}_{number}")
        lines += _integral(part, integral)
        parts.append(sp.Integral(part, *((axis, 0, sp.oo) for axis in (n.x, n.y)[: len(integral.powers)])))
    if isinstance(value, expectations.Mixed):
        parts.append(sp.factor_terms(value.formula))
    return [*lines, Line(title, name, sp.Add(*parts))]


def _moving(rate: sp.Expr, separate_target: bool, constant_target: bool) -> list[Line]:
    """Return the flow of the eigenvalues of the correlation.

    For a target branch with separate weights, return the flow of the singular values of encoder and target instead.
    """
    if not separate_target:
        return [Line("flow of the eigenvalues", "ds_m/dt", rates.velocity().subs(rates.rate, rate))]
    w, v = n.w[n.m], n.v[n.m]
    encoder = rates.flow(rates.encoder_step()).subs({rates.w: w, rates.rate: rate})
    constant = {n.decay: 1} if constant_target else {}
    target = rates.average_velocity().subs({rates.average: v, rates.x: w, **constant})
    return [
        Line("encoder, s = w^2, and target", "dw_m/dt", encoder),
        Line("encoder, s = w^2, and target", "dv_m/dt", target),
        Line("encoder, s = w^2, and target", "ratio_m", v / w),
    ]


def _learned(force: sp.Expr | tuple[expectations.TiltedIntegral, ...]) -> list[Line]:
    """Return the equations for the force on a learned predictor and for the predictor's flow."""
    shown = force if isinstance(force, sp.Expr) else FORCE
    flow = rates.flow(rates.predictor_step()).subs(rates.force, sp.factor_terms(shown))
    return [*_expectation("force on the predictor", "f_m", force), Line("learned predictor", "dlam_m/dt", flow)]


def _exact(setting: SymbolicLoss, rate: sp.Expr | tuple[expectations.TiltedIntegral, ...]) -> list[Line]:
    """Return the equation of the exact solution, or an empty list if no exact solution is known.

    The solution is lambda(t), the predictor eigenvalue of a mode. If there is no predictor, the solution is s(t), the
    correlation eigenvalue of the mode.
    """
    solution = solutions.solve(setting.explicit(rate)) if isinstance(rate, sp.Expr) else None
    if solution is None:
        return []
    limit = "" if solution.any_weight_decay else ", rho = 0"
    explicit = solution.predictor
    if not setting.predictor:
        explicit = explicit.subs({n.alpha: 1, solutions.lam0: sp.Symbol("s0", positive=True)})
    name = "lam(t)" if setting.predictor else "s(t)"
    return [Line(f"exact solution ({solution.name}{limit})", name, explicit)]


def _predictor(setting: SymbolicLoss) -> sp.Expr:
    return rates.predictor().subs(n.epsilon, 0) if setting.predictor else sp.Integer(1)


def shared_target(right: sp.Expr | str) -> sp.Expr | str:
    """Return the expression for a target branch that shares the weights of the encoder, so that v/w = 1 and t = z.

    The target branch has the singular values v and the representation t; the encoder has the singular values w and the
    representation z.
    """
    if isinstance(right, str):
        return right
    encoder = {n.t1: n.z1, n.t2: n.z2}
    same = rates.shared_weights(right)
    return same.replace(lambda e: isinstance(e, sp.Indexed) and e.base in encoder, lambda e: encoder[e.base][e.indices])


def _integral(name: sp.Symbol, integral: expectations.TiltedIntegral) -> list[Line]:
    lines = [
        Line("tilted covariance", str(symbol).replace("[k]", "_k"), expression)
        for symbol, expression in integral.tilt.definitions.items()
    ]
    weight = sp.Product(1 / sp.sqrt(n.Delta[n.k]), (n.k, 1, n.M))
    return [
        *lines,
        Line("weight of the tilted Gaussian", "Z", weight),
        Line("integrand", str(name), integral.integrand),
    ]


def as_text(lines: list[Line]) -> str:
    """Return the equations as text, one per line; equations with the same title stand below this title."""
    printer, rows, title = MathText(), [], None
    for line in lines:
        rows += [line.title] if line.title != title else []
        rows.append(f"    {line.left} = {line.right if isinstance(line.right, str) else printer.doprint(line.right)}")
        title = line.title
    return "\n".join(rows)


def as_latex(lines: list[Line]) -> str:
    """Return the equations as a LaTeX align* environment; titles become comments."""
    printer = MathLatex()
    names = {"lam_m": r"\lambda_m", "lam(t)": r"\lambda(t)", "s(t)": "s(t)", "ratio_m": "(v/w)_m"}
    names |= {"dW/dt": r"\dot W", "dW_P/dt": r"\dot W_P"}
    names |= {f"d{a}_m/dt": rf"\dot {tex}_m" for a, tex in (("s", "s"), ("w", "w"), ("v", "v"), ("lam", r"\lambda"))}
    rows = []
    for line in lines:
        left = names.get(line.left) or (_latex_words if re.search(IN_WORDS, line.left) else _latex_name)(line.left)
        right = _latex_words(line.right) if isinstance(line.right, str) else printer.doprint(line.right)
        rows.append(f"  % {line.title}\n  {left} &= {right}")
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def _latex_words(text: str) -> str:
    """Return the LaTeX of an equation in words, such as "W_P^T E[f_p1 l^T]"."""
    text = re.sub(r"_([ptvz])(\d)\b", r"_{\1_\2}", text)
    text = re.sub(r"\b([ptvxz])(\d)\b", r"\1_\2", text)
    for word, latex in (("^T", r"^{\top}"), ("rho", r"\rho"), ("E[", r"\mathbb{E}[")):
        text = text.replace(word, latex)
    return text


def _latex_name(name: str) -> str:
    base, mark, index = name.partition("_")
    base = n.LATEX.get(base, base)
    if not mark:
        return base
    return f"{base[:-1]},{index}}}" if base.endswith("}") else f"{base}_{{{index}}}"
