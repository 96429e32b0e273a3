"""The other dynamical variables, target, learned predictor and averages, against section 6 of the theory."""

import pytest
import sympy as sp

from derivations.losses import gradients
from derivations.losses.catalogue import Setting, catalogue
from derivations.symbols import notation as n
from derivations.theory import rates

lam, s, ratio = n.lam[n.m], n.s[n.m], n.ratio[n.m]
n1 = 1 + n.sigma1**2
w, v = sp.symbols("w v", positive=True)


def with_noise(expression):
    return sp.expand(expression).subs({n.n1: n1, n.n2: 1 + n.sigma2**2})


def test_euclidean_encoder_with_a_target_of_its_own():
    """dw/dt = -lambda (n1 lambda w - v)."""
    rate = rates.rates(Setting("euclidean").in_eigenbasis())
    flow = rates.flow(rates.encoder_step()).subs({rates.rate: rate, rates.w: w, n.rho: 0})
    assert sp.expand(with_noise(flow).subs(ratio, v / w) + lam * (n1 * lam * w - v)) == 0


def test_isotropic_encoder_with_a_target_of_its_own():
    """The same without the leading lambda."""
    rate = rates.rates(Setting("euclidean", isotropic=True).in_eigenbasis())
    assert sp.expand(with_noise(rate) - (ratio - n1 * lam)) == 0


def test_encoder_without_predictor_follows_a_target_of_its_own():
    """dw/dt = -(n1 w - v): W_P = 1."""
    rate = rates.rates(Setting("euclidean", predictor=False).in_eigenbasis())
    assert sp.expand(with_noise(rate) * w - (v - n1 * w)).subs(ratio, v / w).expand() == 0


def test_average_relaxes_at_the_rate_of_its_decay():
    """dv/dt = beta (w - v), beta = (1 - tau)/eta, and v <- tau v + (1 - tau) w."""
    beta = (1 - n.decay) / n.eta
    assert sp.simplify(rates.average_velocity() - beta * (rates.x - rates.average)) == 0
    assert sp.expand(rates.average_step() - n.decay * rates.average - (1 - n.decay) * rates.x) == 0


def test_a_buffer_at_rest_is_the_gradient_over_one_minus_mu():
    """b = mu b + g has the solution b = g/(1 - mu)."""
    assert sp.expand(rates.momentum_step() - n.momentum * rates.buffer - rates.x) == 0
    (at_rest,) = sp.solve(rates.momentum_step() - rates.buffer, rates.buffer)
    assert sp.simplify(at_rest - rates.x / (1 - n.momentum)) == 0


@pytest.mark.parametrize("separate_target", [False, True])
def test_learned_predictor_of_the_euclidean_loss(separate_target):
    """dp/dt = -a_P s (n1 p - 1) - rho p; with a target of its own, 1 is v/w."""
    force = rates.predictor_force(Setting("euclidean").in_eigenbasis())
    flow = rates.flow(rates.predictor_step()).subs(rates.force, force)
    flow, pull = (flow, ratio) if separate_target else (rates.shared_weights(flow), 1)
    assert sp.expand(with_noise(flow) + n.rate_ratio * s * (n1 * lam - pull) + n.rho * lam) == 0


def test_invariant_of_the_learned_predictor():
    """d/dt (s - p^2/a_P) = -2 rho (s - p^2/a_P)."""
    loss = Setting("euclidean").in_eigenbasis()
    s_flow = rates.velocity().subs(rates.rate, rates.shared_weights(rates.rates(loss)))
    p_flow = rates.shared_weights(rates.flow(rates.predictor_step()).subs(rates.force, rates.predictor_force(loss)))
    invariant = s - lam**2 / n.rate_ratio
    assert sp.expand(s_flow - 2 * lam * p_flow / n.rate_ratio + 2 * n.rho * invariant) == 0


def test_learned_predictor_of_the_cosine_loss():
    """f = A - lambda B, and s r = lambda f: the loss sees only the product W_P W."""
    loss = Setting("cosine").in_eigenbasis()
    (rate,), (force,) = rates.rates(loss), rates.predictor_force(loss)
    assert rate.tilt == force.tilt
    assert sp.expand(s * rate.integrand - lam * force.integrand) == 0


@pytest.mark.parametrize("setting", catalogue(), ids=lambda setting: setting.name)
def test_which_targets_and_predictors_are_free(setting):
    """A target may be free where no gradient reaches it; a predictor is trained where one does."""
    loss = setting.in_eigenbasis()
    assert gradients.has_free_target(loss) == (setting.stop_gradient == "target")
    reached = setting.predictor and not setting.isotropic and setting.stop_gradient != "online"
    assert setting.trains_predictor == reached
    if not setting.isotropic:
        assert (gradients.force_on_predictor(loss) != 0) == reached


def test_predictors():
    largest = rates.Largest(n.s[n.k])
    assert rates.predictor() == (s + n.epsilon) ** n.alpha
    assert rates.normalized_predictor() == (s / largest + n.epsilon) ** n.alpha
