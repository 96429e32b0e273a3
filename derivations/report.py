r"""The derivation of a loss as a document: from L to dw_m/dt = w_m (r_m - rho), step by step, each step checked.

A check raises ``ProofError`` if it fails. Those that hold for any number of modes are symbolic; those that need numbers
take random points of a few modes in 30 digits, and exact Gaussian quadrature for expectations of polynomials.
"""

import re

import sympy as sp

from derivations import checks, equilibria, expectations, gradients, invariants, rates, solutions
from derivations import notation as n
from derivations.closures import Mixed, UnsupportedLossError
from derivations.display import shared_target
from derivations.losses import Loss, Setting
from derivations.steps import SYMBOLS, Step, gathered, tex
from derivations.stop_gradient import StopGradient
from derivations.vectors import VectorLatex

ABSENT = {n.t1, n.t2, n.v, n.ratio, n.epsilon, n.decay, n.rate_ratio}  # of targets and predictors of another kind
WHERE = {"target": "on the target branch", "none": "nowhere", "online": "on the online branch"}


class Explicit(Loss):
    """A loss with its functions of W_P written out."""

    def __init__(self, loss: Loss):
        self.loss, self.predictor, self.symmetrised = loss, loss.predictor, loss.symmetrised
        self.parameters, self.gain = loss.parameters, loss.gain

    name = property(lambda self: self.loss.name)
    title = property(lambda self: self.loss.title)
    sentence = property(lambda self: self.loss.sentence)
    stopped = property(lambda self: self.loss.stopped)
    trains_predictor = property(lambda self: self.loss.trains_predictor)
    operators = property(lambda self: {})

    def in_eigenbasis(self) -> sp.Expr:
        """L with W_P = diag(lambda)."""
        return self.loss.explicit(self.loss.in_eigenbasis())


def report(setting: Loss) -> list[Step]:
    """All steps for a loss, with a closed-form predictor or none and a target that shares weights.

    Raises ProofError if a step does not follow from the one before.
    """
    setting = Explicit(setting) if setting.operators else setting
    loss = shared_target(setting.in_eigenbasis())
    try:
        rate = rates.rates(setting.in_eigenbasis())
    except UnsupportedLossError as error:
        rate, why = None, str(error)
    steps = [_loss(setting), _eigenbasis(setting, loss), _gradient(setting, loss)]
    steps += [*_representation(setting, loss), _network(setting, loss)]
    if rate is None:
        return [*steps, *_sampled(why), *_conserved(setting), _symbols(steps)]
    if isinstance(rate, sp.Expr):
        steps += [expectations.moments(setting, rate)]
    elif isinstance(rate, Mixed):
        steps += [_mixed(rate)]
    else:
        steps += expectations.integrals(setting, rate)
    steps += [
        _flow(setting, rate),
        *_exact(setting, rate),
        *_shared_forcing(setting),
        *_conserved(setting),
        *_fixed_points(setting, rate),
    ]
    return [*steps, _symbols(steps)]


# --- the loss -------------------------------------------------------------------------------------------------------


def _loss(setting: Loss) -> Step:
    predictor = (
        r"the prediction $p = W_P z_1$ of a predictor that is built from the correlation, $W_P = C^\alpha$, and never "
        r"differentiated through"
        if setting.predictor
        else "no predictor, $p = z_1$"
    )
    if not isinstance(setting, Setting):
        where = "The gradient stops where $\\mathrm{SG}$ stands: what is inside is a number to it."
    elif setting.isotropic or setting.gain:
        where = "It carries stop-gradients $\\mathrm{SG}$ of its own: what is inside is a number to the gradient."
    else:
        where = f"The gradient is stopped {WHERE[setting.stop_gradient]}" + (
            ": what is inside $\\mathrm{SG}$ is a number to it." if setting.stop_gradient != "none" else "."
        )
    symmetrised = " It is the mean over both roles of the views, with $p_i = W_P z_i$." if setting.symmetrised else ""
    text = (
        "Two views of an input, $x_i = x + \\sigma_i \\xi_i$ with $x$ and $\\xi_i$ standard normal, pass through one "
        f"linear network, $z_i = W x_i$. The loss of one sample compares them with {predictor}. {where}{symmetrised}"
    )
    return Step("The loss", text, (f"L = {_in_vectors(setting)}",))


