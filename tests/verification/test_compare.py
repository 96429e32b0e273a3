"""Theory against network: the report, the predicted sampling error against many seeds, and what cannot be compared."""

import re
from dataclasses import replace
from functools import cache

import matplotlib
import numpy as np
import pytest

import dynamics as dyn
from dynamics.solvers.problem import MOST_FLUCTUATING, MOST_WEIGHTS
from dynamics.verification import compare
from dynamics.verification.comparison import Comparison
from dynamics.verification.theories import common_times
from tests.marks import parametrize

matplotlib.use("Agg")

SEEDS, STEPS, RATE = 256, 60, 0.02
S0 = np.array([0.2, 0.5, 1.0, 1.8])
MODELS = {"euclidean": dyn.Model("euclidean", noise=(0.0, 0.1)), "cosine": dyn.Model("cosine", noise=(0.0, 0.1))}
CASES = {"euclidean": ("euclidean", RATE), "cosine": ("cosine", RATE), "euclidean, all converged": ("euclidean", 0.1)}


@cache
def theory(loss="cosine", rate=RATE, **options):
    return dyn.iterate(MODELS[loss], S0, STEPS, rate, **options)


@cache
def networks(loss="cosine", rate=RATE):
    """Networks that start from the same weights, with W W^T = diag(S0): their eigenvectors are the unit vectors."""
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 4)))[0].T
    W0 = np.sqrt(S0)[:, None] * directions
    return dyn.train(MODELS[loss], W0, STEPS, rate, batch_size=2000, seed=range(SEEDS))


def modes(trained):
    """The diagonal of W W^T: u . C u along the first eigenvectors."""
    return (trained.weights.astype(float) ** 2).sum(axis=-1)


def of_seeds(trained, chosen):
    """The networks of some seeds only."""
    return replace(trained, s=trained.s[chosen], weights=trained.weights[chosen])


def comparison(step, expected, measured, error):
    """A comparison made by hand, in which modes are the eigenvalues."""
    return Comparison(step, 0.1 * step, expected, measured, expected, measured, lambda: error, "by hand")


@cache
def compared(seeds):
    """A comparison with one network, or with several."""
    return dyn.compare(theory(), of_seeds(networks(), 0 if seeds == 1 else slice(seeds)))


# --- the sampling error ---------------------------------------------------------------------------------------------


@parametrize("case", CASES, quick=["cosine"])
def test_predicted_deviation_is_the_spread_over_seeds(case):
    trained = networks(*CASES[case])
    predicted = theory(*CASES[case], batch_size=2000, input_dimension=6).deviation
    ratio = modes(trained).std(axis=0, ddof=1)[1:] / predicted[1:]
    # A standard deviation from 256 seeds has a relative standard error of 1/sqrt(2 * 255) = 4.4 %: 4 of them, as there
    # are 240 entries, and 3 % for terms beyond first order in 1/2000 and the samples of the prediction.
    assert ratio.min() > 0.8 and ratio.max() < 1.2


@parametrize("case", CASES, quick=["cosine"])
def test_right_theory_is_within_two_sampling_errors_in_95_percent(case):
    trained, expected = networks(*CASES[case]), theory(*CASES[case])
    predicted = theory(*CASES[case], batch_size=2000, input_dimension=6).deviation
    fractions = [comparison(trained.step, expected.s, measured, predicted).within(2) for measured in modes(trained)]
    # At least 256 independent entries (those of one step): standard error sqrt(0.95 * 0.05 / 256) = 1.4 %; 3.5 of them.
    # The predicted deviation's own error, the same for all seeds, is part of the test above.
    assert 0.9 < np.mean(fractions) < 0.995


def test_right_theory_passes_with_one_network():
    # Four modes, strongly correlated in time: with some dozens of independent entries, |z| > 4 is a chance of 1 in 300.
    assert np.abs(compared(1).z[1:]).max() < 4


def test_right_theory_passes_with_eight_networks():
    # Student's t with 7 degrees of freedom, some dozens of independent entries: |z| > 8 is a chance of 1 in 300.
    assert np.abs(compared(8).z[1:]).max() < 8


