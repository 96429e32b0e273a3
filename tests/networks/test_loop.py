"""The training loop, with a network that only counts its steps: calls, records, interruption, checkpoints, the end."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from dynamics.model.schedules import StepSchedules
from dynamics.networks import loop
from dynamics.networks.loop import Saved, device_calls, joined, train_network
from dynamics.networks.run import TrainingRun
from dynamics.numerics.records import record_steps

MODEL = dyn.Model("euclidean")


class Counts(NamedTuple):
    """The steps that each network has gone, (S,), and (S, T) at records."""

    steps: np.ndarray


class Counter:
    """Networks that count; all of them have ended at a number of steps."""

    model, data, settings = MODEL, "steps at a time", {"kind": "counter"}

    def __init__(self, stride=4, stops_per_call=3, ends_at=10**6):
        self.stride, self.stops_per_call, self.ends_at = stride, stops_per_call, ends_at
        self.calls = []

    def start(self, keys):
        steps = jnp.zeros(len(keys), int)
        return Counts(steps), steps[:, None]

    def advance(self, state, keys, stops):
        self.calls.append(stops.tolist())
        history = state.steps[:, None] + np.cumsum(np.diff(stops))
        return Counts(history[:, -1]), history

    def record(self, state, history, chosen):
        return state, Counts(np.asarray(history)[:, chosen])

    def has_ended(self, state, records):
        return int(state.steps[0]) >= self.ends_at

    def conclude(self, records, steps, status):
        return records, f"{status}, {len(steps)} records"

    def quantities(self, records, steps):
        s = records.steps[..., None].astype(float)
        return {"t": 0.1 * steps, "s": s, "target": s, "predictor": s}


class Memory:
    """A checkpoint that keeps what is written."""

    def __init__(self, saved=None):
        self.written = [] if saved is None else [saved]

    def read(self):
        return self.written[-1] if self.written else None

    def write(self, saved):
        self.written.append(saved)


def a_run(steps=30, record=5, seeds=(0, 1), side_by_side=True):
    recorded = record_steps(record if np.ndim(record) == 0 else np.array(record), steps)
    return TrainingRun(
        steps, StepSchedules(0.1, {}), 7, np.array(seeds), side_by_side, recorded, "float32", "cpu", False
    )


RECORDS = {"every step": 1, "every fifth": 5, "few": [3, 17, 29], "both ends": 99}


@pytest.mark.parametrize("stops_per_call", [1, 3, 50])
@pytest.mark.parametrize("stride", [1, 4, 50])
@pytest.mark.parametrize("record", RECORDS)
def test_records_are_those_of_their_steps_however_calls_are_divided(record, stride, stops_per_call):
    run = a_run(record=RECORDS[record])
    trained = train_network(Counter(stride, stops_per_call), run)
    np.testing.assert_array_equal(trained.step, run.recorded)
    np.testing.assert_array_equal(trained.s[..., 0], [run.recorded, run.recorded])


def test_calls_pass_through_all_records_within_their_limits():
    recorded = np.array([0, 3, 17, 30])
    calls = list(device_calls(recorded, 0, 4, 3))
    assert {len(stops) for stops in calls} == {4}
    assert [stops[0] for stops in calls[1:]] == [stops[-1] for stops in calls[:-1]]
    stops = np.unique(calls)
    assert set(recorded) <= set(stops) and stops[-1] == 30 and np.diff(stops).max() <= 4
    assert calls[-1].tolist() == [28, 30, 30, 30]  # the last one repeats its end


def test_calls_start_where_a_run_stands():
    assert [stops.tolist() for stops in device_calls(np.array([0, 10, 20]), 10, 6, 1)] == [[10, 12], [12, 18], [18, 20]]
    assert list(device_calls(np.array([0, 10, 20]), 20, 6, 1)) == list(device_calls(np.array([0]), 0, 6, 1)) == []


def test_the_result_has_what_network_and_run_state():
    trained = train_network(Counter(), a_run())
    assert trained.method == "gradient descent on 7 steps at a time, float32, on cpu" and trained.kind == "network"
    assert trained.settings == a_run().settings | {"kind": "counter"} and trained.model is MODEL
    np.testing.assert_array_equal(trained.t, 0.1 * trained.step)
    assert trained.status == "complete, 7 records"


def test_one_seed_has_no_axis():
    assert train_network(Counter(), a_run(seeds=(3,), side_by_side=False)).s.shape == (7, 1)
    assert train_network(Counter(), a_run(seeds=(3,))).s.shape == (1, 7, 1)


def test_the_loop_ends_when_no_network_is_left():
    network = Counter(stride=5, stops_per_call=1, ends_at=12)
    trained = train_network(network, a_run())
    assert trained.step.tolist() == [0, 5, 10, 15] and network.calls[-1] == [10, 15]
    assert trained.status == "complete, 4 records"


@pytest.mark.parametrize(("update", "steps"), [(1, [0]), (2, [0, 5]), (6, [0, 5, 10, 15, 20, 25])])
def test_ctrl_c_keeps_what_is_recorded(update, steps, press_ctrl_c):
    press_ctrl_c(loop, at_update=update)
    trained = train_network(Counter(stride=5, stops_per_call=1), a_run())
    assert trained.step.tolist() == steps
    assert trained.status == f"interrupted after step {steps[-1]}, {len(steps)} records"


def test_ctrl_c_before_the_first_record_is_passed_on(monkeypatch):
    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Counter, "start", press)
    with pytest.raises(KeyboardInterrupt):
        train_network(Counter(), a_run())


def test_the_bar_counts_steps_from_where_a_run_stands(monkeypatch):
    counted = []

    class Bar:
        def __init__(self, total, title, show, done):
            counted.append((total, show, done))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def update(self, steps):
            counted.append(int(steps))

    monkeypatch.setattr(loop, "progress_bar", Bar)
    train_network(Counter(stride=20, stops_per_call=1), a_run(record=15))
    assert counted == [(30, False, 0), 15, 5, 10]
    saved = Saved(Counts(np.array([[0, 15]] * 2)), [np.array([15, 15])])
    train_network(Counter(stride=20, stops_per_call=1), a_run(record=15), Memory(saved))
    assert counted[4:] == [(30, False, 15), 5, 10]


def test_each_record_is_saved_with_its_state():
    memory = Memory()
    whole = train_network(Counter(stride=3, stops_per_call=1), a_run(), memory)
    assert [saved.records.steps.shape for saved in memory.written] == [(2, records) for records in range(1, 8)]
    for saved in memory.written:
        np.testing.assert_array_equal(saved.records.steps[0], whole.step[: saved.records.steps.shape[1]])
        (state,) = saved.leaves
        assert isinstance(state, np.ndarray)
        np.testing.assert_array_equal(state, saved.records.steps[:, -1])


def test_a_saved_run_goes_on_to_the_same_result():
    memory, network = Memory(), Counter(stride=5, stops_per_call=1)
    whole = train_network(network, a_run(), memory)
    for number, saved in enumerate(memory.written[:-1], start=1):
        again = Counter(stride=5, stops_per_call=1)
        np.testing.assert_array_equal(train_network(again, a_run(), Memory(saved)).s, whole.s)
        assert again.calls == network.calls[number - 1 :]


def test_a_finished_run_is_not_trained_again():
    memory = Memory()
    whole = train_network(Counter(stops_per_call=1), a_run(), memory)
    writes, again = len(memory.written), Counter()
    np.testing.assert_array_equal(train_network(again, a_run(), memory).s, whole.s)
    assert again.calls == [] and len(memory.written) == writes


def test_records_are_joined_along_their_steps():
    parts = [Counts(np.arange(4).reshape(2, 2)), Counts(np.full((2, 1), 9))]
    np.testing.assert_array_equal(joined(parts).steps, [[0, 1, 9], [2, 3, 9]])