def _prediction(view: int) -> sp.Expr:
    return sp.IndexedBase(f"p{view}", real=True)[n.k]


def _with_predictions(setting: Loss) -> sp.Expr:
    """L in z and p."""
    predictions = {n.z1[n.k]: _prediction(1), n.z2[n.k]: _prediction(2)}
    return shared_target(setting.expression(lambda _, z: predictions[z]))


def _sampled(why: str) -> list[Step]:
    text = f"There is no formula for this expectation: {why.replace('**', '^')}. It is taken as a mean over samples."
    return [Step("The expectation", text)]


def _mixed(rate: Mixed) -> Step:
    text = (
        "Some terms of the gradient have norms in their denominators, others have none. The former become integrals, "
        "as in the reports of the cosine losses, the latter are Gaussian moments; the rate is the sum."
    )
    return Step("The expectations", text, (rf"r_m = {tex(rates.shared_weights(rate.formula))} + \int\!\!\int \ldots",))


def _in_vectors(setting: Loss) -> str:
    """The loss before any basis is chosen: no hats; in the eigenbasis, if W_P does more than predict."""
    if setting.applies_functions:
        return tex(shared_target(setting.in_eigenbasis()))
    text = tex(_with_predictions(setting)).replace(r"\hat ", "")
    return text.replace("p_{1}", "p_1" if setting.symmetrised else "p").replace("p_{2}", "p_2")


def _eigenbasis(setting: Loss, loss: sp.Expr) -> Step:
    text = (
        r"The correlation of the representations is $C = W W^\top = U \mathrm{diag}(s) U^\top$. "
        + (r"The predictor has the same eigenvectors, $W_P = U \Lambda U^\top$. " if setting.predictor else "")
        + r"With $\hat z = U^\top z$ nothing changes but the names, as a loss made of products of vectors is the same "
        "in any orthonormal basis."
    )
    if setting.applies_functions:
        return Step("The eigenbasis", text, (f"L = {tex(loss)}",))
    checks.same_in_any_basis(_with_predictions(setting), loss, setting.predictor)
    done = "numerically: equal to the loss above for random representations, spectra and eigenvectors, three modes"
    return Step("The eigenbasis", text, (f"L = {tex(loss)}",), (done,))


# --- gradients ------------------------------------------------------------------------------------------------------


def _gradient(setting: Loss, loss: sp.Expr) -> Step:
    text = (
        r"The forces on the two representations, $g = -\partial L/\partial \hat z_1$ and "
        r"$h = -\partial L/\partial \hat z_2$, mode by mode."
    )
    equations: list[str] = []
    stops = sorted(loss.atoms(StopGradient), key=str)
    if stops:
        text += (
            " First the whole derivative, then what each stop-gradient takes out of it: the part that passes through "
            "its argument. What is left is the force."
        )
    for name, view in (("g", 1), ("h", 2)):
        kept, whole, removed = checks.split_gradient(loss, view)
        expected = shared_target(rates.shared_weights(gradients.force(setting.in_eigenbasis(), view)))
        checks.equal(kept, expected, "the force is that of the derivation")
        checks.equal(whole, sp.Add(kept, *removed.values()), "whole derivative = what is left + what is removed")
        checks.is_derivative(loss, kept, view)
        if any(part != 0 for part in removed.values()):
            equations.append(rf"{name}_m^{{\text{{whole}}}} = {tex(sp.factor_terms(whole))}")
            for number, (stop, part) in enumerate(removed.items(), 1):
                if part != 0:
                    which = f"removed {number}" if len(removed) > 1 else "removed"
                    equations.append(
                        rf"{name}_m^{{\text{{{which}}}}} = {tex(sp.factor_terms(part))} "
                        rf"\qquad\text{{by }} {_stopped(stop)}"
                    )
        equations.append(f"{name}_m = {tex(sp.factor_terms(kept))}")
    done = ["numerically: equal to the numerical derivative of the loss with stop-gradients held, three modes"]
    done += ["symbolically: whole derivative = what is left + what is removed"] if stops else []
    return Step("The gradient", text, tuple(equations), tuple(done))


