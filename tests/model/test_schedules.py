"""Schedules as arguments: numbers, arrays and functions of the step or of time, and what is refused."""

import math

import numpy as np
import optax
import pytest

import dynamics as dyn
from dynamics.model.schedules import StepSchedules, TimeSchedules

MODEL = dyn.Model("euclidean", target=dyn.EMA(0.9), predictor=dyn.ClosedForm(tracking=0.5))
STEPS = np.arange(7)


def at_steps(learning_rate, schedules=None, steps=7):
    return StepSchedules.of(MODEL, steps, learning_rate, schedules)


FORMS = {
    "array": lambda: 0.1 * 0.9**STEPS,
    "list": lambda: (0.1 * 0.9**STEPS).tolist(),
    "function of an array": lambda: lambda step: 0.1 * 0.9**step,
    "function of a number": lambda: lambda step: 0.1 * math.pow(0.9, step),
    "function with a branch": lambda: lambda step: 0.1 * 0.9**step if step < 100 else 0.0,
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_a_schedule_have_the_same_values(form):
    np.testing.assert_allclose(at_steps(FORMS[form]()).learning_rate, 0.1 * 0.9**STEPS, rtol=1e-15)
    decay = at_steps(0.1, {"decay": FORMS[form]()}).parameters["decay"]
    np.testing.assert_allclose(decay, 0.1 * 0.9**STEPS, rtol=1e-15)


def test_a_function_is_called_once_for_all_steps_if_it_takes_an_array():
    calls = []

    def rate(step):
        calls.append(step)
        return 0.1 / (1 + np.asarray(step))

    at_steps(rate, steps=1000)
    assert len(calls) == 3  # the two ends, and all steps together


def test_a_function_that_treats_an_array_as_a_whole_is_called_step_by_step():
    falling = at_steps(lambda step: 0.1 / (1 + np.sum(step)) + 0 * step)
    np.testing.assert_allclose(falling.learning_rate, 0.1 / (1 + STEPS), rtol=1e-15)


@pytest.mark.parametrize(
    "schedule",
    [
        optax.cosine_decay_schedule(0.1, 7),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 7),
        optax.piecewise_constant_schedule(0.1, {3: 0.5}),
        optax.exponential_decay(0.1, 2, 0.5, staircase=True),
    ],
)
def test_optax_schedules_are_functions_of_the_step(schedule):
    values = [float(schedule(step)) for step in range(7)]
    np.testing.assert_allclose(at_steps(schedule).learning_rate, values, rtol=1e-6)  # Optax has single precision


@pytest.mark.parametrize("constant", [np.full(7, 0.1), [0.1] * 7, lambda step: 0.1, optax.constant_schedule(0.1)])
def test_a_constant_schedule_is_a_number(constant):
    assert at_steps(constant).learning_rate == 0.1 and at_steps(constant).are_constant
    assert at_steps(0.1, {"decay": constant}).parameters == {"decay": 0.1}


def test_times_are_sums_of_learning_rates():
    scheduled = at_steps(FORMS["array"]())
    expected = [sum(0.1 * 0.9**k for k in range(step)) for step in (0, 3, 7)]
    np.testing.assert_allclose(scheduled.times(np.array([0, 3, 7])), expected, rtol=1e-14)
    np.testing.assert_array_equal(at_steps(0.1).times(STEPS), 0.1 * STEPS)


def test_no_steps_need_no_values():
    assert at_steps(lambda step: 0.1 * 0.9**step, steps=0).times(np.array([0])).tolist() == [0.0]


def test_a_number_needs_no_memory_for_steps():
    assert at_steps(0.1, {"decay": 0.5}, steps=10**12).at(10**11) == (0.1, {"decay": 0.5})


def test_values_at_a_step_are_for_the_fields_of_parameters():
    rate, values = at_steps(FORMS["array"](), {"weight_decay": 0.5 * STEPS, "tracking": 0.25}).at(3)
    assert rate == pytest.approx(0.1 * 0.9**3) and values == {"rho": 1.5, "tracking": 0.25}


def test_functions_of_time_are_called_at_any_time():
    times = np.array([0.0, 1.0])
    flow = TimeSchedules.of(MODEL, times, lambda t: 0.1 + t, {"decay": lambda t: 0.5 * t, "weight_decay": 0.25})
    assert flow.at(0.75) == (0.85, {"decay": 0.375, "rho": 0.25})
    assert flow.settings == {"learning_rate": [0.1, 1.1], "schedules": {"decay": [0.0, 0.5], "weight_decay": 0.25}}


