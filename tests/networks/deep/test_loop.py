"""Runs of deep networks: seeds, records, options, how they end, results; and what is refused."""

import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import dynamics as dyn
from dynamics.networks.deep import loop as training
from dynamics.networks.deep.metrics import Record
from tests.networks.deep.small import IMAGES, MODEL, PLAIN, assert_same, network, run

matplotlib.use("Agg")
MEASURES = set(Record._fields) - {"s", "target", "predictor"}
EUCLIDEAN = dyn.Model("euclidean", predictor=dyn.NoPredictor())
NOISY = replace(EUCLIDEAN, noise=(1.0, 1.0))
PLAIN_DESCENT = network(momentum=0, schedule="constant")


@pytest.fixture(scope="module")
def two():
    return run()


# --- seeds and records ----------------------------------------------------------------------------------------------


def test_shapes(two):
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
    monkeypatch.setattr(training, "STEPS_PER_CALL", 3)
    assert_same(run(), two)


def test_time_is_the_sum_of_the_learning_rates(two):
    eta = 0.05 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(two.t, [0, eta[:4].sum(), eta[:8].sum(), eta.sum()], rtol=1e-12)
    np.testing.assert_allclose(training._times(network(schedule="constant"), 0.05, 3), [0, 0.05, 0.1, 0.15])


def test_no_steps_on_a_device_by_name():
    start = run(steps=0, seed=0, W0=network(target_schedule="cosine"), device="cpu")
    assert (start.step.tolist(), start.t.tolist(), start.status, start.s.shape) == ([0], [0], "complete", (1, 4))
    np.testing.assert_allclose(start.s, start.target)
    np.testing.assert_allclose(start.s, start.measures["tracked"], rtol=1e-4, atol=1e-7)


def test_convolutions_in_double_precision():
    net = network(encoder=dyn.ConvNet((3,)), projector=(2,), batch_norm=False)
    trained = run(model=EUCLIDEAN.replace(sigma1=0.5), W0=net, steps=2, record=2, dtype="float64", seed=0)
    assert trained.complete and trained.s.shape == (2, 2) and trained.method.endswith("float64, on cpu")
    assert (trained.s[0] != trained.s[1]).all() and np.isfinite(trained.s).all()
    assert (trained.s[0] > 0).all()


# --- how a run ends -------------------------------------------------------------------------------------------------


def test_divergence_ends_the_run():
    gone = run(model=NOISY, W0=PLAIN_DESCENT, learning_rate=1e6, steps=80, record=[1, 20, 40, 60])
    match = re.fullmatch(r"diverged in 2 of 2 networks, the first by step (\d+)", gone.status)
    assert match and not gone.complete and int(match[1]) in (1, 20, 40)
    assert gone.step[-1] < 80 and len(gone.step) == len(gone.t) == gone.s.shape[1] > 1
    assert np.isfinite(gone.s[:, 0]).all() and np.isinf(gone.s[:, -1]).all()
    assert str(gone).endswith(f"status {gone.status}")


def test_weight_decay_collapses_to_zero():
    gone = run(model=NOISY.replace(weight_decay=5.0), W0=PLAIN_DESCENT, learning_rate=0.1, steps=80, record=20)
    assert re.fullmatch(r"collapsed to zero in 2 of 2 networks, the first by step \d0", gone.status)
    assert gone.step[-1] < 80 and (gone.s[:, -1].sum(1) <= 1e-8 * gone.s[:, 0].sum(1)).all()


def test_cosine_without_a_predictor_collapses_to_a_point():
    model = dyn.Model("cosine", predictor=dyn.NoPredictor(), noise=(2.0, 2.0))
    net = network(batch_norm=False, momentum=0, schedule="constant")
    gone = run(model=model, W0=net, steps=1000, learning_rate=1.0, batch_size=64, record=100, seed=0)
    assert re.fullmatch(r"collapsed to a point by step \d00", gone.status) and gone.step[-1] < 1000
    std = gone.measures["channel_std"]
    assert std[-1] < 0.01 < std[-2] and gone.s[-1].sum() > 0.01 * gone.s[0].sum()