def _stopped(stop: sp.Expr) -> str:
    """A stop-gradient, as a vector if it stands in a sum over modes."""
    indices = {i for indexed in stop.atoms(sp.Indexed) for i in indexed.indices}
    free = indices & stop.free_symbols
    return VectorLatex(*free).doprint(stop)


def _representation(setting: Loss, loss: sp.Expr) -> list[Step]:
    """Where the gradient reaches the online branch alone: elsewhere the paper has no such model."""
    force, other = (checks.split_gradient(loss, view)[0] for view in (1, 2))
    if setting.symmetrised or other != 0:
        return []
    text = (
        "If the neural tangent kernel were the identity, and without noise ($z_1 = z_2$), each representation would "
        r"follow its own force on the online branch, $\mathrm{d}\hat z_m/\mathrm{d}t = g_m$: the representation model"
    )
    if setting.predictor:
        number, kind = None, ""
        if isinstance(setting, Setting) and not setting.gain:
            number = {"euclidean": "1", "cosine": "2"}.get(setting.loss)
            kind = ", isotropic version" * setting.isotropic
        text += f" (Halvagal, Laborieux, Zenke 2023, Theorem {number}{kind})" if number else ""
    text += "."
    one_view = {n.z2: n.z1}
    motion = gathered(
        force.replace(lambda e: isinstance(e, sp.Indexed) and e.base in one_view, lambda e: one_view[e.base][e.indices])
    )
    checks.equal(gradients.representation(setting.in_eigenbasis()), motion, "the force with equal views")
    equation = rf"\frac{{\mathrm{{d}}\hat z_m}}{{\mathrm{{d}}t}} = {tex(motion)}"
    equation = equation.replace(r"\hat z_{1,", r"\hat z_{").replace(r"\hat z_1", r"\hat z")
    done = ["symbolically: the force above with equal views"]
    if isinstance(setting, Setting) and setting.isotropic:
        checks.isotropic_is_standard_over_lambda(Setting(setting.loss), setting)
        text += (
            " The force of the loss that is not isotropic is this one times $\\lambda_m$. There eigenvalues of the "
            "predictor act as learning-rate multipliers, and this is the factor that the isotropic loss removes."
        )
        done.append(r"symbolically: the force of the standard loss is $\lambda_m$ times this one")
    return [Step("The representation model", text, (equation,), tuple(done))]


def _network(setting: Loss, loss: sp.Expr) -> Step:
    text = (
        r"What is trained is $W$: $\mathrm{d}W/\mathrm{d}t = \mathbb{E}[g\, x_1^\top] + \mathbb{E}[h\, x_2^\top] "
        r"- \rho W$. In its singular vectors view $i$ of mode $m$ is $\hat z_{i,m} = w_m \zeta_{i,m}$, with "
        r"$\zeta_{i,m}$ the view along the mode's input direction: Gaussian, independent for different modes. To flip "
        r"the sign of one mode changes neither the loss nor the distribution, so $\mathbb{E}[g_k \zeta_m] = 0$ for "
        r"$k \ne m$: the singular vectors stay as they are, and each singular value obeys an equation of its own."
    )
    checks.same_when_a_mode_is_flipped(loss)
    contribution = shared_target(rates.shared_weights(invariants.contribution(setting.in_eigenbasis())))
    equations = (
        r"\frac{\mathrm{d}w_m}{\mathrm{d}t} = w_m (r_m - \rho), \qquad "
        r"s_m r_m = \mathbb{E}\left[g_m \hat z_{1,m} + h_m \hat z_{2,m}\right]",
        rf"g_m \hat z_{{1,m}} + h_m \hat z_{{2,m}} = {tex(sp.factor_terms(contribution))}",
    )
    return Step("The linear network", text, equations, ("numerically: the loss is the same with one mode flipped",))


# --- what follows ---------------------------------------------------------------------------------------------------


