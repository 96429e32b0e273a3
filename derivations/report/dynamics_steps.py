"""Write the steps of a report that follow from the rate of a mode.

These steps are the flow of the eigenvalues, its exact solution, its conserved quantity and its fixed points.
"""

from typing import TypeAlias

import sympy as sp

from derivations.losses.catalogue import Setting
from derivations.losses.loss import SymbolicLoss
from derivations.report import checks
from derivations.report.steps import Step, tex
from derivations.symbols import notation as n
from derivations.theory import equilibria, invariants, rates, solutions
from derivations.theory.expectations import TiltedIntegral

Rate: TypeAlias = sp.Expr | tuple[TiltedIntegral, ...]


def flow_step(setting: SymbolicLoss, rate: Rate) -> Step:
    """Return the step of the report that derives the flow of the eigenvalues."""
    shown = sp.factor_terms(rates.shared_weights(rate)) if isinstance(rate, sp.Expr) else sp.IndexedBase("r")[n.m]
    w, r = rates.w, rates.rate
    by_chain_rule = (2 * w * rates.flow(rates.encoder_step())).subs(w, sp.sqrt(n.s[n.m]))
    checks.equal(by_chain_rule, rates.velocity(), "the flow of s = w^2")
    equations = [rf"\frac{{\mathrm{{d}}s_m}}{{\mathrm{{d}}t}} = {tex(rates.velocity().subs(r, shown))}"]
    if setting.predictor:
        equations.append(rf"\lambda_m = {tex(rates.predictor().subs(n.epsilon, 0))}")
    text = (
        r"Eigenvalues of the correlation are $s_m = w_m^2$. Time is learning rate times steps. Gradient descent on the "
        r"expected loss at a learning rate $\eta$ is exactly the map $s_m \leftarrow s_m (1 + \eta (r_m - \rho))^2$."
    )
    return Step(
        "The flow of the eigenvalues",
        text,
        tuple(equations),
        ("symbolically: the flow of $w_m$ and the chain rule give this flow",),
    )


def exact_steps(setting: SymbolicLoss, rate: Rate) -> list[Step]:
    """Return the step of the report with the exact solution of the flow; an empty list if none is known."""
    solution = solutions.solve(rate) if isinstance(rate, sp.Expr) else None
    if solution is None:
        return []
    of_lambda, level = equilibria.independent_rate(rate), r"\lambda"
    assert of_lambda is not None
    velocity = solutions.predictor_velocity(of_lambda.subs(equilibria.lam, solutions.lam))
    explicit = solution.predictor
    shown = [velocity if solution.any_weight_decay else velocity.subs(n.rho, 0), explicit, solution.time]
    if not setting.predictor:  # then the eigenvalue is s
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
    text = f"The flow of a mode has an exact solution ({solution.name}{limit}).{lambert}"
    done = "symbolically: the solution satisfies the flow and the initial value, and the time agrees with the flow"
    return [Step("Exact solution", text, equations, (done,))]


def shared_forcing_steps(setting: SymbolicLoss) -> list[Step]:
    """Return the step of the report with the mean-field solution of the isotropic cosine loss.

    For other losses, an empty list is returned.
    """
    if setting != Setting("cosine", isotropic=True):
        return []
    forcing = solutions.shared_forcing()
    checks.equal(solutions.shared_forcing_residual(), sp.Integer(0), "the solution with shared forcing")
    text = (
        r"In mean field, for $\alpha = 1$ and without noise, two scalars $a$ and $b$ drive any number of modes. They "
        r"start at zero and evolve in a rescaled time $\tau$."
    )
    a, b = sp.symbols("a b")
    start = sp.Symbol("s_{m}(0)")
    value = forcing.solution.subs({forcing.A: a, forcing.B: b}).subs(n.s[n.m], start)
    slope_a, slope_b = (slope.subs({forcing.A: a}) for slope in (forcing.slope_A, forcing.slope_B))
    equations = (
        rf"\frac{{\mathrm{{d}}\tau}}{{\mathrm{{d}}t}} = {tex(forcing.unit)}, \qquad s_m = {tex(value)}",
        rf"\frac{{\mathrm{{d}}a}}{{\mathrm{{d}}\tau}} = {tex(slope_a)}, \qquad "
        rf"\frac{{\mathrm{{d}}b}}{{\mathrm{{d}}\tau}} = {tex(slope_b)}",
    )
    done = "symbolically: by substitution into the mean-field flow, for any number of modes"
    return [Step("Exact solution in mean field", text, equations, (done,))]


