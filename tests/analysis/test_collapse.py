"""Ends of modes predicted from fixed points, against theory section 5 and against flows that are run until steady."""

import numpy as np
import pytest

import dynamics as dyn
from tests.marks import parametrize

OTHERWISE = r"have fixed points that determine .* use `phase_diagram`, or `solve` with until=.steady.\)"
S0, NOISE = np.array([0.0, 0.001, 0.1, 0.5, 2.0]), (0.3, 0.1)
N1, N2 = 1 + NOISE[0] ** 2, 1 + NOISE[1] ** 2
END = 1e5  # of the flows; the slowest mode, of eigenvalue 0.1^2 under a square predictor, needs some 1e4


def predicted(loss, s0=S0, **options):
    return dyn.collapse(dyn.Model(loss, **({"noise": NOISE} | options)), s0)


# --- theory, section 5 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_weight_decay_has_a_basin_of_collapse(alpha):
    rho = 0.05
    prediction = predicted("euclidean", weight_decay=rho, predictor=dyn.ClosedForm(alpha))
    lower, upper = (((1 + sign * np.sqrt(1 - 4 * N1 * rho)) / (2 * N1)) ** (1 / alpha) for sign in (-1, 1))
    np.testing.assert_allclose(prediction.final, np.where(lower < S0, upper, 0), rtol=1e-12)
    assert prediction.outcome == "partial collapse"
    assert prediction.reasons[0] == "zero from the start"
    assert prediction.reasons[1] == f"starts below the boundary {lower:.6g} of the basin"
    assert prediction.reasons[3:] == ("attracted from below", "attracted from above")


def test_beyond_the_fold_all_modes_vanish_and_the_ghost_delays():
    prediction = predicted("euclidean", weight_decay=0.3)
    assert prediction.outcome == "collapse"
    fold = f"no fixed point beyond the fold at weight decay {1 / (4 * N1):.6g}"
    assert prediction.reasons[2] == fold
    assert prediction.reasons[4] == f"{fold}; a ghost of the fixed points at {1 / (2 * N1):.6g} delays the collapse"


def test_isotropic_has_no_basin_of_collapse():
    prediction = predicted("euclidean", S0[1:], isotropic=True, weight_decay=0.2)
    assert prediction.outcome == "equal modes"
    np.testing.assert_allclose(prediction.final, 0.8 / N1, rtol=1e-12)
    assert set(predicted("euclidean", S0[1:], isotropic=True, weight_decay=1.2).reasons) == {"shrinks at any size"}


def test_without_stop_gradient_and_with_noise_all_modes_vanish():
    """No fixed point above zero once n1 n2 > 1; at sigma = 0, lambda = 1 is semi-stable."""
    assert predicted("euclidean", stop_gradient="none").outcome == "collapse"
    np.testing.assert_array_equal(predicted("euclidean", stop_gradient="none", noise=(0, 0)).final, [0, 0, 0, 0, 1])


def test_the_wrong_side_vanishes_below_the_boundary_and_diverges_above():
    """lambda < n2 decays to zero, lambda > n2 diverges."""
    prediction = predicted("euclidean", stop_gradient="online")
    np.testing.assert_array_equal(prediction.final, [0, 0, 0, 0, np.inf])
    assert prediction.outcome == "divergence" and prediction.reasons[4] == f"starts above the boundary {N2:.6g}"


def test_without_predictor_noise_alone_decides():
    """s = s0 e^(-2 sigma1^2 t)."""
    assert predicted("euclidean", predictor=dyn.NoPredictor()).outcome == "collapse"
    still = predicted("euclidean", S0[1:], predictor=dyn.NoPredictor(), noise=(0, 0))
    np.testing.assert_array_equal(still.final, S0[1:])
    assert still.outcome == "unequal modes"


def test_cosine_modes_become_equal():
    """At sum s, or sum s^(1 + alpha) where isotropic; with weight decay at no size."""
    np.testing.assert_allclose(predicted("cosine").final[1:], S0.sum() / 4, rtol=1e-12)
    isotropic = predicted("cosine", isotropic=True)
    np.testing.assert_allclose(isotropic.final[1:], np.sqrt((S0**2).sum() / 4), rtol=1e-12)
    assert predicted("cosine").final[0] == 0 and predicted("cosine", S0[1:]).outcome == "equal modes"
    shrinking = predicted("cosine", weight_decay=0.1)
    assert shrinking.outcome == "collapse" and "this loss does not set the size of modes" in shrinking.reasons[1]
    flow = dyn.solve(shrinking.model, S0[1:], [0.0, 30.0])
    np.testing.assert_allclose(flow.s[1].sum(), S0.sum() * np.exp(-0.2 * 30), rtol=1e-7)
    assert predicted("cosine", [0.0, 0.0]).reasons == ("zero from the start",) * 2


def test_a_mode_may_start_at_a_fixed_point():
    boundary = (1 - np.sqrt(1 - 0.2 * N1)) / (2 * N1)
    prediction = predicted("euclidean", [boundary, 1.0], weight_decay=0.05)
    assert prediction.final[0] == pytest.approx(boundary) and prediction.reasons[0] == "starts at a fixed point"


# --- random models, against the flow --------------------------------------------------------------------------------


