"""A model with other numbers."""

import numpy as np
import pytest

import dynamics as dyn


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        (dyn.Model("cosine"), ("weight_decay", "sigma1", "sigma2", "alpha", "epsilon", "tracking")),
        (dyn.Model("cosine", predictor=dyn.NoPredictor()), ("weight_decay", "sigma1", "sigma2")),
        (
            dyn.Model("euclidean", predictor=dyn.Learned(2.0, 0.5), target=dyn.EMA(0.9), noise=(0.1, 0.2)),
            ("weight_decay", "sigma1", "sigma2", "rate", "init", "decay"),
        ),
    ],
    ids=str,
)
def test_each_number_is_replaced_and_no_other(model, numbers):
    assert model.parameter_names == numbers

    def values(model):
        parts = {name: getattr(part, name) for part in (model.predictor, model.target) for name in vars(part)}
        return parts | {"weight_decay": model.weight_decay, "sigma1": model.noise[0], "sigma2": model.noise[1]}

    for name in numbers:
        other = model.replace(**{name: 0.625})
        assert values(other) == values(model) | {name: 0.625}
        assert (other.loss, type(other.predictor), type(other.target)) == (
            model.loss,
            type(model.predictor),
            type(model.target),
        )


def test_several_at_once_and_arrays():
    model = dyn.Model("euclidean").replace(sigma1=[0.1, 0.2], alpha=2.0)
    np.testing.assert_array_equal(model.noise[0], [0.1, 0.2])
    assert model.noise[1] == 0 and model.predictor.alpha == 2 and model.batch_shape == (2,)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"alpa": 1.0}, r"`numbers` must be one of 'weight_decay', .* but is 'alpa'. Did you mean 'alpha'\?"),
        ({"decay": 0.5}, "`numbers` must be one of"),
        ({"normalize": True}, "`numbers` must be one of"),
        ({"sigma2": -1.0}, "`noise` must be two non-negative numbers"),
        ({"alpha": 0.0}, "`alpha` must be a positive number"),
    ],
)
def test_what_a_model_does_not_have_or_cannot_be(numbers, message):
    with pytest.raises(dyn.ArgumentError, match=message):
        dyn.Model("euclidean").replace(**numbers)
