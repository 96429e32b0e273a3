"""Parts of trajectories: records, modes and members; parts that follow one another, joined to the whole."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynamics as dyn
from dynamics.results.entries import ENTRIES, arrays_of
from tests.results.makers import ENSEMBLE, MAKERS, made

WHITE = dyn.Model("euclidean", noise=(0.0, 0.1))
LONG = {
    "flow": lambda: dyn.solve(WHITE, [0.5, 0.1, 0.9], np.linspace(0, 5, 11)),
    "flow with repeated times": lambda: dyn.solve(WHITE, [0.5, 0.1], [0, 1, 1, 1, 2, 3, 3]),
    "flow from a later time": lambda: dyn.solve(WHITE, [0.5, 0.1], [2, 3, 4]),
    "ensemble": lambda: dyn.solve(ENSEMBLE, [0.1, 0.5, 0.9], [0, 1, 2.5, 4]),
    "descent": lambda: dyn.iterate(dyn.Model("cosine"), [0.5, 0.1], 20, 0.1, record=3),
    "descent whose modes cross": lambda: dyn.iterate(dyn.Model("euclidean"), [1.5, 0.1], 20, 1.6),
    "finite batches": lambda: dyn.iterate(WHITE, [0.5, 0.1], 9, 0.1, batch_size=100, input_dimension=5),
    "rotating": MAKERS["finite batches"],
    "networks": MAKERS["networks"],
    "learned predictor": lambda: dyn.train(
        dyn.Model("euclidean", predictor=dyn.Learned(), target=dyn.EMA(0.9)), np.eye(2, 3), 5, 0.1, batch_size=5
    ),
    "blow-up": MAKERS["flow that blows up"],
}
cached = {}


def whole(name):
    if name not in cached:
        cached[name] = LONG[name]()
    return cached[name]


every_kind = pytest.mark.parametrize("name", LONG)

# --- records --------------------------------------------------------------------------------------------------------


@every_kind
def test_a_range_of_times_keeps_the_records_within(name):
    trajectory = whole(name)
    low, high = trajectory.t[1], trajectory.t[-1]
    part = trajectory.select(t=(low, high))
    inside = (trajectory.t >= low) & (trajectory.t <= high)
    np.testing.assert_array_equal(part.t, trajectory.t[inside])
    for name, array in arrays_of(trajectory).items():
        axis = array.ndim - len(ENTRIES[name].axes)
        expected = np.compress(inside, array, axis=axis) if "time" in ENTRIES[name].axes else array
        np.testing.assert_array_equal(getattr(part, name), expected, strict=True)
    assert (part.settings, part.status, part.model) == (trajectory.settings, trajectory.status, trajectory.model)


@pytest.mark.parametrize(
    ("selection", "steps"),
    [
        ({"step": (3, 9)}, [3, 6, 9]),
        ({"step": (4, 8.5)}, [6]),
        ({"step": slice(12, None)}, [12, 15, 18, 20]),
        ({"step": slice(None, None, 3)}, [0, 9, 18]),
        ({"step": slice(2, None, 2)}, [3, 9, 15, 20]),
        ({"step": 6}, [6]),
        ({"step": [18, 3]}, [3, 18]),
        ({"step": [4, 20], "nearest": True}, [3, 20]),
        ({"t": 0.1 * 3}, [3]),
        ({"t": [0.0, 2.0]}, [0, 20]),
        ({"t": (0.25, 0.7)}, [3, 6]),
        ({"t": (0.25, 2.0), "step": slice(None, 10)}, [3, 6, 9]),
    ],
)
def test_records_are_selected_by_step_and_time(selection, steps):
    assert whole("descent").select(**selection).step.tolist() == steps


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (
            {"step": 4},
            r"`step` must be .* recorded \(0, 3, 6, ..., 20\); the nearest is 3, which nearest=True would take",
        ),
        ({"step": [4, 21], "nearest": True}, "but is 21"),
        ({"step": (4, 5)}, "`step` must contain at least one recorded value"),
        ({"t": (9, 12)}, "`t` must contain at least one recorded value"),
        ({"t": "early"}, "`t` must be a pair"),
        ({"t": [[0.0]]}, "`t` must be a pair"),
        ({"t": (0, "end")}, "`t` must be a finite number, but is 'end'"),
        ({"step": slice(0, 9, 0)}, "`step` must be a whole number >= 1"),
        ({"t": (0.0, 0.3), "step": (6, 9)}, "`step` must select at least one of the records that `t` selects"),
        ({"nearest": 1}, "`nearest` must be True or False"),
        ({"modes": 2}, "`modes` must be positions between 0 and 1"),
        ({"modes": [0.5]}, "`modes` must be positions"),
        ({"modes": []}, "`modes` must be positions"),
        ({"modes": slice("a", None)}, "`modes` must be positions"),
        ({"modes": [True, False, True]}, "`modes` must be positions"),
        ({"members": 0}, "`members` must be left out for a single trajectory"),
    ],
)
def test_a_selection_without_records_modes_or_members_is_refused(selection, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        whole("descent").select(**selection)


def test_a_flow_has_no_steps():
    with pytest.raises(dyn.ArgumentError, match="`step` must be left out for a flow"):
        whole("flow").select(step=3)


# --- modes and members ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modes", [0, -1, [1], slice(1, None), [1, 0], [False, True]])
@pytest.mark.parametrize("name", ["finite batches", "rotating", "networks", "learned predictor", "ensemble"])
def test_modes_are_selected_in_all_arrays_of_modes(name, modes):
    trajectory = whole(name)
    if isinstance(modes, list) and modes == [False, True] and name == "ensemble":
        modes = [False, True, False]
    part, columns = trajectory.select(modes=modes), np.atleast_1d(np.arange(trajectory.s.shape[-1])[modes])
    for quantity in ("s", "target", "predictor", "population", "deviation", "mode_mean", "mode_deviation"):
        values = getattr(trajectory, quantity)
        np.testing.assert_array_equal(getattr(part, quantity), None if values is None else values[..., columns])
    assert part.weights is None and part.embeddings is None
    if trajectory.weights is not None or trajectory.mode_mean is not None:
        np.testing.assert_array_equal(part.modes, trajectory.modes[..., columns])
    if trajectory.predictor_weights is not None:
        np.testing.assert_array_equal(part.alignment, trajectory.alignment[..., columns])


@every_kind
def test_modes_are_those_of_the_initial_eigenvectors_also_in_a_later_part(name):
    trajectory = whole(name)
    part = trajectory.select(t=slice(trajectory.t[1], None))
    np.testing.assert_array_equal(part.modes, trajectory.modes[..., np.isin(trajectory.t, part.t), :])


def test_the_order_of_modes_is_stored_only_if_the_part_does_not_have_it():
    crossing = whole("descent whose modes cross")
    assert (crossing.s[0].argsort() != crossing.s[1].argsort()).any()
    assert set(crossing.select(step=(1, 3)).measures) == {"modes"}
    assert set(whole("flow").select(t=(1, 3)).measures) == set()


def test_members_have_the_parameters_of_their_models():
    flow = whole("ensemble")
    for members, index in (
        (2, np.s_[2]),
        ((2, 1), np.s_[2, 1]),
        (([0, 2], 1), np.s_[[0, 2], 1]),
        (slice(1, 3), np.s_[1:]),
    ):
        part = flow.select(members=members)
        np.testing.assert_array_equal(part.s, flow.s[index])
        again = dyn.solve(part.model, flow.s[(*np.index_exp[index], Ellipsis, 0, slice(None))], flow.t)
        np.testing.assert_allclose(again.s, part.s, rtol=1e-7)
    assert flow.select(members=(2, 1)).model == dyn.Model(
        "euclidean", predictor=dyn.ClosedForm(2.0), noise=(0.1, 0.2), weight_decay=0.1
    )


def test_members_have_their_initial_predictor_and_their_seeds():
    init = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    flow = dyn.solve(dyn.Model("euclidean", predictor=dyn.Learned(init=init)), [0.1, 0.5], [0.0, 1.0])
    assert flow.select(members=1).model.predictor == dyn.Learned(init=np.array([0.3, 0.4]))
    assert flow.select(members=[0, 2], modes=1).model.predictor == dyn.Learned(init=init[[0, 2], 1:])
    assert flow.select(modes=1).model.predictor == dyn.Learned(init=init[:, 1:])
    assert whole("networks").select(members=1).settings["seed"] == 2
    assert whole("networks").select(members=[1, 0]).settings["seed"] == [2, 4]


@pytest.mark.parametrize("members", [3, (0, 2), (0, 0, 0), [], "all"])
def test_members_outside_of_the_ensemble_are_refused(members):
    with pytest.raises(dyn.ArgumentError, match="`members` must"):
        whole("ensemble").select(members=members)


@every_kind
def test_parts_can_be_saved_plotted_and_converted(name, tmp_path):
    trajectory = whole(name)
    part = trajectory.select(t=slice(trajectory.t[1], None, 2), modes=[0])
    for file in ("part.npz", "part.nc"):
        assert dyn.load(part.save(tmp_path / file)) == part
    assert len(part.to_dataframe()) == part.s.size and str(part)


# --- concatenate ----------------------------------------------------------------------------------------------------


@every_kind
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_parts_joined_are_the_whole(name, data):
    trajectory = whole(name)
    if data.draw(st.booleans()):
        trajectory = trajectory.select(modes=[trajectory.s.shape[-1] - 1, 0][: data.draw(st.integers(1, 2))])
    times = sorted(data.draw(st.lists(st.sampled_from(trajectory.t.tolist()), max_size=3)))
    ends = [0.0, *times, np.inf]
    parts = [trajectory.select(t=(low, high)) for low, high in pairwise(ends)]
    assert dyn.concatenate(parts) == trajectory


@pytest.mark.parametrize("name", ["descent", "networks"])
def test_a_doubled_record_is_kept_once(name):
    trajectory = whole(name)
    middle = int(trajectory.step[1])
    first, second = trajectory.select(step=(0, middle)), trajectory.select(step=slice(middle, None))
    assert dyn.concatenate([first, second]) == trajectory
    doubled = replace(second, s=second.s * (1 + 1e-3))
    with pytest.raises(dyn.ArgumentError, match=r"must begin with the state .* `s` must be"):
        dyn.concatenate([first, doubled])


def test_a_run_continued_from_the_last_state_is_the_longer_run():
    model = dyn.Model("cosine")
    longer = dyn.iterate(model, [0.1, 0.5], 30, 0.1)
    first = dyn.iterate(model, [0.1, 0.5], 10, 0.1)
    second = dyn.iterate(model, first.s[-1], 20, 0.1)
    joined = dyn.concatenate([first, second])
    np.testing.assert_array_equal(joined.step, longer.step)
    np.testing.assert_allclose(joined.t, longer.t, rtol=1e-14)
    np.testing.assert_allclose(joined.s, longer.s, rtol=1e-6)  # of the quadrature
    assert joined.settings == longer.settings
    three = dyn.concatenate([first, second, dyn.iterate(model, second.s[-1], 5, 0.1)])
    assert three.settings["steps"] == three.step[-1] == 35


def test_a_network_is_continued_from_its_weights():
    model, options = dyn.Model("euclidean"), {"learning_rate": 0.1, "batch_size": 10}
    first = dyn.train(model, np.eye(2, 3) / 2, 5, seed=0, **options)
    second = dyn.train(model, first.weights[-1], 5, seed=1, **options)
    joined = dyn.concatenate([first, second])
    assert joined.step.tolist() == list(range(11)) and joined.settings["seed"] == [0, 1]
    np.testing.assert_array_equal(joined.weights[5], first.weights[5])
    np.testing.assert_array_equal(joined.modes[:6], first.modes)


def test_the_time_of_divergence_is_counted_from_the_start():
    model = dyn.Model("euclidean", stop_gradient="online")
    first = replace(dyn.solve(model, [2.0], [0.0, 0.1]), blow_up_time=np.array(np.inf))  # not known yet
    second = dyn.solve(model, first.s[-1], [0.0, 0.1, 9.0])
    joined = dyn.concatenate([first, second])
    assert joined.blow_up_time == pytest.approx(float(dyn.solve(model, [2.0], [0.0, 9.0]).blow_up_time), rel=1e-6)
    assert joined.status == f"{second.status}; this time is counted from t = 0.1" and not joined.complete


def continued(**changes):
    options = {"learning_rate": 0.1, "steps": 3} | changes
    model = options.pop("model", WHITE)
    return dyn.iterate(model, options.pop("s0", whole_descent().s[-1]), **options)


def whole_descent():
    return dyn.iterate(WHITE, [0.1, 0.5], 3, 0.1)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: continued(model=dyn.Model("euclidean")), "have the same model"),
        (lambda: continued(learning_rate=0.2), "have the same settings"),
        (lambda: dyn.solve(WHITE, [0.1, 0.5], [0.0, 1.0]), "have the same kind, 'descent'"),
        (lambda: continued(s0=[0.1, 0.2, 0.3]), "have the same number of modes, 2"),
        (lambda: continued(s0=[[0.1, 0.2]]), r"have the same ensemble, \(\)"),
        (lambda: continued(s0=[0.1, 0.5]), "the state with which the preceding trajectory ends; at t = 0.3, `s` must"),
        (
            lambda: continued().select(step=(1, 3)),
            "begin at t = 0 or at 0.3, the last time of the preceding trajectory",
        ),
        (lambda: replace(continued(), reliable=np.ones(4, bool)), "have the same arrays"),
        (lambda: replace(continued(), measures={"loss": np.ones(4)}), "have the same measures"),
        (lambda: "flow.npz", "be a sequence of one or more trajectories"),
    ],
)
def test_trajectories_that_do_not_follow_one_another_are_refused(second, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.concatenate([whole_descent(), second()])


@pytest.mark.parametrize("value", [[], made("flow"), "runs", None, 3])
def test_a_sequence_of_trajectories_is_required(value):
    with pytest.raises(dyn.ArgumentError, match="`trajectories` must be a sequence of one or more trajectories"):
        dyn.concatenate(value)


def test_a_learned_predictor_must_continue_too():
    model = dyn.Model("euclidean", predictor=dyn.Learned(init=0.5))
    first = dyn.solve(model, [0.1, 0.5], [0.0, 1.0])
    with pytest.raises(dyn.ArgumentError, match="`predictor` must be"):
        dyn.concatenate([first, dyn.solve(model, first.s[-1], [0.0, 1.0])])
    second = dyn.solve(model.replace(init=first.predictor[-1]), first.s[-1], [0.0, 1.0])
    joined = dyn.concatenate([first, second])
    np.testing.assert_allclose(joined.s, dyn.solve(model, [0.1, 0.5], [0.0, 1.0, 2.0]).s, rtol=1e-6)
    assert joined.model == model


# --- compared with a network ------------------------------------------------------------------------------------------


def test_a_later_part_of_a_theory_is_compared_but_not_of_a_network():
    model, s0 = dyn.Model("euclidean"), np.array([0.2, 0.5])
    theory = dyn.iterate(model, s0, 6, 0.1)
    network = dyn.train(model, np.diag(np.sqrt(s0)), 6, 0.1, batch_size=100)
    late, all_steps = dyn.compare(theory.select(step=(3, 6)), network), dyn.compare(theory, network)
    np.testing.assert_allclose(late.z, all_steps.z[3:], rtol=1e-6)  # of the quadrature
    with pytest.raises(dyn.ArgumentError, match="`network` must begin at step 0"):
        dyn.compare(theory, network.select(step=(3, 6)))
    with pytest.raises(dyn.ArgumentError, match="`network` must have all its modes"):
        dyn.compare(theory.select(modes=0), network.select(modes=0))