@pytest.mark.parametrize("seeds", [1, 8])
def test_wrong_theory_is_detected(seeds):
    """Mean field in place of the exact closure, with four modes."""
    wrong = dyn.compare(theory(closure="mean_field"), of_seeds(networks(), 0 if seeds == 1 else slice(seeds)))
    assert np.abs(wrong.z[-1]).max() > 10
    assert wrong.within(2) < 0.5
    assert wrong.max_relative() > 5 * compared(seeds).max_relative()


@pytest.mark.parametrize(
    ("seeds", "source"),
    [
        (1, "from theory (first order in 1/batch size)"),
        (2, "from theory (first order in 1/batch size)"),
        (8, "from 8 seeds"),
    ],
)
def test_source_of_the_sampling_error(seeds, source):
    assert compared(seeds).source == source


def test_two_networks_have_the_sampling_error_of_their_mean():
    # Both predict with the same Monte Carlo samples: only rounding can differ.
    np.testing.assert_allclose(compared(2).sampling_error, compared(1).sampling_error / np.sqrt(2), rtol=1e-12)


def test_sampling_error_of_eight_networks_is_their_standard_error():
    measured = modes(networks())[:8]
    np.testing.assert_array_equal(compared(8).network, networks().s[:8].mean(axis=0))
    # Rounding of the first eigenvectors, which are those of weights in single precision: eps = 1.2e-7.
    np.testing.assert_allclose(compared(8).network_modes, measured.mean(axis=0), rtol=1e-6)
    error = measured.std(axis=0, ddof=1) / np.sqrt(8)
    np.testing.assert_allclose(compared(8).sampling_error[1:], error[1:], rtol=1e-3)  # 1e-6 of s, which is 1e3 errors


@pytest.mark.long
def test_deviation_where_the_predictor_divides_by_the_largest_of_equal_eigenvalues():
    """A kink of the map: its slope is the mean over fluctuations. Standard error of 64 seeds: 9 %, about 4 of them."""
    predictor = dyn.ClosedForm(0.5, 0.1, normalize=True, tracking=0.8)
    model, W0 = (
        dyn.Model("euclidean", noise=(0.3, 0.1), predictor=predictor),
        np.random.default_rng(1).normal(0, 0.35, (3, 5)),
    )
    gd = dyn.iterate(
        model, np.linalg.svd(W0, compute_uv=False)[::-1] ** 2, 80, 0.1, batch_size=1000, input_dimension=5, record=20
    )
    net = dyn.train(model, W0, 80, 0.1, batch_size=1000, record=20, seed=range(64))
    assert gd.s[-1].max() / gd.s[-1].min() < 1.01
    np.testing.assert_allclose(net.modes.std(axis=0, ddof=1)[1:] / gd.deviation[1:], 1, atol=0.35)


@pytest.mark.parametrize("seeds", [1, 8])
def test_rounding_of_the_start_is_no_deviation(seeds):
    """At step 0 nothing has been sampled: network and theory differ by the rounding of the weights alone."""
    assert np.abs(compared(seeds).z[0]).max() < 1


# --- what is compared -----------------------------------------------------------------------------------------------


def test_numbers_of_a_comparison():
    expected, measured = np.array([[1.0, 2], [1, 4]]), np.array([[1.0, 2], [1.5, 3]])
    made = comparison(np.array([0, 5]), expected, measured, np.full((2, 2), 0.25))
    assert made.deviation.tolist() == [[0, 0], [0.5, -1]]
    assert made.relative.tolist() == [[0, 0], [0.5, -0.25]]
    assert made.z.tolist() == [[0, 0], [2, -4]]
    assert (made.max_relative(), made.max_relative(above=1)) == (0.5, 0.25)
    assert (made.within(1), made.within(2), made.within(4)) == (0, 0.5, 1)


