"""First use: messages for likely mistakes say what to do, and the README's example needs no optional library."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import dynamics as dyn

ROOT = Path(__file__).resolve().parent.parent
EUCLIDEAN = dyn.Model("euclidean")
COUPLED = dyn.Model("|p - sg(z2)|^2 / |z1|^2")
TIMES = [0.0, 1.0]
z = np.random.default_rng(0).standard_normal((50, 4))  # representations, one in each row


class Tensor:
    """A tensor that is no array as long as a gradient is recorded."""

    def __array__(self, *arguments, **options):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self


MISTAKES = {  # a likely mistake: (call, what the message advises)
    "parameter without value": (
        lambda: dyn.Loss("|p - sg(z2)|^2 / 2 + nu * |z1|^2"),
        "known names are z1, z2, p, W_P. If `nu` is a parameter, give its value: "
        "Loss.parse('|p - sg(z2)|^2 / 2 + nu * |z1|^2', nu=0.1).",
    ),
    "value as keyword": (
        lambda: dyn.Loss("|p|^2 + nu * |z1|^2", nu=0.1),
        "Loss takes parameters in a dictionary; use dyn.Loss.parse('|p|^2 + nu * |z1|^2', nu=0.1).",
    ),
    "misspelt parameter": (lambda: dyn.Loss.parse("|p|^2 * beta", bta=1.0), "Did you mean `bta`?"),
    "reserved name": (
        lambda: dyn.Loss.parse("|p|^2 * alpha", alpha=0.1),
        "Argument `parameters` must have as keys names that are not reserved, but has the key 'alpha'. "
        "Use another name, such as alpha_, in the expression and for its value.",
    ),
    "reserved name without value": (
        lambda: dyn.Model("|p|^2 * tau"),
        "such as tau_, in the expression and for its value",
    ),
    "reserved kind of name": (lambda: dyn.Loss.parse("|p|^2 * _c", _c=0.1), "such as c_, in the expression and for"),
    "no identifier": (lambda: dyn.Loss("|p|^2", {"a b": 0.1}), "must have as keys ASCII identifiers, but has the key"),
    "arrays of noise of different lengths": (
        lambda: dyn.Model("cosine", noise=(np.zeros(2), np.zeros(3))),
        "must have shapes that broadcast, but the shapes are sigma1 (2,), sigma2 (3,).",
    ),
    "arrays of parameters of different lengths": (
        lambda: dyn.Model("cosine", weight_decay=[0.1, 0.2], predictor=dyn.ClosedForm([1.0, 2.0, 3.0])),
        "must have shapes that broadcast, but the shapes are weight_decay (2,), alpha (3,).",
    ),
    "no recorded time": (
        lambda: dyn.solve(EUCLIDEAN, [0.1], TIMES).select(t=(5, 10)),
        "but is (5, 10).",
    ),
    "equilibria of coupled modes": (
        lambda: dyn.equilibria(COUPLED, [0.1, 0.5]),
        "for other models use `phase_diagram`, or `solve` with until='steady'",
    ),
    "equilibria of a learned predictor": (
        lambda: dyn.equilibria(dyn.Model("cosine", predictor=dyn.Learned()), [0.1, 0.5]),
        "for other models use `phase_diagram`, or `solve` with until='steady'",
    ),
    "bifurcation of coupled modes": (
        lambda: dyn.bifurcation(COUPLED, "weight_decay", (0, 0.1), [0.1, 0.5]),
        "for other models use `phase_diagram`, or `solve` with until='steady'",
    ),
    "collapse of coupled modes": (
        lambda: dyn.collapse(COUPLED, [0.1, 0.5]),
        "for other models use `phase_diagram`, or `solve` with until='steady'",
    ),
    "detach": (lambda: dyn.Loss.parse("|p - detach(z2)|^2"), "Did you mean `sg`?"),
    "matrix product": (lambda: dyn.Model("-p @ z2"), "scalar products are written `p . z2`"),
    "ln": (lambda: dyn.Loss.parse("ln(|p|)"), "Did you mean `log`?"),
    "parameter in an expression": (
        lambda: dyn.Model("|p - sg(z2)|^2 + beta * |z1|^2"),
        "If `beta` is a parameter, give its value: Loss.parse('|p - sg(z2)|^2 + beta * |z1|^2', beta=0.1).",
    ),
    "stop-gradient of an expression": (
        lambda: dyn.Model("|p - z2|^2", stop_gradient="target"),
        "because stop-gradients are written into the expression as sg(...), but is 'target'",
    ),
    "product without sign": (lambda: dyn.Model("|p| |z2|"), "write products with `*`, and scalar products with `.`"),
    "alpha of a model": (lambda: dyn.Model("cosine", alpha=0.5), "Use predictor=ClosedForm(alpha=...)."),
    "decay of a model": (lambda: dyn.Model("cosine", decay=0.9), "Use target=EMA(decay=...)."),
    "sigma of a model": (lambda: dyn.Model("cosine", sigma2=0.1), "Use noise=(sigma1, sigma2)."),
    "misspelt option": (lambda: dyn.Model("cosine", isotropc=True), "Did you mean `isotropic`?"),
    "wd": (lambda: dyn.Model("cosine", wd=0.1), "Did you mean `weight_decay`?"),
    "one noise": (lambda: dyn.Model("cosine", noise=0.1), "but is 0.1. Give a pair (sigma1, sigma2)"),
    "noise as text": (lambda: dyn.Model("cosine", noise="0.1"), "but is '0.1'. Give a pair (sigma1, sigma2)"),
    "variances as inputs": (lambda: dyn.Model("cosine", inputs=[1.0, 0.5]), "use np.diag(variances)"),
    "representations": (
        lambda: dyn.solve(EUCLIDEAN, z, TIMES),
        "the eigenvalues np.linalg.eigvalsh(z.T @ z / len(z)).",
    ),
    "correlation": (lambda: dyn.solve(EUCLIDEAN, z.T @ z, TIMES), "pass its eigenvalues: np.linalg.eigvalsh(C)."),
    "weights": (lambda: dyn.iterate(EUCLIDEAN, z.T, 3, 0.1), "the eigenvalues np.linalg.eigvalsh(W0 @ W0.T)."),
    "one eigenvalue": (lambda: dyn.solve(EUCLIDEAN, 0.1, TIMES), "but is 0.1. For one mode use [0.1]."),
    "tensor": (lambda: dyn.solve(EUCLIDEAN, Tensor(), TIMES), "Pass a tensor as NumPy array: .detach().cpu().numpy()."),
    "eigenvalues for train": (
        lambda: dyn.train(EUCLIDEAN, [0.1, 0.5], 3, 0.1),
        "A network starts from weights; if these are eigenvalues s0, use np.diag(s0**0.5).",
    ),
    "eigenvalues with inputs": (
        lambda: dyn.solve(dyn.Model("cosine", inputs=np.eye(2)), [0.1, 0.5], TIMES),
        "A model with `inputs` starts from weights; if these are eigenvalues s0, use np.diag(s0**0.5).",
    ),
    "transposed weights": (lambda: dyn.train(EUCLIDEAN, z, 3, 0.1), "The rows are the units, the columns the inputs"),
    "one time": (
        lambda: dyn.solve(EUCLIDEAN, [0.1], 10),
        "but is 10. For times up to 10 use np.linspace(0, 10, 101).",
    ),
    "axis of a phase diagram": (
        lambda: dyn.phase_diagram(EUCLIDEAN, [0.5], "weight_decay", ("learning_rate", (0.1, 1.0))),
        "a pair (name, range), such as ('weight_decay', (0, 0.4)), but is 'weight_decay'",
    ),
    "flat axis of a phase diagram": (
        lambda: dyn.phase_diagram(EUCLIDEAN, [0.5], ("weight_decay", 0, 0.4), ("learning_rate", (0.1, 1.0))),
        "a pair (name, range), such as ('weight_decay', (0, 0.4)), but is ('weight_decay', 0, 0.4)",
    ),
    "rho": (lambda: dyn.bifurcation(EUCLIDEAN, "rho", (0.0, 0.3)), "but is 'rho'. Did you mean 'weight_decay'?"),
    "noise of replace": (lambda: EUCLIDEAN.replace(noise=0.1), "but is 'noise'. Did you mean 'sigma2'?"),
    "lr": (lambda: EUCLIDEAN.replace(lr=0.1), "but is 'lr'."),  # this model has none: no suggestion
}


MISTAKES |= {
    "text as eigenvalues": (
        lambda: dyn.solve(EUCLIDEAN, "0.1,0.5", TIMES),
        "Write numbers without quotes.",
    ),
    "texts as eigenvalues": (lambda: dyn.solve(EUCLIDEAN, ["0.1"], TIMES), "Write numbers without quotes."),
    "complex eigenvalues": (
        lambda: dyn.solve(EUCLIDEAN, np.linalg.eigvals([[0, 1], [-1, 0]]), TIMES),
        "are real with np.linalg.eigvalsh",
    ),
    "name of a loss": (
        lambda: dyn.solve("cosine", [0.1], TIMES),
        "be a Model, such as Model('cosine'), but",
    ),
    "class of a predictor": (lambda: dyn.Model("cosine", predictor=dyn.EMA), "NoPredictor(), but is <class"),
    "class in place of an object": (lambda: dyn.Model("cosine", target=dyn.EMA), "EMA'>. Write EMA(decay)."),
    "option of a component": (
        lambda: dyn.ClosedForm(alhpa=1),
        "Did you mean `alpha`?",
    ),
    "option of no predictor": (lambda: dyn.NoPredictor(alpha=1), "has no option `alpha`; its options are none."),
    "steps as float": (
        lambda: dyn.iterate(EUCLIDEAN, [0.1], 1e3, 0.1),
        "but is 1000.0. Write 1000.",
    ),
    "times as steps": (
        lambda: dyn.iterate(EUCLIDEAN, [0.1], np.linspace(0, 1, 5), 0.1),
        "Give their number; the argument `record` selects steps, and `solve` takes times.",
    ),
    "another predictor": (lambda: EUCLIDEAN.replace(predictor=dyn.Learned()), "Create another model with `predictor`."),
    "correlation of equilibria": (lambda: dyn.equilibria(EUCLIDEAN, np.eye(3)), "eigenvalues: np.linalg.eigvalsh(C)."),
    "parameter of a model": (
        lambda: dyn.Model("|p|^2 + beta * |z1|^2", beta=0.1),
        "A parameter of a loss is given with its expression: Loss.parse('...', beta=...).",
    ),
    "plane without learning rate": (
        lambda: dyn.phase_diagram(EUCLIDEAN, [0.5], ("weight_decay", (0, 0.4)), ("sigma1", (0, 1))),
        "`learning_rate` must be given, unless `x` or `y` has the name 'learning_rate'",
    ),
    "array as predictor": (lambda: dyn.Model("cosine", predictor=np.eye(2)), "or NoPredictor(), but is [[1., 0.],"),
    "ragged steps": (lambda: dyn.iterate(EUCLIDEAN, [0.1], [[1], [1, 2]], 0.1), "Give their number"),
    "one choice": (lambda: dyn.solve(EUCLIDEAN, [0.1], TIMES, until=True), "`until` must be 'steady', but is True"),
}


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: dyn.iterate(EUCLIDEAN, [0.1], 10, lr=0.1), "keyword argument 'lr'. Did you mean `learning_rate`?"),
        (lambda: dyn.solve(EUCLIDEAN, [0.1], steps=10), "keyword argument 'steps'. Did you mean `times`?"),
        (lambda: dyn.train(EUCLIDEAN, s0=[0.1], steps=10), "keyword argument 's0'. Did you mean `W0`?"),
        (
            lambda: dyn.equilibria(EUCLIDEAN),
            "argument: 's0'. Call it as equilibria(model, s0, *, learning_rate, momentum).",
        ),
        (lambda: dyn.design(time=5), "keyword argument 'time'. Call it as design(target, model, *, between)."),
        (
            lambda: dyn.prepare(EUCLIDEAN, 2, TIMES),
            "but 3 were given. Call it as prepare(model, *, modes, times, method, **options).",
        ),
        (lambda: dyn.solve(EUCLIDEAN, [0.1], TIMES).select(time=0), "argument 'time'. Did you mean `t`?"),
        (
            lambda: dyn.solve(EUCLIDEAN, [0.1], TIMES).select(qwertz=0),
            "argument 'qwertz'. Call it as select(*, t, step, modes, members, nearest).",
        ),
    ],
)
def test_a_call_with_wrong_arguments_names_the_right_ones(call, advice):
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value).endswith(advice)


def test_an_error_inside_of_a_call_is_no_wrong_call(monkeypatch):
    def fails(*_):
        raise TypeError("inside")

    monkeypatch.setattr(EUCLIDEAN.__class__, "check_start", fails)
    with pytest.raises(TypeError, match=r"^inside$"):
        dyn.solve(EUCLIDEAN, [0.1], TIMES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_for_a_likely_mistake_says_what_to_do(mistake):
    call, advice = MISTAKES[mistake]
    with pytest.raises(dyn.ArgumentError) as raised:
        call()
    assert advice in str(raised.value) and "\n" not in str(raised.value)


def test_the_advice_on_s0_gives_a_start_also_for_a_collapsed_representation():
    collapsed = np.column_stack([z, z.sum(axis=1)])  # an eigenvalue of zero, which rounding makes negative
    eigenvalues = np.linalg.eigvalsh(collapsed.T @ collapsed / len(z))
    flow = dyn.solve(EUCLIDEAN, eigenvalues - eigenvalues[0] - 1e-16, TIMES)
    assert flow.s[0, 0] == 0 and flow.complete
    with pytest.raises(dyn.ArgumentError, match="`s0` must be finite and non-negative"):
        dyn.solve(EUCLIDEAN, [-1e-12, 0.5], TIMES)


def test_a_message_has_the_shape_of_a_matrix_in_place_of_its_values():
    with pytest.raises(dyn.ArgumentError, match=r"but is <array of shape \(50, 4\) with values from -\S+ to \S+>\. If"):
        dyn.solve(EUCLIDEAN, z, TIMES)


C = np.abs(z.T @ z) / len(z)  # positive semidefinite, because its diagonal dominates


@pytest.mark.parametrize(("s0", "advice"), [(C, "eigvalsh(C)"), (np.maximum(z, 0), "eigvalsh(z.T @ z / len(z))")])
def test_an_ensemble_that_looks_like_a_matrix_is_solved_with_a_warning(s0, advice):
    with pytest.warns(UserWarning, match=re.escape(f"`s0` is an ensemble of {len(s0)} sets of eigenvalues.")) as caught:
        flow = dyn.solve(EUCLIDEAN, s0, TIMES)
    assert flow.s.shape == (len(s0), 2, 4) and advice in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "s0",
    [
        np.abs(z),  # may be weights, or random starts: printed as "ensemble of 50 members of 4 modes"
        np.linspace(0.1, 0.9, 4),
        np.eye(4),
        [[0.1, 0.5], [0.5, 0.1]],
        np.tile([0.0, 0.1, 0.5], (100, 1)),
        [np.roll([0.1, 0.2, 0.3, 0.4], i) for i in range(4)],
        np.maximum(z[:5], 0),
    ],
)
def test_other_ensembles_are_solved_without_a_warning(s0):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dyn.solve(EUCLIDEAN, s0, TIMES)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("sovle", "solve"),
        ("equilibriums", "equilibria"),
        ("simulate", "solve"),
        ("Ema", "EMA"),
        ("closedform", "ClosedForm"),
        ("phasediagram", "phase_diagram"),
        ("Colapse", "Collapse"),
        ("colapse", "collapse"),
    ],
)
def test_an_unknown_name_of_the_package_suggests_the_nearest(name, near):
    with pytest.raises(AttributeError, match=rf"^`dynamics` has no `{name}`. Did you mean `{near}`\?$"):
        getattr(dyn, name)


def test_an_unknown_name_without_a_similar_one_suggests_nothing():
    with pytest.raises(AttributeError, match=r"^`dynamics` has no `qwertz`\.$"):
        dyn.qwertz  # noqa: B018
    assert not hasattr(dyn, "__wrapped__")


@pytest.mark.parametrize(
    ("name", "near"),
    [("times", "t"), ("time", "t"), ("eigenvalues", "s"), ("steps", "step"), ("predictors", "predictor")],
)
def test_an_unknown_name_of_a_result_suggests_the_nearest(name, near):
    flow = dyn.solve(EUCLIDEAN, [0.1], TIMES)
    with pytest.raises(AttributeError, match=rf"^`Trajectory` has no `{name}`. Did you mean `{near}`\?$"):
        getattr(flow, name)
    assert not hasattr(flow, "_repr_png_") and not hasattr(flow, "qwertz")


def test_an_error_inside_of_a_property_of_a_result_is_not_hidden():
    class Broken(dyn.Trajectory):
        @property
        def modes(self):
            raise AttributeError("inside")

    flow = dyn.solve(EUCLIDEAN, [0.1], TIMES)
    with pytest.raises(AttributeError, match=r"^inside$"):
        Broken(flow.model, flow.kind, flow.t, flow.s, flow.target, flow.predictor, flow.method).modes  # noqa: B018


@pytest.mark.long
def test_the_start_of_the_readme_has_the_order_of_the_network():
    names = _run_readme()
    np.testing.assert_allclose(names["network"].s[-1], names["theory"].s[-1], rtol=0.01)


def _run_readme():
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    names = {}
    exec(example.partition("print(")[0], names)
    return names


def test_the_user_defined_loss_of_the_readme_is_a_model():
    (expression,) = re.findall(r'dyn\.Model\("(\|.*?)"\)', (ROOT / "README.md").read_text())
    assert dyn.Model(expression).loss.text == expression


EXTRAS = ("xarray", "pandas", "zarr", "equinox", "optax", "sklearn", "threadpoolctl", "distributed", "latex2mathml")


@pytest.mark.long
def test_the_example_of_the_readme_needs_no_extra(tmp_path):
    """As after an installation without extras."""
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    start = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nsys.modules.update(dict.fromkeys({EXTRAS}))\n"
    environment = {"MPLBACKEND": "Agg", "HOME": str(tmp_path)}
    run = [sys.executable, "-W", "error", "-c", start + example]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Network against theory") and (tmp_path / "cosine.png").stat().st_size
