"""Designs: the stated cost is the cost of the descent map, and the network follows the descent map."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import dynamics as dyn
from dynamics.vector_field.eigenmodes import EigenmodeField
from tests.analysis.designs import REST, decaying, designed, euclidean, refused

matplotlib.use("Agg")


def deviation_squared(model, eta=0.005, steps=4000):
    """Stationary variance of s: networks, past its transient (e^-20 of it is left)."""
    rest = dyn.equilibria(model, [1.0])[0].s
    return float(
        dyn.iterate(model, rest, steps, eta, batch_size=10_000, input_dimension=1, record=steps).deviation[-1, 0] ** 2
    )


# --- cost, printed and drawn ----------------------------------------------------------------------------------------

DESIGNS = {
    "uniform": lambda: designed(dyn.FastestUniform(0.4)),
    "uniform, DirectPred": lambda: designed(dyn.FastestUniform(0.4), euclidean(0.5)),
    "rate": lambda: designed(dyn.RateFunction("lambda^2 * (1 - lambda/rest)")),
    "simultaneous": lambda: designed(dyn.SimultaneousArrival(10.0, spread=0.3)),
    "threshold": lambda: designed(dyn.ThresholdRecruitment(0.1), euclidean(weight_decay=0.05)),
    "threshold, strong decay": lambda: designed(dyn.ThresholdRecruitment(0.1), euclidean(weight_decay=0.15)),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.long
def test_noise_is_the_ratio_of_stationary_variances(name):
    """Ratio of the variances of networks: each by 20 000 samples, 2 %; and eta/2 of the edge."""
    design = DESIGNS[name]()
    ratio = deviation_squared(design.model) / deviation_squared(euclidean_of(design))
    assert design.noise == pytest.approx(ratio, rel=0.04)


def euclidean_of(design):
    p = design.model
    return dyn.Model("euclidean", predictor=p.predictor, noise=p.noise, weight_decay=p.weight_decay)


@pytest.mark.parametrize("name", DESIGNS)
def test_limits_are_those_of_rates_gains_and_multipliers(name):
    design = DESIGNS[name]()
    s = np.geomspace(*design.between, 3001)
    alpha = design.model.predictor.alpha
    rates = EigenmodeField(design.model).of_eigenvalues(s[:, None])[:, 0]
    gains = rates / (1 - s**alpha / REST)
    assert design.fastest == pytest.approx(np.abs(rates).max(), rel=1e-3)  # on grids of 400 and of 3 001 points
    assert design.smallest_gain == pytest.approx(gains.min(), rel=1e-3)
    rest = dyn.equilibria(design.model, [1.0])[0]
    for share, stable in ((0.999, True), (1.001, False)):
        assert (np.abs(rest.multipliers(share * design.largest_learning_rate)).max() < 1) == stable


@pytest.mark.parametrize("name", DESIGNS)
def test_the_loss_as_one_expression_has_the_same_dynamics(name):
    design = DESIGNS[name]()
    plain = euclidean_of(design)
    written_out = dyn.Model(design.loss, predictor=plain.predictor, noise=plain.noise, weight_decay=plain.weight_decay)
    s = np.geomspace(0.01, 2, 20)
    np.testing.assert_allclose(
        EigenmodeField(written_out).of_eigenvalues(s[:, None]),
        EigenmodeField(design.model).of_eigenvalues(s[:, None]),
        rtol=1e-12,
        atol=1e-13,
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_print_and_plot_show_the_cost_and_the_rates(name):
    design = DESIGNS[name]()
    lines = str(design).splitlines()
    assert len(lines) < 24
    assert lines[0].startswith(f"Design for {type(design.target).__name__}(")
    assert f"{design.largest_learning_rate:.4g}" in str(design) and f"{design.noise:.3g} times" in str(design)
    assert repr(design).startswith("<Design: ")
    ax = design.plot()
    assert [line.get_label() for line in ax.lines][:3] == ["standard", "isotropic", "designed"]
    s, drawn = ax.lines[2].get_data()
    np.testing.assert_allclose(drawn, design.rate(s) - design.model.weight_decay, rtol=1e-12)
    plt.close(ax.figure)


def test_a_gain_that_climbs_the_loss_has_a_remark():
    design = designed(dyn.RateFunction("(lambda - rest/10) * (1 - lambda/rest)"))
    assert design.smallest_gain == pytest.approx(0.01 - REST / 10, rel=1e-9)
    assert any("increase the loss" in remark for remark in design.remarks)
    assert "increase the loss" in str(design)


def test_modes_that_are_pushed_away_have_no_stable_fixed_point():
    design = designed(dyn.RateFunction("lambda/rest - 1"))
    assert design.largest_learning_rate == 0
    assert np.isnan(design.noise)
    assert "no fixed point at which modes survive is stable" in design.remarks


# --- refused --------------------------------------------------------------------------------------------------------

UNIFORM = dyn.FastestUniform(0.1)
PLAIN = "have the Euclidean loss without gain"
PARTS = "have a predictor ClosedForm(alpha) and a shared target"
SINGLE = "have plain numbers as parameters"
STOPPED = "have the stop-gradient on the target and not be isotropic"
ENDS, ABOVE_ZERO = "be a range: two ascending numbers (low, high)", "be a range of eigenvalues above zero"


CASES = {
    "decay for another target": (refused(UNIFORM, decaying), "model", "have no weight decay for FastestUniform"),
    "no target": (refused("fast"), "target", "be a design target, one of RateFunction, ArrivalTimes"),
    "no model": (refused(UNIFORM, lambda: "euclidean"), "model", "be a Model"),
    "cosine": (refused(UNIFORM, lambda: dyn.Model("cosine")), "model", PLAIN),
    "gained": (refused(UNIFORM, lambda: dyn.Model("euclidean", gain="1")), "model", PLAIN),
    "user-defined loss": (refused(UNIFORM, lambda: dyn.Model(dyn.Loss.parse("|p - z2|^2 / 2"))), "model", PLAIN),
    "symmetrised": (refused(UNIFORM, lambda: euclidean(symmetrised=True)), "model", PLAIN),
    "isotropic": (refused(UNIFORM, lambda: euclidean(isotropic=True)), "model", STOPPED),
    "no stop-gradient": (refused(UNIFORM, lambda: euclidean(stop_gradient="none")), "model", STOPPED),
    "ensemble": (refused(UNIFORM, lambda: euclidean(noise=([0.1, 0.2], 0.0))), "model", SINGLE),
    "tracked": (
        refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(tracking=0.5))),
        "model",
        PARTS,
    ),
    "epsilon": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(1, 0.5))), "model", PARTS),
    "no predictor": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.NoPredictor())), "model", PARTS),
    "normalized": (
        refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.ClosedForm(normalize=True))),
        "model",
        PARTS,
    ),
    "learned": (refused(UNIFORM, lambda: dyn.Model("euclidean", predictor=dyn.Learned())), "model", PARTS),
    "EMA": (refused(UNIFORM, lambda: euclidean(target=dyn.EMA(0.5))), "model", PARTS),
    "inputs": (refused(UNIFORM, lambda: euclidean(inputs=np.eye(3))), "model", "have white inputs"),
    "ends descend": (refused(UNIFORM, between=(0.5, 0.1)), "between", ENDS),
    "ends text": (refused(UNIFORM, between="ab"), "between", ENDS),
    "from zero": (refused(UNIFORM, between=(0.0, 0.1)), "between", ABOVE_ZERO),
    "values that descend": (refused(UNIFORM, between=(0.1, 0.3, 0.2)), "between", ENDS),
    "one end": (refused(UNIFORM, between=0.1), "between", ENDS),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_arguments_and_impossible_targets_are_refused(case):
    call, name, requirement = CASES[case]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert str(error.value).startswith(f"Argument `{name}` must {requirement}")


# --- networks -------------------------------------------------------------------------------------------------------


def weights(s, inputs, seed=0):
    """With eigenvalues s, in a basis of its own."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (len(s), inputs))
    return (U * np.sqrt(s)) @ V[: len(s)]