def test_modes_keep_their_identity_where_eigenvalues_cross():
    """All deviations are those of modes, not of sorted eigenvalues."""
    step = np.array([0, 1])
    crossing, sorted_ones = np.array([[1.0, 2], [3, 1]]), np.array([[1.0, 2], [1, 3]])
    made = Comparison(
        step, 0.1 * step, sorted_ones, sorted_ones, crossing, crossing + 0.5, lambda: np.full((2, 2), 0.25), ""
    )
    assert made.z.tolist() == [[0, 0], [2, 2]]
    assert made.deviation.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert made.relative[1].tolist() == [0.5 / 3, 0.5] and made.max_relative() == 0.5
    assert made.max_relative(above=1) == 0.25


def shift(steps):
    """Change of the mean that is predicted for the networks' batch size and inputs, at some steps."""
    options = {"batch_size": 2000, "input_dimension": 6, "rtol": 1e-6}
    predicted = dyn.iterate(MODELS["cosine"], networks().s[0, 0], steps[-1], RATE, record=steps, **options)
    return predicted.s - predicted.population


@pytest.mark.parametrize(
    ("predictor", "s0"),
    [(dyn.ClosedForm(), [0.1, 0.1, 0.1]), (dyn.Learned(0.7, [0.2, 0.5, 1.0]), [0.3, 0.1, 0.2])],
    ids=["equal at first", "learned"],
)
def test_modes_of_views_are_those_of_the_inputs(predictor, s0):
    """Also if their initial eigenvalues are equal, or if those of the predictor differ."""
    views = dyn.Views.modes([1.0, 1.5, 1.0], [1.0, 1.0, 0.5], [1.0, 1.5, 1.0])
    model = dyn.Model("euclidean", views=views, predictor=predictor)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    W0 = rotation * np.sqrt(np.array(s0) / views.cross)
    network = dyn.train(model, W0, 60, 0.1, batch_size=20_000, seed=range(12), record=20, progress=False)
    report = dyn.compare(dyn.iterate(model, s0, 60, 0.1, record=20), network)
    deviation = np.abs(report.network_modes - report.theory_modes)
    # Student's t with 11 degrees of freedom exceeds 8 with a chance of 1e-5. Rounding is that of single precision.
    assert (deviation < 8 * report.sampling_error + 1e-5 * report.theory_modes).all()
    assert np.ptp(report.theory_modes[-1]) > 0.3 and (report.sampling_error < 0.02 * report.theory_modes).all()


def test_common_steps_are_compared():
    sparse = dyn.iterate(MODELS["cosine"], S0, STEPS, RATE, record=25)
    result = dyn.compare(sparse, of_seeds(networks(), 0))
    assert result.step.tolist() == [0, 25, 50, 60]
    np.testing.assert_allclose(result.theory, sparse.s + shift([0, 25, 50, 60]), rtol=1e-12)
    np.testing.assert_array_equal(result.network, networks().s[0, [0, 25, 50, 60]])


def test_flow_is_compared_at_common_times():
    times = RATE * np.array([0, 0.5, 10, 20.25, 40, 70])
    flow = dyn.solve(MODELS["cosine"], S0, times)
    result = dyn.compare(flow, of_seeds(networks(), 0))
    assert result.step.tolist() == [0, 10, 40]
    np.testing.assert_allclose(result.theory, flow.s[[0, 2, 4]] + shift([0, 10, 40]), rtol=1e-12)
    np.testing.assert_array_equal(result.network, networks().s[0, [0, 10, 40]])