def conserved_steps(setting: SymbolicLoss) -> list[Step]:
    """Return the step of the report with the conserved sum over the modes; an empty list if none is known."""
    loss = setting.in_eigenbasis()
    a = invariants.conserved_exponent(loss)
    if a is None:
        return []
    factor = {0: "", 1: r"\lambda_m "}.get(a, rf"\lambda_m^{{{tex(sp.sympify(a))}}} ")
    power_sum = invariants.power_sum(a).subs(n.epsilon, 0)
    text = (
        "The first equation below holds for every sample, and therefore for any distribution of the inputs. So the "
        "flow conserves a sum over the modes; with weight decay the sum decays at a constant rate. If all modes that "
        "do not vanish have the same eigenvalue, their rates are equal by symmetry, and this equation makes these "
        "rates zero. Such states are fixed points of the flow without weight decay, and the sum determines "
        "their eigenvalue."
    )
    equations = (
        rf"\sum_{{m=1}}^{{M}} {factor}\left(g_m \hat z_{{1,m}} + h_m \hat z_{{2,m}}\right) = 0",
        rf"\frac{{\mathrm{{d}}}}{{\mathrm{{d}}t}} {tex(power_sum)} = - {tex(invariants.power_sum_decay(a))} "
        rf"\, {tex(power_sum)}",
    )
    return [
        Step(
            "Conserved quantity",
            text,
            equations,
            ("symbolically: the first equation, with each sum over modes treated as an independent number",),
        )
    ]


def fixed_point_steps(setting: SymbolicLoss, rate: Rate) -> list[Step]:
    """Return the step of the report with the fixed points and their stability.

    An empty list is returned if the fixed points have no closed form.
    """
    of_lambda = equilibria.independent_rate(rate)
    if of_lambda is None or not equilibria.has_roots(of_lambda):
        return []
    lam, roots, fold = equilibria.lam, equilibria.roots(of_lambda), equilibria.fold(of_lambda)
    for root in roots:
        checks.equal(
            sp.simplify(of_lambda.subs(lam, root) - n.rho), sp.Integer(0), "a fixed point is a root of r = rho"
        )
    text = (
        r"Besides collapsed modes, $s_m = 0$, the positive roots of $r = \rho$ are fixed points. In the flow a small "
        r"deviation of $s_m$ from a root grows as $e^{\gamma t}$; a gradient step multiplies it by $1 + \eta \gamma$. "
        r"A root is stable in the flow if $\gamma < 0$, and under gradient descent if also $\eta < -2/\gamma$."
    )
    names = [r"\lambda^*"] if len(roots) == 1 else [r"\lambda_+", r"\lambda_-"]
    equations = [f"{name} = {tex(root)}" for name, root in zip(names, roots, strict=True)]
    equations.append(rf"\gamma = {tex(equilibria.growth(of_lambda))}")
    done = [r"symbolically: each fixed point is a root of $r = \rho$"]
    if fold is not None:
        where, level = (sp.factor(value) for value in fold)
        checks.equal(of_lambda.diff(lam).subs(lam, level), sp.Integer(0), "the rate is largest at the fold")
        equations.append(rf"\rho_c = {tex(where)} \quad\text{{at}}\quad \lambda = {tex(level)}")
        text += r" The two roots meet and disappear at the weight decay $\rho_c$, a fold; above it all modes vanish."
        done.append("symbolically: at the fold the rate is largest")
    return [Step("Fixed points", text, tuple(equations), tuple(done))]