TRAINED = {  # starts, learning rate, steps
    "simultaneous": ([0.02, 0.05, 0.12, 0.3], 0.05, 200),
    "threshold": ([0.04, 0.06, 0.2, 0.4], 0.05, 300),  # not next to the threshold, 0.1
    "uniform": ([0.05, 0.1, 0.2, 0.4], 0.04, 80),  # its first steps are large: at 0.1 sampling alone is 0.8 %
}


@pytest.mark.full
@pytest.mark.parametrize("name", TRAINED)
def test_networks_stay_within_one_percent_of_the_descent_map(name, record_property):
    s0, eta, steps = TRAINED[name]
    model = DESIGNS[name]().model
    map_ = dyn.iterate(model, s0, steps, eta)
    net = dyn.train(model, weights(s0, 6), steps, eta, batch_size=50_000)
    worst = dyn.compare(map_, net).max_relative(above=1e-3)
    record_property("worst", worst)
    assert worst < 0.01


def test_a_small_network_follows_the_descent_map():
    """Within five of the sampling errors that theory predicts."""
    s0, eta, _ = TRAINED["threshold"]
    model = DESIGNS["threshold"]().model
    map_ = dyn.iterate(model, s0, 40, eta)
    design = dyn.compare(map_, dyn.train(model, weights(s0, 6), 40, eta, batch_size=5_000))
    assert map_.s[-1][0] < 0.9 * s0[0] and map_.s[-1][2] > 1.5 * s0[2]
    assert np.abs(design.z).max() < 5