def test_networks_with_momentum_and_schedules_are_compared_over_seeds():
    model, W0 = dyn.Model("euclidean", noise=(0.1, 0.2)), np.diag([0.5, 0.8])
    options = {"steps": 10, "learning_rate": 0.1 * 0.9 ** np.arange(10), "momentum": 0.5}
    network = dyn.train(model, W0, batch_size=500, seed=range(8), progress=False, **options)
    report = dyn.compare(dyn.iterate(model, [0.25, 0.64], **options), network)
    assert report.source == "from 8 seeds" and report.reliable is None and report.max_relative() < 0.03
    few = dyn.compare(dyn.iterate(model, [0.25, 0.64], **options), of_seeds(network, slice(2)))
    with pytest.raises(dyn.ArgumentError, match=r"at least 3 seeds, .* up to the last step \(momentum\)"):
        few.within()
    flow = dyn.solve(model, [0.25, 0.64], network.t)
    slow = dyn.train(model, W0, 10, options["learning_rate"], batch_size=500, seed=range(8), progress=False)
    assert dyn.compare(flow, slow).t.tolist() == network.t.tolist()
    with pytest.raises(dyn.ArgumentError, match=r"at least 3 seeds, .* up to the last step \(schedules\)"):
        dyn.compare(flow, of_seeds(slow, 0)).within()


def test_print_states_how_many_times_are_common_and_what_to_do_if_there_could_be_more():
    network, remedy = of_seeds(networks(), 0), "times of the other (times), or record the same steps (record)"
    few = str(dyn.compare(dyn.solve(MODELS["cosine"], S0, RATE * np.linspace(0, 60, 8)), network))
    assert "2 of 8 (theory), 2 of 61 (network)" in few and remedy in " ".join(few.split())
    sparse = str(dyn.compare(dyn.iterate(MODELS["cosine"], S0, STEPS, RATE, record=25), network))
    assert "4 of 4 (theory), 4 of 61 (network)" in sparse and "for more" not in sparse
    assert "common times" not in str(compared(1))
    flows = [dyn.solve(MODELS["cosine"], S0, times) for times in ([0, 1, 2], [0, 1, 1.5, 2.5])]
    assert "2 of 3 (flow (first)), 2 of 4 (flow (second))" in str(dyn.compare(*flows))


def test_theory_is_matched_in_ascending_order():
    mixed = dyn.iterate(MODELS["cosine"], S0[[2, 0, 3, 1]], STEPS, RATE)
    result = dyn.compare(mixed, of_seeds(networks(), 0))
    # Rounding of the quadrature's sums, taken in another order.
    np.testing.assert_allclose(result.theory, compared(1).theory, rtol=1e-9)


def a_network(**changes):
    given = {"model": dyn.Model("euclidean"), "W0": np.eye(2, 3), "steps": 4, "learning_rate": 0.1, "batch_size": 10}
    return dyn.train(**(given | changes))


def a_theory(**changes):
    given = {"model": dyn.Model("euclidean"), "s0": [1.0, 1.0], "steps": 4, "learning_rate": 0.1}
    return dyn.iterate(**(given | changes))