def _flow(setting: Loss, rate) -> Step:
    shown = sp.factor_terms(rates.shared_weights(rate)) if isinstance(rate, sp.Expr) else sp.IndexedBase("r")[n.m]
    w, r = rates.w, rates.rate
    by_chain_rule = (2 * w * rates.flow(rates.encoder_step())).subs(w, sp.sqrt(n.s[n.m]))
    checks.equal(by_chain_rule, rates.velocity(), "the flow of s = w^2")
    equations = [rf"\frac{{\mathrm{{d}}s_m}}{{\mathrm{{d}}t}} = {tex(rates.velocity().subs(r, shown))}"]
    if setting.predictor:
        equations.append(rf"\lambda_m = {tex(rates.predictor().subs(n.epsilon, 0))}")
    text = (
        r"Eigenvalues of the correlation are $s_m = w_m^2$. Time is learning rate times steps. Gradient descent at a "
        r"learning rate $\eta$ is the map $s_m \leftarrow s_m (1 + \eta (r_m - \rho))^2$, also exact."
    )
    return Step("The flow of the eigenvalues", text, tuple(equations), ("symbolically: by the chain rule",))


def _exact(setting: Loss, rate) -> list[Step]:
    solution = solutions.solve(rate) if isinstance(rate, sp.Expr) else None
    if solution is None:
        return []
    own, level = equilibria.own_rate(rate), r"\lambda"
    assert own is not None
    velocity = solutions.predictor_velocity(own.subs(equilibria.lam, solutions.lam))
    explicit = solution.predictor.replace(solutions.Exprel, lambda x: (sp.exp(x) - 1) / x)
    shown = [velocity if solution.any_weight_decay else velocity.subs(n.rho, 0), explicit, solution.time]
    if not setting.predictor:  # of s itself
        s, s_0 = sp.symbols("s s(0)")
        of_s = {n.alpha: 1, solutions.lam: s, solutions.lam0: s_0, solutions.lam1: s}
        shown, level = [expression.subs(of_s) for expression in shown], "s"
    slope, value, time = map(tex, (sp.factor(shown[0]), *shown[1:]))
    equations = (
        rf"\frac{{\mathrm{{d}}{level}}}{{\mathrm{{d}}t}} = {slope}",
        f"{level}(t) = {value}",
        rf"t = {time} \quad\text{{from }} {level}(0) \text{{ to }} {level}",
    )
    limit = "" if solution.any_weight_decay else ", without weight decay"
    lambert = " $W$ is Lambert's function, $W(y) e^{W(y)} = y$." if explicit.has(solutions.LambertGrowth) else ""
    text = f"The flow of a mode has a solution ({solution.name}{limit}).{lambert}"
    done = "symbolically: by substitution into the flow, at the start, and for the time from one level to another"
    return [Step("Exact solution", text, equations, (done,))]


def _shared_forcing(setting: Loss) -> list[Step]:
    if setting != Setting("cosine", isotropic=True):
        return []
    found = solutions.shared_forcing()
    checks.equal(solutions.shared_forcing_residual(), sp.Integer(0), "the solution with shared forcing")
    text = (
        r"Under the mean field, for $\alpha = 1$ and without noise, all modes share one forcing: in a rescaled time "
        r"$\tau$ two numbers $a$ and $b$, which start at zero, drive any number of modes."
    )
    a, b = sp.symbols("a b")
    own, start = n.s[n.m], sp.Symbol("s_{m}(0)")
    value = found.solution.subs({found.A: a, found.B: b}).subs(own, start)
    slope_a, slope_b = (slope.subs({found.A: a}) for slope in (found.slope_A, found.slope_B))
    equations = (
        rf"\frac{{\mathrm{{d}}\tau}}{{\mathrm{{d}}t}} = {tex(found.unit)}, \qquad s_m = {tex(value)}",
        rf"\frac{{\mathrm{{d}}a}}{{\mathrm{{d}}\tau}} = {tex(slope_a)}, \qquad "
        rf"\frac{{\mathrm{{d}}b}}{{\mathrm{{d}}\tau}} = {tex(slope_b)}",
    )
    done = "symbolically: by substitution into the mean field's flow, for any number of modes"
    return [Step("Mean field: a solution", text, equations, (done,))]


