"""Steps of a report from the rate to the dynamics of the eigenvalues, and what follows from it."""

import sympy as sp

from derivations.losses.catalogue import Setting
from derivations.losses.loss import Loss
from derivations.report import checks
from derivations.report.steps import Step, tex
from derivations.symbols import notation as n
from derivations.theory import equilibria, invariants, rates, solutions


def flow_step(setting: Loss, rate) -> Step:
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


def exact_steps(setting: Loss, rate) -> list[Step]:
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


def shared_forcing_steps(setting: Loss) -> list[Step]:
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


def conserved_steps(setting: Loss) -> list[Step]:
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


def fixed_point_steps(setting: Loss, rate) -> list[Step]:
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
