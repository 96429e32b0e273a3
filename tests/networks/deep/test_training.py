"""Training of deep networks: seeds, records, how runs end, results; and what is refused."""

import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep import training
from dynamics.networks.deep.metrics import Record
from dynamics.networks.deep.network import describe
from tests.networks.deep.small import MODEL, assert_same, network, run

matplotlib.use("Agg")
MEASURES = set(Record._fields) - {"s", "target", "predictor"}
EUCLIDEAN = dyn.Model("euclidean", predictor=dyn.NoPredictor())
NOISY = replace(EUCLIDEAN, noise=(1.0, 1.0))
PLAIN_DESCENT = network(momentum=0, schedule="constant")


@pytest.fixture(scope="module")
def two():
    return run()


# --- seeds and records ----------------------------------------------------------------------------------------------


def test_quantities_have_axes_for_networks_steps_and_modes(two):
    assert two.s.shape == two.target.shape == two.predictor.shape == two.measures["alignment"].shape == (2, 4, 4)
    numbers = MEASURES - {"alignment", "tracked", "modes"}
    assert {name for name, a in two.measures.items() if a.shape == (2, 4)} == numbers
    assert (two.step.tolist(), two.kind, two.status, two.complete) == ([0, 4, 8, 12], "network", "complete", True)
    assert two.weights is None and two.embeddings is None
    assert two.method == "gradient descent on 16 images (small) a step, float32, on cpu"


def test_modes_start_as_eigenvalues(two):
    """To the rounding of single precision, in which directions are found; later they are variances, no eigenvalues."""
    modes = two.measures["modes"]
    np.testing.assert_allclose(modes[:, 0], two.s[:, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(modes.sum(axis=-1), two.s.sum(axis=-1), rtol=1e-5)
    assert (np.sort(modes[:, -1]) != two.s[:, -1]).all()


def test_the_same_seeds_give_the_same_bits(two):
    assert_same(run(), two)


@pytest.mark.long
def test_networks_side_by_side_are_those_trained_alone(two):
    alone = run(seed=1)
    assert alone.s.shape == (4, 4) and alone.measures["loss"].shape == (4,)
    np.testing.assert_allclose(
        alone.s, two.s[1], rtol=1e-3, atol=1e-6
    )  # single precision, twelve steps with batch norm
    np.testing.assert_allclose(alone.measures["loss"], two.measures["loss"][1], rtol=1e-4)
    assert (np.abs(two.s[0] / two.s[1] - 1) > 0.01).all()


def test_records_do_not_change_what_is_recorded(two):
    every = run(record=1)
    assert every.step.tolist() == list(range(13))
    for chosen in (two, run(record=[5, 2, 5])):
        for name in ("s", "target", "predictor"):
            np.testing.assert_array_equal(getattr(chosen, name), getattr(every, name)[:, chosen.step])
        for name in MEASURES - {"loss"}:
            np.testing.assert_array_equal(chosen.measures[name], every.measures[name][:, chosen.step])
        assert np.isnan(chosen.measures["loss"][:, 0]).all()
        for first, last, loss in zip(chosen.step, chosen.step[1:], chosen.measures["loss"].T[1:], strict=False):
            mean = every.measures["loss"][:, first + 1 : last + 1].mean(axis=1)
            np.testing.assert_allclose(loss, mean, rtol=1e-6)  # single precision
    assert chosen.step.tolist() == [0, 2, 5, 12]


def test_long_stretches_are_trained_in_parts(two, monkeypatch):
    monkeypatch.setattr(training.DeepNetwork, "stride", 3)
    assert_same(run(), two)


def test_time_is_the_sum_of_the_learning_rates(two):
    eta = 0.05 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(two.t, [0, eta[:4].sum(), eta[:8].sum(), eta.sum()], rtol=1e-12)


def test_no_steps_on_a_device_by_name():
    start = run(steps=0, seed=0, W0=network(target_schedule="cosine"), device="cpu")
    assert (start.step.tolist(), start.t.tolist(), start.status, start.s.shape) == ([0], [0], "complete", (1, 4))
    np.testing.assert_allclose(start.s, start.target)
    np.testing.assert_allclose(start.s, start.measures["tracked"], rtol=1e-4, atol=1e-7)


@pytest.mark.long
def test_convolutions_in_double_precision():
    net = network(encoder=dyn.ConvNet((3,)), projector=(2,), batch_norm=False)
    trained = run(model=EUCLIDEAN.replace(sigma1=0.5), W0=net, steps=2, record=2, dtype="float64", seed=0)
    assert trained.complete and trained.s.shape == (2, 2) and trained.method.endswith("float64, on cpu")
    assert (trained.s[0] != trained.s[1]).all() and np.isfinite(trained.s).all()
    assert (trained.s[0] > 0).all()


# --- how a run ends -------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_divergence_ends_the_run():
    gone = run(model=NOISY, W0=PLAIN_DESCENT, learning_rate=1e6, steps=80, record=[1, 20, 40, 60])
    match = re.fullmatch(r"diverged in 2 of 2 networks, the first by step (\d+)", gone.status)
    assert match and not gone.complete and int(match[1]) in (1, 20, 40)
    assert gone.step[-1] < 80 and len(gone.step) == len(gone.t) == gone.s.shape[1] > 1
    assert np.isfinite(gone.s[:, 0]).all() and np.isinf(gone.s[:, -1]).all()
    assert str(gone).splitlines()[-1].split(maxsplit=1) == ["status", gone.status]


def test_weight_decay_collapses_to_zero():
    gone = run(model=NOISY.replace(weight_decay=5.0), W0=PLAIN_DESCENT, learning_rate=0.1, steps=80, record=20)
    assert re.fullmatch(r"collapsed to zero in 2 of 2 networks, the first by step \d0", gone.status)
    assert gone.step[-1] < 80 and (gone.s[:, -1].sum(1) <= 1e-8 * gone.s[:, 0].sum(1)).all()


@pytest.mark.long
def test_cosine_without_a_predictor_collapses_to_a_point():
    model = dyn.Model("cosine", predictor=dyn.NoPredictor(), noise=(2.0, 2.0))
    net = network(batch_norm=False, momentum=0, schedule="constant")
    gone = run(model=model, W0=net, steps=1000, learning_rate=1.0, batch_size=64, record=100, seed=0)
    assert re.fullmatch(r"collapsed to a point by step \d00", gone.status) and gone.step[-1] < 1000
    std = gone.measures["channel_std"]
    assert std[-1] < 0.01 < std[-2] and gone.s[-1].sum() > 0.01 * gone.s[0].sum()


def count_as_collapsed(which, monkeypatch):
    """Networks have the verdict "gone" from their first loss on, where ``which`` is True."""
    order = iter(range(10**6))

    def verdict(record, first):
        seed = next(order) % 2
        return "gone" if which[seed] and not np.isnan(record.loss) else None

    monkeypatch.setattr(training, "verdict", verdict)


def test_other_networks_are_trained_on(monkeypatch, two):
    count_as_collapsed([False, True], monkeypatch)
    part = run()
    assert part.status == "complete; gone in 1 of 2 networks, the first by step 4" and not part.complete
    np.testing.assert_array_equal(part.s, two.s)


def test_the_run_ends_with_the_last_network(monkeypatch, two):
    count_as_collapsed([True, True], monkeypatch)
    part = run()
    assert part.status == "gone in 2 of 2 networks, the first by step 4" and part.step.tolist() == [0, 4]
    np.testing.assert_array_equal(part.s, two.s[:, :2])


def test_one_mode_alone_is_no_line():
    assert run(model=EUCLIDEAN, W0=network(projector=(1,)), seed=0, steps=0).status == "complete"


# --- results --------------------------------------------------------------------------------------------------------


def test_a_printed_run_names_model_axes_steps_and_status(two):
    text = " ".join(str(two).split())
    for part in ("Network of Model(loss='cosine'", "ensemble of 2 members of 4 modes, 4 times", "step 0 ... 12"):
        assert part in text
    assert text.endswith("status complete") and max(map(len, str(two).splitlines())) <= 120


def test_save_and_load(two, tmp_path):
    loaded = dyn.load(two.save(tmp_path / "run.npz"))
    assert_same(loaded, two)
    assert repr(loaded) == repr(two)
    np.testing.assert_array_equal(loaded.alignment, two.measures["alignment"])
    assert loaded.settings["network"]["encoder"] == {"kind": "MLP", "widths": [8]}
    assert loaded.settings["network"]["images"]["name"] == "small"


@pytest.mark.long
def test_numpy_numbers_in_the_description_come_back_from_a_file_as_plain_ones(tmp_path):
    net = network(batch_norm=np.False_, momentum=np.float64(0.5), projector=[np.int64(6), 4])
    loaded = dyn.load(run(W0=net, steps=0, seed=np.array([0, 1])).save(tmp_path / "run"))
    plain = network(batch_norm=False, momentum=0.5, projector=(6, 4))
    assert loaded.settings["network"] == describe(plain)
    assert loaded.settings["network"]["batch_norm"] is False and loaded.settings["seed"] == [0, 1]


def test_a_plot_has_a_line_for_each_mode_of_each_network(two):
    ax = two.plot()
    assert len(ax.lines) == 8
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), two.step)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), two.s[0, :, 0])


