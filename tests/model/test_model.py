"""Models with other parameters."""

import numpy as np
import pytest

import dynamics as dyn


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (dyn.Model("cosine"), ("sigma1", "sigma2", "weight_decay", "alpha", "epsilon", "tracking")),
        (dyn.Model("cosine", predictor=dyn.NoPredictor()), ("sigma1", "sigma2", "weight_decay")),
        (
            dyn.Model("euclidean", predictor=dyn.Learned(2.0, 0.5), target=dyn.EMA(0.9), noise=(0.1, 0.2)),
            ("sigma1", "sigma2", "weight_decay", "rate", "init", "decay"),
        ),
    ],
    ids=str,
)
def test_replace_changes_one_parameter_and_no_other(model, parameters):
    assert model.parameter_names == parameters

    def values(model):
        parts = {name: getattr(part, name) for part in (model.predictor, model.target) for name in vars(part)}
        return parts | {"weight_decay": model.weight_decay, "sigma1": model.noise[0], "sigma2": model.noise[1]}

    for name in parameters:
        other = model.replace(**{name: 0.625})
        assert values(other) == values(model) | {name: 0.625}
        assert (other.loss, type(other.predictor), type(other.target)) == (
            model.loss,
            type(model.predictor),
            type(model.target),
        )


def test_replace_changes_the_length_of_an_ensemble():
    """Two members become three in one call, although no parameter alone could change."""
    two = dyn.Model("cosine", noise=([0.1, 0.2], [0.3, 0.4]), predictor=dyn.ClosedForm([0.5, 1.0]))
    three = two.replace(sigma1=[0.1, 0.2, 0.3], alpha=[0.5, 1.0, 1.5], sigma2=[0.3, 0.4, 0.5])
    assert two.batch_shape == (2,) and three.batch_shape == (3,)
    assert three == dyn.Model(
        "cosine", noise=([0.1, 0.2, 0.3], [0.3, 0.4, 0.5]), predictor=dyn.ClosedForm([0.5, 1.0, 1.5])
    )
    with pytest.raises(dyn.ArgumentError, match=r"the shapes are sigma1 \(2,\), sigma2 \(3,\), alpha \(2,\)"):
        two.replace(sigma2=[0.3, 0.4, 0.5])


def test_replace_takes_several_parameters_and_arrays():
    model = dyn.Model("euclidean").replace(sigma1=[0.1, 0.2], alpha=2.0)
    np.testing.assert_array_equal(model.noise[0], [0.1, 0.2])
    assert model.noise[1] == 0 and model.predictor.alpha == 2 and model.batch_shape == (2,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpa": 1.0}, r"`parameter` must be one of 'sigma1', .* but is 'alpa'. Did you mean 'alpha'\?"),
        ({"decay": 0.5}, "`parameter` must be one of"),
        ({"normalize": True}, "`parameter` must be one of"),
        ({"sigma2": -1.0}, "`noise` must be two non-negative numbers"),
        ({"alpha": 0.0}, "`alpha` must be a positive number"),
    ],
)
def test_unknown_parameters_and_values_out_of_range_are_refused(parameters, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.Model("euclidean").replace(**parameters)
