"""Write the first steps of a derivation report: from the loss to the dynamics of the linear network."""

import sympy as sp

from derivations.losses import gradients
from derivations.losses.catalogue import Setting
from derivations.losses.loss import SymbolicLoss
from derivations.printers.latex import VectorLatex
from derivations.report import checks
from derivations.report.steps import Step, gathered, tex
from derivations.report.summary import shared_target
from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient
from derivations.theory import invariants, rates

WHERE = {"target": "on the target branch", "none": "nowhere", "online": "on the online branch"}


def loss_step(setting: SymbolicLoss) -> Step:
    """Return the step of the report with the loss of one sample."""
    predictor = (
        r"$z_1$, $z_2$ and the prediction $p = W_P z_1$. The predictor is built from the correlation, "
        r"$W_P = C^\alpha$, and no gradient passes through it"
        if setting.predictor
        else "$z_1$ and $z_2$; there is no predictor, $p = z_1$"
    )
    if not isinstance(setting, Setting):
        where = "The gradient stops at each $\\mathrm{SG}$: it treats the argument as a constant."
    elif setting.isotropic or setting.gain:
        where = "The loss contains stop-gradients $\\mathrm{SG}$: the gradient treats their arguments as constants."
    else:
        where = f"The gradient is stopped {WHERE[setting.stop_gradient]}" + (
            ": it treats the argument of $\\mathrm{SG}$ as a constant." if setting.stop_gradient != "none" else "."
        )
    symmetrised = (
        " The loss is the mean over both assignments of the views to the branches, with $p_i = W_P z_i$."
        if setting.symmetrised
        else ""
    )
    text = (
        "Two views of an input, $x_i = x + \\sigma_i \\xi_i$ with $x$ and $\\xi_i$ standard normal, pass through one "
        f"linear network, $z_i = W x_i$. The loss of one sample depends on {predictor}. {where}{symmetrised}"
    )
    return Step("The loss", text, (f"L = {in_vectors(setting)}",))


def _prediction(view: int) -> sp.Expr:
    return sp.IndexedBase(f"p{view}", real=True)[n.k]


def _with_predictions(setting: SymbolicLoss) -> sp.Expr:
    """Return the loss as an expression in the representations z and the predictions p = W_P z."""
    predictions = {n.z1[n.k]: _prediction(1), n.z2[n.k]: _prediction(2)}
    return shared_target(setting.expression(lambda _, z: predictions[z]))


def in_vectors(setting: SymbolicLoss) -> str:
    r"""Return the LaTeX of the loss in vectors, for any basis if possible.

    A loss that contains functions of W_P, or products of W_P with vectors other than z1 and z2, is printed in the
    eigenbasis of W_P. A vector in the eigenbasis has a hat, and a vector in any basis has none.
    """
    if setting.applies_functions:
        return tex(shared_target(setting.in_eigenbasis()))
    text = tex(_with_predictions(setting)).replace(r"\hat ", "")
    return text.replace("p_{1}", "p_1" if setting.symmetrised else "p").replace("p_{2}", "p_2")


def eigenbasis_step(setting: SymbolicLoss, loss: sp.Expr) -> Step:
    """Return the step of the report with the loss in the eigenbasis of the correlation."""
    text = (
        r"The correlation of the representations is $C = W W^\top = U \mathrm{diag}(s) U^\top$. "
        + (r"The predictor has the same eigenvectors, $W_P = U \Lambda U^\top$. " if setting.predictor else "")
        + r"In the coordinates $\hat z = U^\top z$ the loss has the same form: dot products do not depend on the basis."
    )
    if setting.applies_functions:
        return Step("The eigenbasis", text, (f"L = {tex(loss)}",))
    checks.same_in_any_basis(_with_predictions(setting), loss, setting.predictor)
    done = (
        "numerically: equal to the loss above for random representations, eigenvalues and eigenvectors of three modes"
    )
    return Step("The eigenbasis", text, (f"L = {tex(loss)}",), (done,))