def some_are_gone(which, monkeypatch):
    """Networks count as gone once their loss is a number, where ``which`` says so."""
    order = iter(range(10**6))

    def verdict(record, first):
        seed = next(order) % 2
        return "gone" if which[seed] and not np.isnan(record.loss) else None

    monkeypatch.setattr(training, "verdict", verdict)


def test_others_go_on(monkeypatch, two):
    some_are_gone([False, True], monkeypatch)
    part = run()
    assert part.status == "complete; gone in 1 of 2 networks, the first by step 4" and not part.complete
    np.testing.assert_array_equal(part.s, two.s)


def test_the_run_ends_with_the_last_network(monkeypatch, two):
    some_are_gone([True, True], monkeypatch)
    part = run()
    assert part.status == "gone in 2 of 2 networks, the first by step 4" and part.step.tolist() == [0, 4]
    np.testing.assert_array_equal(part.s, two.s[:, :2])


def test_one_mode_alone_is_no_line():
    assert run(model=EUCLIDEAN, W0=network(projector=(1,)), seed=0, steps=0).status == "complete"


# --- results --------------------------------------------------------------------------------------------------------


def test_print(two):
    text = str(two)
    for part in ("Network of Model(loss='cosine'", "modes 4, times 4, ensemble (2,)", "step 0 ... 12"):
        assert part in text
    assert text.endswith("status complete") and max(map(len, text.splitlines())) <= 120


def test_save_and_load(two, tmp_path):
    loaded = dyn.load(two.save(tmp_path / "run.npz"))
    assert_same(loaded, two)
    assert repr(loaded) == repr(two)
    np.testing.assert_array_equal(loaded.alignment, two.measures["alignment"])
    assert loaded.settings["network"]["encoder"] == {"kind": "MLP", "widths": [8]}
    assert loaded.settings["network"]["images"]["name"] == "small"


def test_numpy_numbers_in_the_description_can_be_saved(tmp_path):
    net = network(batch_norm=np.True_, momentum=np.float64(0.9), projector=[np.int64(6), 4])
    assert dyn.load(run(W0=net, steps=0, seed=np.array([0, 1])).save(tmp_path / "run")).settings["network"][
        "batch_norm"
    ]


def test_plot(two):
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
    assert ax.get_ylabel() and "_" not in ax.get_ylabel()