ENSEMBLE = dyn.Model("euclidean", weight_decay=[0.0, 0.1])
REFUSED = {
    "too few values": (
        lambda: at_steps([0.1, 0.2]),
        "`learning_rate` must be a number, an array with one value for each of the 7 steps, or a function of the step, "
        "but has shape (2,)",
    ),
    "a value for each member": (lambda: at_steps(np.ones((2, 7))), "but has shape (2, 7)"),
    "a negative rate": (lambda: at_steps(0.1 - 0.05 * STEPS), "`learning_rate` must be a non-negative number, or"),
    "a rate of zero": (lambda: at_steps(0.0), "`learning_rate` must be a positive number, but is 0.0"),
    "a text": (lambda: at_steps("cosine"), "`learning_rate` must be a positive number, but is 'cosine'"),
    "a decay above 1": (
        lambda: at_steps(0.1, {"decay": 0.5 * STEPS}),
        "`schedules['decay']` must be a decay per step, between 0 and 1",
    ),
    "a tracking of 1": (
        lambda: at_steps(0.1, {"tracking": lambda step: 1.0}),
        "`schedules['tracking']` must be a decay per step that is at least 0 and below 1",
    ),
    "a negative weight decay": (
        lambda: at_steps(0.1, {"weight_decay": -1}),
        "`schedules['weight_decay']` must be a non-negative number",
    ),
    "a function that fails": (
        lambda: at_steps(lambda step: 1 / step),
        "`learning_rate` must be a function that returns a finite number, but at 0 it raises ZeroDivisionError",
    ),
    "a function of nothing": (lambda: at_steps(lambda: 0.1), "but at 0 it raises TypeError"),
    "a function to a text": (lambda: at_steps(lambda step: "0.1"), "must be a function that returns a finite number"),
    "a function to an array": (lambda: at_steps(lambda step: [0.1, 0.2]), "must be a function that returns a finite"),
    "no dictionary": (lambda: at_steps(0.1, [0.1]), "`schedules` must be a dictionary, such as"),
    "an unknown key": (
        lambda: at_steps(0.1, {"weight decay": 0.1}),
        "`key of schedules` must be one of 'weight_decay', 'decay', 'tracking', but is 'weight decay'. Did you mean",
    ),
    "a key of another model": (
        lambda: StepSchedules.of(dyn.Model("euclidean"), 7, 0.1, {"decay": 0.5}),
        "`key of schedules` must be one of 'weight_decay', 'tracking', but is 'decay'",
    ),
    "a parameter of the rates": (
        lambda: at_steps(0.1, {"alpha": 0.5}),
        "`schedules` must have keys among ['weight_decay', 'decay', 'tracking'], because only the learning rate and "
        "parameters of the update rule have schedules, but is 'alpha'",
    ),
    "an ensemble of the parameter": (
        lambda: StepSchedules.of(ENSEMBLE, 7, 0.1, {"weight_decay": STEPS}),
        "`schedules` must be left out for `weight_decay`, which has an array of values in the model, an ensemble",
    ),
    "tracking without tracked correlation": (
        lambda: StepSchedules.of(dyn.Model("euclidean"), 7, 0.1, {"tracking": 0.5}),
        "`schedules` must be left out for `tracking` unless the model tracks the correlation",
    ),
    "more steps than fit into memory": (
        lambda: at_steps(lambda step: 0.1 / (1 + step), steps=10**12),
        "A schedule of 1,000,000,000,000 steps",
    ),
    "values in time": (
        lambda: dyn.solve(MODEL, [0.5], [0, 1], learning_rate=[0.1, 0.2]),
        "`learning_rate` must be a positive number",
    ),
    "values of a parameter in time": (
        lambda: dyn.solve(dyn.Model("euclidean"), [0.5], [0, 1], schedules={"weight_decay": [0.1, 0.2]}),
        "`schedules['weight_decay']` must be a number, or a function of time",
    ),
    "a rate of zero in time": (
        lambda: dyn.solve(MODEL, [0.5], [0, 1], learning_rate=lambda t: t),
        "`learning_rate` must be a positive number",
    ),
    "a rate that the flow does not have": (
        lambda: dyn.solve(dyn.Model("euclidean"), [0.5], [0, 1], learning_rate=lambda t: 0.1),
        "`learning_rate` must be left out, because the flow of this model does not depend on the learning rate",
    ),
    "a steady state": (
        lambda: dyn.solve(MODEL, [0.5], [0, 1], learning_rate=lambda t: 0.1 + t, until="steady"),
        "`until` must be left out with schedules, because a flow that depends on time has no steady state",
    ),
    "a compiled method": (
        lambda: dyn.solve(MODEL, [0.5], [0, 1], learning_rate=lambda t: 0.1 + t, method="jax"),
        "`method` must be 'auto' or 'scipy' with functions of time",
    ),
    "momentum at finite batch size": (
        lambda: dyn.iterate(dyn.Model("euclidean"), [0.5], 3, 0.1, momentum=0.9, batch_size=9, input_dimension=2),
        "`batch_size` must be left out with momentum, because fluctuations are predicted for steps that are all alike",
    ),
    "schedules at finite batch size": (
        lambda: dyn.iterate(dyn.Model("euclidean"), [0.5], 2, [0.1, 0.2], batch_size=9, input_dimension=2),
        "`batch_size` must be left out with schedules",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_schedules_are_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(dyn.ArgumentError) as error:
        call()
    assert message in str(error.value)