def gradient_step(setting: SymbolicLoss, loss: sp.Expr) -> Step:
    """Return the step of the report with the forces on both views and the parts that stop-gradients remove."""
    text = (
        r"The negative gradients are forces on the two representations, $g = -\partial L/\partial \hat z_1$ and "
        r"$h = -\partial L/\partial \hat z_2$; their components in mode $m$ follow."
    )
    equations: list[str] = []
    stops = sorted(loss.atoms(StopGradient), key=str)
    if stops:
        text += (
            " Each stop-gradient removes from the whole derivative the part that passes through its argument; the rest "
            "is the force."
        )
    for name, view in (("g", 1), ("h", 2)):
        force, whole, removed = checks.split_gradient(loss, view)
        expected = shared_target(rates.shared_weights(gradients.force(setting.in_eigenbasis(), view)))
        checks.equal(force, expected, "the force is that of the derivation")
        checks.equal(whole, sp.Add(force, *removed.values()), "whole derivative = force + removed parts")
        checks.is_derivative(loss, force, view)
        if any(part != 0 for part in removed.values()):
            equations.append(rf"{name}_m^{{\text{{whole}}}} = {tex(sp.factor_terms(whole))}")
            for number, (stop, part) in enumerate(removed.items(), 1):
                if part != 0:
                    which = f"removed {number}" if len(removed) > 1 else "removed"
                    equations.append(
                        rf"{name}_m^{{\text{{{which}}}}} = {tex(sp.factor_terms(part))} "
                        rf"\qquad\text{{by }} {_stopped(stop)}"
                    )
        equations.append(f"{name}_m = {tex(sp.factor_terms(force))}")
    done = [
        "numerically: equal to a numerical derivative that holds the arguments of stop-gradients constant, three modes"
    ]
    done += ["symbolically: whole derivative = force + removed parts"] if stops else []
    return Step("The gradient", text, tuple(equations), tuple(done))


def _stopped(stop: sp.Expr) -> str:
    """Return the LaTeX of a stop-gradient; if its argument is a component z_m, the vector z is printed instead."""
    indices = {i for indexed in stop.atoms(sp.Indexed) for i in indexed.indices}
    free = indices & stop.free_symbols
    return VectorLatex(*free).doprint(stop)


def representation_steps(setting: SymbolicLoss, loss: sp.Expr) -> list[Step]:
    """Return the step of the report with the representation model of Halvagal, Laborieux and Zenke (2023).

    In this model, gradient descent moves a representation directly, without weights. An empty list is returned if the
    loss is symmetrised, or if the gradient reaches the target branch.
    """
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
            " The force of the standard loss is this force times $\\lambda_m$: in the standard loss the eigenvalues of "
            "the predictor act as learning-rate multipliers, and the isotropic loss removes this factor."
        )
        done.append(r"symbolically: the force of the standard loss is $\lambda_m$ times this force")
    return [Step("The representation model", text, (equation,), tuple(done))]


def network_step(setting: SymbolicLoss, loss: sp.Expr) -> Step:
    """Return the step of the report with the dynamics of the singular values of the linear network."""
    text = (
        r"The weights $W$ are trained: $\mathrm{d}W/\mathrm{d}t = \mathbb{E}[g\, x_1^\top] + \mathbb{E}[h\, x_2^\top] "
        r"- \rho W$, with weight decay $\rho$. In the singular vectors of $W$ the representation of view $i$ is "
        r"$\hat z_{i,m} = w_m \zeta_{i,m}$ in mode $m$. Here $\zeta_{i,m}$, the component of the view along the input "
        r"direction of the mode, is Gaussian and independent for different modes. Flipping the sign of one mode "
        r"changes neither the loss nor the distribution, so $\mathbb{E}[g_k \zeta_m] = 0$ for $k \ne m$. Therefore the "
        r"singular vectors do not change, and each singular value obeys a separate equation, with a rate $r_m$."
    )
    checks.same_when_a_mode_is_flipped(loss)
    contribution = shared_target(rates.shared_weights(invariants.contribution(setting.in_eigenbasis())))
    equations = (
        r"\frac{\mathrm{d}w_m}{\mathrm{d}t} = w_m (r_m - \rho), \qquad "
        r"s_m r_m = \mathbb{E}\left[g_m \hat z_{1,m} + h_m \hat z_{2,m}\right]",
        rf"g_m \hat z_{{1,m}} + h_m \hat z_{{2,m}} = {tex(sp.factor_terms(contribution))}",
    )
    return Step("The linear network", text, equations, ("numerically: the loss is the same with one mode flipped",))