@pytest.mark.parametrize("quantity", ["predictor", *sorted(MEASURES)])
def test_plot_of_what_was_measured(two, quantity):
    """A line for each network, or for each of its modes; eigenvalues on a logarithmic axis, not all else."""
    ax, values = two.plot(quantity=quantity), two.members(quantity)
    assert len(ax.lines) == 2 * values.shape[-1]
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), values[-1, :, -1])
    assert (ax.get_yscale() == "log") == (quantity in ("tracked", "modes"))
    words = re.sub(r"\$.*?\$", "", ax.get_ylabel())
    assert words and "_" not in words


def test_plot_of_an_unknown_quantity_is_refused(two):
    with pytest.raises(dyn.ArgumentError, match=r"^Argument `quantity` must be one of 's', .* Did you mean 'loss'\?$"):
        two.plot(quantity="losses")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": replace(MODEL, inputs=np.eye(16))},
            "`model` must have no `inputs`, because the inputs of a Network are",
        ),
        (
            {"model": dyn.Model("cosine", predictor=dyn.Learned(init=0.5))},
            "`model` must have the default `init` = 1, because the predictor of a Network has random initial weights",
        ),
        ({"W0": network(predictor=(4,))}, "`predictor` must be left out, because the predictor of Model(loss='cosine'"),
        (
            {"W0": network(target_schedule="cosine"), "model": EUCLIDEAN},
            "`target_schedule` must be left out, because the target of Model(loss='euclidean', predictor=NoPredictor()",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_model_and_network_must_go_together(changes, message, monkeypatch):
    """Before any work."""
    monkeypatch.setattr(training, "_compiled", None)
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        run(**changes)
