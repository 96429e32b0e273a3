"""Steps of a report from the loss to the linear network."""

import sympy as sp

from derivations.losses import gradients
from derivations.losses.catalogue import Setting
from derivations.losses.loss import Loss
from derivations.printers.latex import VectorLatex
from derivations.report import checks
from derivations.report.steps import Step, gathered, tex
from derivations.report.summary import shared_target
from derivations.symbols import notation as n
from derivations.symbols.stop_gradient import StopGradient
from derivations.theory import invariants, rates

WHERE = {"target": "on the target branch", "none": "nowhere", "online": "on the online branch"}


def loss_step(setting: Loss) -> Step:
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


def _in_vectors(setting: Loss) -> str:
    """The loss before any basis is chosen: no hats; in the eigenbasis, if W_P does more than predict."""
    if setting.applies_functions:
        return tex(shared_target(setting.in_eigenbasis()))
    text = tex(_with_predictions(setting)).replace(r"\hat ", "")
    return text.replace("p_{1}", "p_1" if setting.symmetrised else "p").replace("p_{2}", "p_2")


def eigenbasis_step(setting: Loss, loss: sp.Expr) -> Step:
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


def gradient_step(setting: Loss, loss: sp.Expr) -> Step:
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


def representation_steps(setting: Loss, loss: sp.Expr) -> list[Step]:
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


def network_step(setting: Loss, loss: sp.Expr) -> Step:
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