def _conserved(setting: Loss) -> list[Step]:
    loss = setting.in_eigenbasis()
    a = invariants.conserved_exponent(loss)
    if a is None:
        return []
    factor = {0: "", 1: r"\lambda_m "}.get(a, rf"\lambda_m^{{{tex(sp.sympify(a))}}} ")
    power_sum = invariants.power_sum(a).subs(n.epsilon, 0)
    text = (
        "One identity holds for every sample, whatever the distribution. So the flow conserves a sum over the modes; "
        "with weight decay it shrinks at one rate. The modes can only exchange it. Where all modes that survive are "
        "equal, their rates are equal, as nothing tells them apart, and the identity makes them zero: these are fixed "
        "points, and the sum sets their level."
    )
    equations = (
        rf"\sum_{{m=1}}^{{M}} {factor}\left(g_m \hat z_{{1,m}} + h_m \hat z_{{2,m}}\right) = 0",
        rf"\frac{{\mathrm{{d}}}}{{\mathrm{{d}}t}} {tex(power_sum)} = - {tex(invariants.power_sum_decay(a))} "
        rf"\, {tex(power_sum)}",
    )
    return [Step("What is conserved", text, equations, ("symbolically: the identity, with each sum as a number",))]


def _fixed_points(setting: Loss, rate) -> list[Step]:
    own = equilibria.own_rate(rate)
    if own is None or not equilibria.has_roots(own):
        return []
    lam, found, fold = equilibria.lam, equilibria.roots(own), equilibria.fold(own)
    for root in found:
        checks.equal(sp.simplify(own.subs(lam, root) - n.rho), sp.Integer(0), "a fixed point is a root of r = rho")
    text = (
        r"Beside dead modes, $s_m = 0$, there are the roots of $r = \rho$, where they are above zero. A small "
        r"deviation of $s_m$ grows there as $e^{\gamma t}$, and is multiplied by $1 + \eta \gamma$ in a step of "
        r"gradient descent: a root attracts where $\gamma < 0$, and gradient descent stays there if $\eta < -2/\gamma$."
    )
    names = [r"\lambda^*"] if len(found) == 1 else [r"\lambda_+", r"\lambda_-"]
    equations = [f"{name} = {tex(root)}" for name, root in zip(names, found, strict=True)]
    equations.append(rf"\gamma = {tex(equilibria.growth(own))}")
    done = ["symbolically: each is a root"]
    if fold is not None:
        where, level = (sp.factor(value) for value in fold)
        checks.equal(own.diff(lam).subs(lam, level), sp.Integer(0), "the rate is largest at the fold")
        text += " The two meet and vanish at a weight decay of"
        equations.append(rf"\rho_c = {tex(where)} \quad\text{{at}}\quad \lambda = {tex(level)}")
        text += r" $\rho_c$, a fold: beyond it all modes die."
        done.append("symbolically: at the fold the rate is largest")
    return [Step("Fixed points", text, tuple(equations), tuple(done))]


def _symbols(steps: list[Step]) -> Step:
    """The symbols that occur in equations, one row each: LaTeX | meaning."""
    whole = " ".join(equation for step in steps for equation in step.equations)
    used = [e for e in n.TABLE if e.symbol not in ABSENT and _occurs(e.latex, whole)]
    return Step(SYMBOLS, "", tuple(f"{entry.latex}|{entry.meaning}" for entry in used))


def _occurs(latex: str, whole: str) -> bool:
    latex = rf"\mathrm{{d}}{latex}" if latex in ("x", "y") else latex  # only as what is integrated over
    printed = re.escape(latex) + "(?![A-Za-z])"
    if "_" in latex:  # with its mode: S_{11} as S_{11,k}, zeta_1 as zeta_{1,m}
        head, index = latex.replace("{", "").replace("}", "").split("_")
        printed += "|" + re.escape(f"{head}_{{{index},")
    return re.search(rf"(?<![A-Za-z\\])({printed})", whole) is not None