def test_plot_of_an_unknown_quantity_is_refused(two):
    with pytest.raises(dyn.ArgumentError, match=r"^Argument `quantity` must be one of 's', .* Did you mean 'loss'\?$"):
        two.plot(quantity="losses")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dyn.MLP(()), "`widths` must be one or more whole numbers >= 1, but is ()."),
        (lambda: dyn.MLP(8), "`widths` must be one or more whole numbers >= 1, but is 8."),
        (lambda: dyn.MLP((8, 0)), "`widths` must be one or more whole numbers >= 1, but is (8, 0)."),
        (lambda: dyn.ConvNet(()), "`channels` must be one or more whole numbers >= 1, but is ()."),
        (lambda: dyn.ConvNet((2.5,)), "`channels` must be one or more whole numbers >= 1, but is (2.5,)."),
        (lambda: network(images=np.eye(3)), "`images` must be Images, such as digits(), but is "),
        (lambda: network(encoder=(8,)), "`encoder` must be MLP(widths) or ConvNet(channels), but is (8,)."),
        (lambda: network(projector=6), "`projector` must be whole numbers >= 1, but is 6."),
        (lambda: network(projector=(6, True)), "`projector` must be whole numbers >= 1, but is (6, True)."),
        (lambda: network(predictor=(-1,)), "`predictor` must be whole numbers >= 1, but is (-1,)."),
        (lambda: network(views=0.5), "`views` must be an Augmentation, or None, but is 0.5."),
        (lambda: network(batch_norm=1), "`batch_norm` must be True or False, but is 1."),
        (lambda: network(momentum=1), "`momentum` must be a number, at least 0 and below 1, but is 1."),
        (lambda: network(momentum=[0.1, 0.2]), "`momentum` must be a number, at least 0 and below 1"),
        (lambda: network(schedule="cosin"), "`schedule` must be one of 'constant', 'cosine', but is 'cosin'. Did you"),
        (lambda: network(target_schedule=None), "`target_schedule` must be one of 'constant', 'cosine', but is None."),
        (
            lambda: network(encoder=dyn.ConvNet((2, 2, 2))),
            "`encoder` must have no more than one layer for each halving of images of (4, 4), but is ConvNet",
        ),
    ],
)
def test_descriptions_are_checked(make, message):
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": "relu"}, "`units` must be left out for a Network, but is 'relu'."),
        ({"W_P0": np.eye(4)}, "`W_P0` must be left out for a Network, but is "),
        ({"probes": np.eye(4)}, "`probes` must be left out for a Network, but is "),
        ({"model": replace(MODEL, inputs=np.eye(16))}, "`model` must have no `inputs` for a Network, whose inputs are"),
        ({"model": MODEL.replace(decay=[0.1, 0.2])}, "`model` must have plain numbers for parameters"),
        (
            {"model": dyn.Model("cosine", predictor=dyn.Learned(init=0.5))},
            "`model` must leave `init` at 1 for a Network, whose predictor starts at random, but is ",
        ),
        ({"W0": network(predictor=(4,))}, "`predictor` must be left out for Model(loss='cosine'"),
        (
            {"W0": network(target_schedule="cosine"), "model": EUCLIDEAN},
            "`target_schedule` must be left out for Model(loss='euclidean', predictor=NoPredictor()), whose target is",
        ),
        ({"steps": -1}, "`steps` must be a whole number >= 0, but is -1."),
        ({"learning_rate": 0}, "`learning_rate` must be a positive number, but is 0."),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1, but is 0."),
        ({"seed": -1}, "`seed` must be a whole number >= 0"),
        ({"seed": []}, "`seed` must be a whole number >= 0"),
        ({"record": [13]}, "`record` must be a whole number, or steps between 0 and 12, but is [13]."),
        ({"dtype": "float16"}, "`dtype` must be one of 'float32', 'float64', but is 'float16'."),
        ({"device": "cuda"}, "`device` must be one of 'cpu', 'gpu', 'tpu', but is 'cuda'."),
        ({"progress": "yes"}, "`progress` must be True, False or None, but is 'yes'."),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_options_are_checked(changes, message, monkeypatch):
    """Before any work."""
    monkeypatch.setattr(training, "_compiled", None)
    with pytest.raises(dyn.ArgumentError, match=re.escape(f"Argument {message}")):
        run(**changes)


def test_a_linear_network_has_no_checkpoint(tmp_path):
    must = r"`checkpoint` must be left out for a linear network, which is quick, but is 'run.ckpt'"
    with pytest.raises(dyn.ArgumentError, match=must):
        dyn.train(EUCLIDEAN, np.eye(2, 3), 1, 0.1, checkpoint="run.ckpt")


def test_defaults():
    net = dyn.Network(PLAIN)
    assert (net.encoder, net.projector, net.predictor, net.modes) == (dyn.MLP((128, 128)), (64, 32), (), 32)
    assert (net.views, net.batch_norm, net.momentum) == (dyn.Augmentation(), True, 0.9)
    assert dyn.Network(PLAIN, encoder=dyn.ConvNet(), projector=()).modes == 32
    assert network(projector=()).modes == 8 and IMAGES.shape == (4, 4, 1)