def draw(seed):
    """A model whose end is predicted, and a start. Cosine losses have no weight decay: rates grow as s shrinks."""
    rng = np.random.default_rng(seed)

    def sometimes(value):
        return value if rng.random() < 0.6 else 0.0

    kind = rng.choice(["standard", "isotropic", "none", "online", "no predictor", "cosine", "cosine isotropic"])
    options = {
        "noise": (sometimes(rng.uniform(0.05, 0.6)), sometimes(rng.uniform(0.05, 0.6))),
        "weight_decay": 0.0 if kind.startswith("cosine") else sometimes(10 ** rng.uniform(-2.5, 0.3)),
        "symmetrised": bool(rng.random() < 0.3),
    }
    if kind == "no predictor":
        options["predictor"] = dyn.NoPredictor()
    else:
        options["predictor"] = dyn.ClosedForm(float(rng.choice([0.5, 1.0, 2.0])), sometimes(rng.uniform(0.0, 0.1)))
    if kind in ("none", "online"):
        options["stop_gradient"] = str(kind)
    loss = "cosine" if kind.startswith("cosine") else "euclidean"
    model = dyn.Model(loss, isotropic=kind.endswith("isotropic"), **options)
    positive = rng.random(rng.integers(1, 6)) < 0.9
    return model, np.where(positive, 10 ** rng.uniform(-1, 0.5, len(positive)), 0.0)


def disagreement(seed):
    """Prediction and flow where they differ; None where they agree."""
    model, s0 = draw(seed)
    prediction = dyn.collapse(model, s0)
    flow = dyn.solve(model, s0, [0.0, END], until="steady")
    if prediction.outcome == "divergence":
        return None if np.isfinite(flow.blow_up_time) else f"{prediction}\n{flow}"
    # a steady flow has a relative 1e-6 to go; of a mode that shrinks, 1e-12 of the largest are left
    if flow.complete and np.allclose(flow.s[-1], prediction.final, rtol=1e-4, atol=1e-10 * max(s0.max(), 1)):
        return None
    return f"{prediction}\n{flow}"


def explained(seed):
    """The fixed point attracts from one side only, as 1/t: at t = 1e5 some 1e-5 are missing."""
    model, s0 = draw(seed)
    final = dyn.collapse(model, s0).final
    flow = dyn.solve(model, s0, [0.0, END], until="steady")
    marginal = {e.verdict for e in dyn.equilibria(model, s0) if e.surviving} == {"marginal"}
    return marginal and "if it keeps slowing down" in flow.status and np.allclose(flow.s[-1], final, atol=1e-3)


@parametrize("block", range(3), quick=[2])
def test_random_models_end_as_the_flow_does(block):
    disagreements = {seed: disagreement(seed) for seed in range(8 * block, 8 * (block + 1))}
    assert not {seed: text for seed, text in disagreements.items() if text and not explained(seed)}


@pytest.mark.full
def test_two_thousand_random_models_end_as_the_flow_does():
    disagreements = {seed: disagreement(seed) for seed in range(2000)}
    assert not {seed: text for seed, text in disagreements.items() if text and not explained(seed)}


# --- printed, refused -----------------------------------------------------------------------------------------------


def test_print_gives_end_and_reason_of_each_mode():
    lines = str(predicted("euclidean", stop_gradient="online")).splitlines()
    assert lines[0].startswith("Divergence, Model(loss='euclidean'")
    assert lines[1:3] == [
        "  0 vanishes: zero from the start",
        "  0.001 vanishes: starts below the boundary 1.01 of the basin",
    ]
    assert lines[-1] == "  2 diverges: starts above the boundary 1.01"
    assert "  0.5 converges to 0.65025" in str(predicted("cosine"))


@pytest.mark.parametrize(
    "options",
    [
        {"predictor": dyn.Learned()},
        {"predictor": dyn.ClosedForm(normalize=True)},
        {"target": dyn.EMA(0.9)},
        {"inputs": np.eye(5)},
        {"loss": "cosine", "stop_gradient": "none"},
        {"loss": "cosine", "stop_gradient": "online"},
        {"loss": "cosine", "predictor": dyn.NoPredictor()},
    ],
    ids=str,
)
def test_models_whose_end_only_the_flow_decides_are_refused(options):
    other = r"have white inputs, .* use `solve` and `iterate`, from weights\)" if "inputs" in options else OTHERWISE
    with pytest.raises(dyn.ArgumentError, match=other):
        dyn.collapse(dyn.Model(**({"loss": "euclidean"} | options)), S0)


@pytest.mark.parametrize(
    "options",
    [{"predictor": dyn.Learned()}, {"target": dyn.EMA(0.9)}, {"loss": "|p - sg(z2)|^2 / |z1|^2"}],
    ids=str,
)
def test_other_models_have_what_the_message_names(options):
    model = dyn.Model(**({"loss": "euclidean"} | options))
    rate = 0.1 if model.needs_learning_rate else None
    assert dyn.solve(model, [0.2, 0.5], [0.0, 1.0], until="steady", learning_rate=rate).s.shape[-1] == 2
    axes = ("weight_decay", (0.0, 0.3)), ("learning_rate", (0.1, 0.5))
    assert dyn.phase_diagram(model, [0.2, 0.5], *axes, points=2, steps=64, progress=False).model == model


def test_bad_arguments_are_refused():
    with pytest.raises(dyn.ArgumentError, match="`model` must be a Model"):
        dyn.collapse("cosine", S0)
    with pytest.raises(dyn.ArgumentError, match=r"`s0` must have the shape \(M,\)"):
        predicted("cosine", [S0])
