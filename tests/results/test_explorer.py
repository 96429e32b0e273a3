"""Interactive figures: the curves of the picture, with values under the pointer."""

import numpy as np
import pytest

import dynamics as dyn
from dynamics import errors
from dynamics.results.explorer import MOST_POINTS
from tests.presentation.texts import plain
from tests.results.makers import made


def test_each_mode_is_a_curve_with_a_label_under_the_pointer():
    flow = made("exact flow")
    figure = flow.explore()
    np.testing.assert_array_equal([trace.y for trace in figure.data], flow.s.T)
    np.testing.assert_array_equal(figure.data[0].x, flow.t)
    assert [trace.showlegend for trace in figure.data] == [True, False]
    assert "mode 2, in order of initial eigenvalues<br>t = %{x" in figure.data[1].hovertemplate
    assert figure.layout.yaxis.type == "log" and plain(figure.layout.title.text) == "euclidean loss"
    assert figure.layout.yaxis.title.text == "eigenvalue s<sub>m</sub>"


def test_modes_are_in_order_of_their_initial_eigenvalues():
    flow = dyn.solve(dyn.Model("euclidean"), [0.5, 0.1], [0.0, 1.0])
    np.testing.assert_array_equal([trace.y for trace in flow.explore().data], flow.s.T[::-1])


def test_the_title_is_broken_into_lines_and_the_legend_states_another_model():
    model = dyn.Model(dyn.Loss.parse("|p - sg(z2)|^2 / 2" + " + beta * |z1|^2" * 10, beta=0.1))
    flow = dyn.solve(model, [0.1], [0.0, 1.0])
    figure = dyn.solve(model.replace(beta=0.2), [0.1], [0.0, 1.0]).explore(flow.explore())
    assert "<br>" in figure.layout.title.text
    assert figure.data[0].name == "theory: flow"
    assert "user-defined loss" in plain(figure.data[1].name) and "0.2" in figure.data[1].name
    assert [trace.line.dash for trace in figure.data] == ["solid", "dash"]


def test_theory_and_network_share_a_figure():
    model, s0 = dyn.Model("euclidean"), np.array([0.2, 0.5])
    network = dyn.train(model, np.diag(np.sqrt(s0)), 200, 0.1, batch_size=100)
    figure = network.explore(dyn.iterate(model, s0, 200, 0.1).explore())
    assert [trace.mode for trace in figure.data] == ["lines"] * 2 + ["markers"] * 2
    assert [trace.name for trace in figure.data if trace.showlegend] == ["theory: descent map", "network"]
    assert len(figure.data[3].x) == MOST_POINTS and figure.data[3].x[-1] == 200
    assert figure.data[3].zorder < figure.data[1].zorder


def test_an_ensemble_has_median_and_band():
    ensemble = made("wide ensemble")
    low, high, median, *_ = ensemble.explore().data
    np.testing.assert_allclose(median.y, np.median(ensemble.s[..., 0], axis=0), rtol=1e-12)
    np.testing.assert_allclose([low.y, high.y], np.quantile(ensemble.s[..., 0], [0.05, 0.95], axis=0), rtol=1e-12)
    assert high.fill == "tonexty"


def test_the_pointer_shows_which_member_has_which_value():
    model = dyn.Model("euclidean", weight_decay=[0.0, 0.1])
    first, second = dyn.solve(model, [0.1], [0.0, 1.0]).explore().data
    assert "weight decay 0<br>" in plain(first.hovertemplate) and "weight decay 0.1<br>" in plain(second.hovertemplate)
    assert first.name == second.name == "theory: flow, 2 members"


def test_a_figure_without_values_states_the_reason():
    (note,) = dyn.solve(dyn.Model("euclidean"), [0.0], [0.0, 1.0]).explore().layout.annotations
    assert note.text == "no values above zero, which a logarithmic axis requires"


def test_every_result_can_be_explored(result):
    assert result.explore().to_json()


def test_a_flow_is_not_drawn_over_steps_but_steps_over_time():
    with pytest.raises(dyn.ArgumentError, match="Argument `figure` must show time"):
        made("flow").explore(made("descent").explore())
    both = made("descent").explore(made("flow").explore())
    np.testing.assert_array_equal(both.data[-1].x, made("descent").t)


def test_another_figure_or_quantity_is_refused():
    with pytest.raises(dyn.ArgumentError, match="Argument `figure` must be a Plotly figure"):
        made("flow").explore(1)
    with pytest.raises(dyn.ArgumentError, match="Argument `quantity` must be one of"):
        made("flow").explore(quantity="loss")


def test_without_plotly_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.MissingExtraError, match=r"plotly.*pip install \"\.\[interactive\]\""):
        made("flow").explore()