REFUSED = {
    "another loss": (
        lambda: (a_theory(model=dyn.Model("cosine")), a_network()),
        "network",
        "have the same model as the theory",
    ),
    "another weight decay": (
        lambda: (a_theory(), a_network(model=dyn.Model("euclidean", weight_decay=0.1))),
        "network",
        "have the same model as the theory",
    ),
    "another exponent": (
        lambda: (a_theory(), a_network(model=dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5)))),
        "network",
        "have the same model as the theory",
    ),
    "another learning rate": (
        lambda: (a_theory(learning_rate=0.2), a_network()),
        "network",
        "be trained with learning_rate=0.2, for which the theory was computed, but is 0.1",
    ),
    "theory with momentum": (
        lambda: (a_theory(momentum=0.9), a_network()),
        "network",
        "be trained with momentum=0.9, for which the theory was computed, but is None",
    ),
    "network with momentum": (
        lambda: (a_theory(), a_network(momentum=0.9)),
        "network",
        "be trained without momentum, for which the theory was computed, but is 0.9",
    ),
    "network with a schedule": (
        lambda: (a_theory(), a_network(schedules={"weight_decay": [0.0, 0.1, 0.2, 0.3]})),
        "network",
        "be trained without schedules, for which the theory was computed, but is {'weight_decay': [0.0, 0.1, ",
    ),
    "another schedule": (
        lambda: (a_theory(learning_rate=[0.1, 0.2, 0.3, 0.4]), a_network(learning_rate=[0.1, 0.2, 0.3, 0.3])),
        "network",
        "be trained with learning_rate=[0.1, 0.2, 0.3, 0.4], for which the theory was computed",
    ),
    "flow and momentum": (
        lambda: (dyn.solve(dyn.Model("euclidean"), [1.0, 1.0], [0.0, 0.1]), a_network(momentum=0.9)),
        "network",
        "be trained without momentum to be compared with a flow, whose time is that of steps without momentum",
    ),
    "other modes": (lambda: (a_theory(s0=[1.0]), a_network()), "network", "have 1 mode, as many as"),
    "no common time": (
        lambda: (dyn.solve(dyn.Model("euclidean"), [1.0, 1.0], [0.05, 0.15]), a_network()),
        "theory",
        "contain at least one step that the network has recorded (for a flow: the time of such a step)",
    ),
    "two networks": (lambda: (a_network(), a_network()), "theory", "be one trajectory from solve or iterate"),
    "selected modes": (
        lambda: (a_theory().select(modes=[0]), a_network().select(modes=[0])),
        "network",
        "have all its modes, because theory starts from the weights of all modes (compare the whole network",
    ),
    "ensemble of theories": (
        lambda: (a_theory(), a_theory(s0=np.ones((3, 2)))),
        "network",
        "be one trajectory from solve or iterate",
    ),
    "theories with other modes": (lambda: (a_theory(), a_theory(s0=[1.0])), "network", "have 2 modes, as many as"),
    "theories without a common time": (
        lambda: (dyn.solve(dyn.Model("euclidean"), [1.0, 1.0], [0.0, 0.05, 0.15]), a_theory()),
        "network",
        "compute the flow at the times of the descent map, `dyn.solve(model, s0, descent.t)`",
    ),
    "an ensemble": (lambda: (a_theory(s0=np.ones((3, 2))), a_network()), "theory", "be one trajectory"),
    "no trajectory": (lambda: ("theory.npz", a_network()), "theory", "be one trajectory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused(case):
    make, argument, message = REFUSED[case]
    with pytest.raises(dyn.ArgumentError) as raised:
        dyn.compare(*make())
    assert f"Argument `{argument}` must" in str(raised.value) and message in str(raised.value)


# --- printed and drawn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 8])
def test_print_shows_the_last_step_on_one_screen(seeds):
    result = compared(seeds)
    lines = str(result).splitlines()
    assert len(lines) < 25 and max(map(len, lines)) <= 120
    assert lines[0] == "Network against theory at 61 steps (0 ... 60)"
    assert result.source in lines[2]
    assert lines[3].split(maxsplit=1) == ["modes", "variances along the initial eigenvectors, not sorted eigenvalues"]
    row = r"mode (\S+) at the end +theory (\S+), +network (\S+), +deviation (\S+) \+- (\S+)"
    rows = np.array([re.fullmatch(row, line.strip()).groups() for line in lines[4:]], float)
    assert rows[:, 0].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(rows[:, 1], result.theory_modes[-1], rtol=5e-5)  # five printed digits
    relative = result.network_modes[-1] / result.theory_modes[-1] - 1
    np.testing.assert_allclose(rows[:, 3], relative, rtol=5e-3)  # three printed digits
    assert repr(result) == "<Comparison: network against theory, 61 steps, 4 modes>"


def test_printed_deviations_are_those_of_one_quantity():
    """The largest deviation, at the last step, is also that of the row of its mode; sorted eigenvalues differ."""
    last = np.array([1, 2])
    modes, sorted_ones = np.array([[1.0, 2], [4, 3]]), np.array([[1.0, 2], [3, 4]])
    made = Comparison(
        last - 1, 0.1 * last - 0.1, modes, sorted_ones, modes, modes * [[1, 1], [1.1, 0.8]], lambda: modes, ""
    )
    largest, mode, step = re.search(r"largest relative deviation +(\S+) \(mode (\d), step (\d)\)", str(made)).groups()
    rows = dict(re.findall(r"mode (\d) at the end .* deviation (\S+)", str(made)))
    assert (largest, mode, step) == ("2.00e-01", "2", "1") and rows == {"1": "+1.00e-01", "2": "-2.00e-01"}


@pytest.mark.parametrize("values", [[4.2895e-05, 0.5], [4.2895e-105, 4.2895e-05], [1.0, 0.5]])
def test_columns_of_printed_modes_are_apart(values):
    theory = np.array([values, values])
    made = comparison(np.array([0, 1]), theory, theory * [[1], [1.1]], theory / 10)
    rows = [line for line in str(made).splitlines() if "at the end" in line]
    assert len({tuple(row.find(word) for word in (" network ", " deviation ")) for row in rows}) == 1
    assert all(re.search(r"theory \S+, +network \S+, +deviation ", row) for row in rows)


def test_one_is_no_plural():
    made = comparison(np.array([0]), np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    assert made.headline == "network against theory, 1 step, 1 mode"


def test_print_states_from_which_step_the_prediction_is_unreliable():
    result = replace(compared(1), reliable=np.arange(61) < 7)
    assert "unreliable from step 7 on" in str(result) and "unreliable" not in str(
        replace(result, reliable=np.ones(61, bool))
    )


# --- nothing to sample, nothing to compare --------------------------------------------------------------------------


def test_what_has_no_sampling_error_agrees_to_rounding():
    """Without predictor and noise the Euclidean gradient vanishes; a collapsed mode has no relative deviation."""
    still = dyn.Model("euclidean", predictor=dyn.NoPredictor(), weight_decay=0.1)
    W0 = np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    report = dyn.compare(dyn.iterate(still, [0.0, 0.25], 5, 0.1), dyn.train(still, W0, 5, 0.1, batch_size=10))
    assert report.within(2) == 1 and (report.z == 0).all()
    assert report.max_relative() < 1e-5
    assert "100 % of entries" in str(report) and "nan" not in str(report)
    report.plot()


def test_theory_that_ends_before_its_first_time_is_refused():
    wrong = dyn.Model("euclidean", stop_gradient="online")
    gone = dyn.solve(wrong, [3.0, 4.0], [10.0])
    net = dyn.train(wrong, np.diag(np.sqrt([3.0, 4.0])), 1, 0.001, batch_size=10)
    with pytest.raises(dyn.ArgumentError, match="`theory` must contain at least one recorded time"):
        dyn.compare(gone, net)


def test_relu_networks_need_seeds_for_their_sampling_error():
    net = dyn.train(MODELS["cosine"], np.eye(4, 6), 2, 0.1, batch_size=50, units="relu", seed=[0, 1])
    gd = dyn.iterate(MODELS["cosine"], np.ones(4), 2, 0.1)
    with pytest.raises(
        dyn.ArgumentError, match="at least 3 seeds, because theory does not predict the sampling error for relu units"
    ):
        dyn.compare(gd, net)


def test_theory_for_another_batch_size_is_refused():
    net = dyn.train(MODELS["cosine"], np.eye(4, 6), 2, 0.1, batch_size=50)
    gd = dyn.iterate(MODELS["cosine"], np.ones(4), 2, 0.1, batch_size=60, input_dimension=4)
    with pytest.raises(
        dyn.ArgumentError, match="`network` must be trained with batch_size=60, for which the theory was computed, but"
    ):
        dyn.compare(gd, net)


def test_fluctuations_that_end_before_the_network_are_refused(monkeypatch):
    def cut_short(*arguments, **options):
        return dyn.iterate(MODELS["cosine"], S0, STEPS // 2, RATE, batch_size=2000, input_dimension=6)

    monkeypatch.setattr(compare, "iterate", cut_short)
    with pytest.raises(
        dyn.ArgumentError,
        match="`network` must be trained with at least 3 seeds, because theory does not predict the fluctuations",
    ):
        _ = compared.__wrapped__(1).sampling_error


def test_more_modes_than_are_predicted_need_seeds():
    model, s0 = dyn.Model("euclidean"), np.linspace(0.1, 1, MOST_FLUCTUATING + 1)
    net = dyn.train(model, np.diag(np.sqrt(s0)), 1, 0.1, batch_size=10)
    comparison = dyn.compare(dyn.iterate(model, s0, 1, 0.1), net)
    assert comparison.reliable is None
    with pytest.raises(
        dyn.ArgumentError, match=r"`network` must be trained with at least 3 seeds, .* \(more than 64 modes\)"
    ):
        _ = comparison.sampling_error


# --- correlated inputs ----------------------------------------------------------------------------------------------

CORRELATED = dyn.Model("euclidean", noise=(0.0, 0.1), inputs=np.diag([1.0, 0.6, 0.3]))
ROTATING = np.array([[0.5, 0.1, 0.2], [0.1, 0.9, -0.2]])


@cache
def correlated():
    return dyn.train(CORRELATED, ROTATING, 20, 0.1, batch_size=100, record=10)


def test_eigenvalues_that_rotate_have_a_predicted_mean_and_sampling_error():
    gd = dyn.iterate(CORRELATED, ROTATING, 20, 0.1)
    result, predicted = dyn.compare(gd, correlated()), dyn.iterate(CORRELATED, ROTATING, 20, 0.1, batch_size=100)
    assert result.source == "from theory (first order in 1/batch size)" and result.reliable.all()
    # The network's weights are of single precision, and another start gives another trajectory: 1e-3 of the deviation.
    deviation = predicted.deviation[[10, 20]]
    np.testing.assert_allclose((result.theory[1:] - predicted.s[[10, 20]]) / deviation, 0, atol=1e-3)
    np.testing.assert_allclose((result.theory_modes[1:] - predicted.modes[[10, 20]]) / deviation, 0, atol=1e-3)
    np.testing.assert_allclose(result.sampling_error[1:], predicted.mode_deviation[[10, 20]], rtol=1e-3)
    assert np.abs(result.theory - gd.s[result.step])[1:].max() > 1e-2 * deviation.min()
    assert np.abs(result.z).max() < 4


def test_a_prediction_of_rotating_eigenvalues_is_compared_as_it_is():
    predicted = dyn.iterate(CORRELATED, ROTATING, 20, 0.1, batch_size=100)
    result = dyn.compare(predicted, correlated())
    np.testing.assert_array_equal(result.theory, predicted.s[::10])
    np.testing.assert_array_equal(result.theory_modes, predicted.mode_mean[::10])
    np.testing.assert_array_equal(result.sampling_error, predicted.mode_deviation[::10])


def test_more_weights_than_are_predicted_need_seeds():
    model = dyn.Model("euclidean", inputs=np.eye(MOST_WEIGHTS // 2))
    start = np.eye(3, MOST_WEIGHTS // 2)
    net = dyn.train(model, start, 1, 0.1, batch_size=10)
    comparison = dyn.compare(dyn.iterate(model, start, 1, 0.1), net)
    assert comparison.reliable is None
    with pytest.raises(
        dyn.ArgumentError, match=r"`network` must be trained with at least 3 seeds, .* \(more than 128 weights"
    ):
        _ = comparison.sampling_error


def test_a_deep_network_has_no_exact_theory():
    theory = dyn.iterate(dyn.Model("euclidean"), [0.2, 0.5], 2, 0.1)
    deep = replace(theory, kind="network", settings={"batch_size": 10, "learning_rate": 0.1})
    with pytest.raises(
        dyn.ArgumentError, match="`network` must be a network of one layer, because deep networks have no exact theory"
    ):
        dyn.compare(theory, deep)


# --- two theories ---------------------------------------------------------------------------------------------------


def flow_and_descent(loss="euclidean", rate=0.1):
    """The flow has times between those of the descent map, too."""
    model, s0 = MODELS[loss], [0.2, 0.5]
    steps = round(2 / rate)
    return dyn.solve(model, s0, rate * np.arange(0, steps + 0.5, 0.5)), dyn.iterate(model, s0, steps, rate)


def test_two_theories_are_compared_at_all_common_times():
    flow, descent = flow_and_descent()
    report = dyn.compare(flow, descent)
    np.testing.assert_allclose(report.t, descent.t, rtol=1e-12)
    np.testing.assert_array_equal(report.step, descent.step)
    np.testing.assert_array_equal(report.theory, flow.s[::2])
    np.testing.assert_array_equal(report.network, descent.s)
    np.testing.assert_allclose(report.relative, descent.s / flow.s[::2] - 1, atol=1e-15)  # rounding
    assert (report.sampling_error == 0).all() and not report.has_network
    assert report.names == ("flow", "descent map")


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ([0, 1, 2, 3], [0.4, 1 + 1e-12, 2.05, 3, 4], ([1, 3], [1, 3])),
        ([1], [0, 1, 2], ([0], [1])),
        ([0, 1], [0.5], ([], [])),
    ],
)
def test_times_that_are_only_near_are_not_common(first, second, common):
    rows = common_times(np.array(first, float), np.array(second, float))
    assert tuple(map(np.ndarray.tolist, rows)) == common


def test_deviation_of_the_descent_map_from_the_flow_is_proportional_to_the_learning_rate():
    large, small = (dyn.compare(*flow_and_descent(rate=rate)).max_relative() for rate in (0.02, 0.01))
    assert 1.9 < large / small < 2.1  # terms of second order in the learning rate


def test_two_theories_are_printed_with_their_names():
    report = dyn.compare(*flow_and_descent())
    lines = str(report).splitlines()
    assert lines[0] == "Descent map against flow at 21 times (t = 0 ... 2)"
    row = r"mode \d at the end +flow \S+ +descent map \S+ +deviation (\S+)"
    deviations = [float(re.fullmatch(row, line.strip()).group(1)) for line in lines if "at the end" in line]
    np.testing.assert_allclose(deviations, report.relative[-1], rtol=5e-3)
    assert repr(report) == "<Comparison: descent map against flow, 21 times, 2 modes>"
    assert "sampling errors" not in str(report)


def test_equal_theories_agree_and_others_are_infinitely_many_sampling_errors_apart():
    flow, descent = flow_and_descent()
    assert dyn.compare(flow, flow).within() == 1
    assert dyn.compare(flow, descent).within() == 0


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"closure": "mean_field"}, ("closure gaussian", "closure mean_field")),
        ({"learning_rate": 0.05, "steps": 8}, ("learning rate 0.1", "learning rate 0.05")),
        ({"momentum": 0.9}, ("no momentum", "momentum 0.9")),
        ({"model": dyn.Model("euclidean")}, ("Model(loss='cosine')", "Model(loss='euclidean')")),
        ({}, ("first", "second")),
    ],
)
def test_theories_of_one_kind_are_named_by_what_differs(changes, names):
    cosine = {"model": dyn.Model("cosine"), "s0": [0.2, 0.5]}
    report = dyn.compare(a_theory(**cosine), a_theory(**(cosine | changes)))
    assert report.names == tuple(f"descent map ({name})" for name in names)


def test_flows_are_compared_without_steps():
    model = dyn.Model("euclidean")
    report = dyn.compare(dyn.solve(model, [0.5], [0.0, 1.0, 2.0]), dyn.solve(model, [0.5], [1.0, 3.0], method="scipy"))
    assert report.step is None and report.t.tolist() == [1.0] and report.max_relative() < 1e-7
    assert str(report).startswith("Flow (method scipy) against flow (method exact solution (Lambert W)) at 1 time ")


def test_plain_values_have_the_sampling_error():
    model, s0 = dyn.Model("euclidean"), np.array([0.2, 0.5])
    theory = dyn.iterate(model, s0, 3, 0.1)
    comparison = dyn.compare(theory, dyn.train(model, np.diag(np.sqrt(s0)), 3, 0.1, batch_size=100))
    np.testing.assert_array_equal(comparison.to_dict()["sampling_error"], comparison.sampling_error)
    assert comparison.sampling_error[-1].min() > 0
