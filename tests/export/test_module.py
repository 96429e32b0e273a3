"""Exported modules: the functions compute what the loss does, and need nothing of this package."""

import ast
import builtins
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics as dyn
from derivations.losses.catalogue import catalogue
from dynamics.networks.linear import over_modes
from dynamics.vector_field.weight_state import closed_form
from tests.marks import parametrize

ROOT = Path(__file__).resolve().parents[2]
RUFF = str(Path(sys.executable).parent / "ruff")
BATCH, M = 50, 5
LIBRARIES = ("jax", "torch")
GAINS = ("lambda^-1", "lambda^0.5", "1/(1 + (0.1/lambda)^4)", "max(lambda, 1.1) * min(lambda, 2)")
CUSTOM = {
    "parameter": dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |z1|^2", beta=0.1),
    "root of W_P": dyn.Loss.parse("|p - z2|^2 / 2 + z2 . (W_P^0.5 * z1)"),
    "exp": dyn.Loss.parse("exp(log(b) - p . sg(z2)) + exp(2) * |W_P * sg(p)|^2 / sqrt(2 * b)", b=0.7),
    "operator": dyn.Loss.parse("-(tanh(c * W_P) * z1) . sg(z2 / |z1|) + sqrt(c) * |z1| / 4", c=0.6),
    "extremes": dyn.Loss.parse("-(min(W_P, max(c, 0.2)) * z1) . sg(z2) * max(c, d)", c=0.6, d=0.9),
    "prediction of what is no prediction": dyn.Loss.parse("|p| + |W_P^2 * z1 + W_P * z2|"),
}
PREDICTORS = {
    "closed form": dyn.ClosedForm(0.5, 0.01),
    "normalized": dyn.ClosedForm(0.5, 0.25, normalize=True),
    "none": dyn.NoPredictor(),
    "learned": dyn.Learned(),
}


def models():
    """Name -> model: the catalogue, gains, and user-defined losses, with every predictor that they can have."""
    found = {}
    for setting in catalogue():
        options = {"isotropic": setting.isotropic, "stop_gradient": setting.stop_gradient}
        options["symmetrised"] = setting.symmetrised
        for kind, predictor in PREDICTORS.items():
            if setting.predictor == (kind != "none") and (kind != "learned" or setting.trains_predictor):
                found[f"{setting.name}, {kind}"] = dyn.Model(setting.loss, predictor=predictor, **options)
    for loss in ("euclidean", "cosine"):
        found |= {f"{loss}, {h}": dyn.Model(loss, gain=h, predictor=PREDICTORS["closed form"]) for h in GAINS}
    gain = dyn.Gain.parse("lambda^gamma * exp(c)", gamma=0.3, c=0.2)
    found["gain with parameters"] = dyn.Model("cosine", gain=gain, symmetrised=True)
    for name, loss in CUSTOM.items():
        found |= {f"{name}, {kind}": dyn.Model(loss, predictor=PREDICTORS[kind]) for kind in ("closed form", "none")}
    found["parameter, learned"] = dyn.Model(CUSTOM["parameter"], predictor=dyn.Learned())
    found["power, learned"] = dyn.Model(dyn.Loss.parse("-(W_P^2 * z1) . sg(z2) + |p|^4"), predictor=dyn.Learned())
    return found


MODELS = models()
DIRECTIONS = ("z1", "z2", "t1", "t2")


def written(model, library):
    """The module of a text, executed."""
    scope = {"__name__": "written"}
    exec(compile(model.to_jax() if library == "jax" else model.to_torch(), f"<{library}>", "exec"), scope)
    return SimpleNamespace(**scope)


def batch(dtype="float64", seed=0):
    """Representations z1, z2, t1, t2 (batch, M), correlated, and a correlation and a learned predictor (M, M)."""
    draw = np.random.default_rng(seed).standard_normal
    common, root = draw((BATCH, M)), draw((M, M)) / 16  # condition of C: 2
    views = [(common + 0.5 * draw((BATCH, M))) @ (np.eye(M) + root.T) for _ in DIRECTIONS]
    arrays = [*views, (np.eye(M) + root) @ (np.eye(M) + root).T, np.eye(M) + 0.2 * draw((M, M))]
    return [np.asarray(a, dtype) for a in arrays]


def reference_value(model, views, C, W_P):
    """The project's loss, of the generated module, with its own predictor; what is compared with."""
    learned = model.structure.predictor == "learned"
    z1, z2, t1, t2 = (z.T for z in views)
    numbers = [jnp.asarray(number, C.dtype) for number in model.parameters.of_loss]

    def predict(z, *function):
        if learned:
            return W_P @ z
        parameters = model.parameters.map(lambda a: a.astype(C.dtype))
        return closed_form(model.structure, parameters, C, *function) @ z

    loss = model.generated.loss(z1, z2, t1, t2, predict, over_modes, jax.lax.stop_gradient, *numbers)
    return loss.mean()


def exported_value(model, views, C, W_P, module, prediction="given"):
    """The written loss, called as in its docstring: of both directions where it is symmetrised."""
    z1, z2, t1, t2 = views
    more = {"correlation": C} if hasattr(module, "predictor") else {}
    kind = model.structure.predictor

    def one_way(z, t):
        if kind == "none":
            return module.loss(z, t)
        if kind == "learned":
            return module.loss(z @ W_P.T, z, t, **({"W_P": W_P} if "W_P" in arguments(module.loss) else {}))
        p = z @ module.predictor(C) if prediction == "given" and more else None
        return module.loss(p, z, t, **more)

    return (one_way(z1, t2) + one_way(z2, t1)) / 2 if model.symmetrised else one_way(z1, t2)


def arguments(function):
    return function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]


def deviation(found, expected):
    """The largest, relative to the largest entry."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(found, expected, strict=True)]
    assert all(np.isfinite(b).all() and a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3) for a, b in pairs)


def slopes(value, model, views, C, W_P, *rest):
    """Value, and gradients with respect to all representations and the predictor's matrix, by JAX."""
    *views, W_P, C = map(jnp.asarray, (*views, W_P, C))
    loss, found = jax.value_and_grad(lambda *a: value(model, a[:4], C, a[4], *rest), tuple(range(5)))(*views, W_P)
    return loss, *found


# Rounding: both compute the same few products and sums of 50 x 5 numbers, without cancellation, in another order.
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


WRITTEN = list(product(MODELS, TOLERANCE))


@parametrize(("name", "dtype"), WRITTEN, quick=WRITTEN[::21])
def test_jax_is_the_loss_with_its_gradients(name, dtype, double_precision):
    model, (*views, C, W_P) = MODELS[name], batch(dtype)
    module, expected = written(model, "jax"), slopes(reference_value, MODELS[name], views, C, W_P)
    for prediction in ("given", "computed"):
        found = slopes(exported_value, model, views, C, W_P, module, prediction)
        assert deviation(found, expected) < TOLERANCE[dtype]


class AsJax(ast.NodeTransformer):
    """PyTorch's text in the words of JAX: methods that stop gradients, and numbers that become tensors."""

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "detach":
            return ast.Call(ast.Name("stop_gradient", ast.Load()), [node.func.value], [])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "as_tensor":
            return node.args[0]
        return node

    def visit_Import(self, node):
        return None


TORCH_IN_JAX = {
    "sum": lambda a, dim, keepdim: jnp.sum(a, axis=dim, keepdims=keepdim),
    "amax": lambda a, dim, keepdim: jnp.max(a, axis=dim, keepdims=keepdim),
    "clamp": lambda a, min=None, max=None: jnp.clip(a, min, max),
    "linalg": jnp.linalg,
} | {name: getattr(jnp, name) for name in ("sqrt", "exp", "log", "tanh", "mean")}


@parametrize("name", MODELS, quick=list(MODELS)[::15])
def test_the_torch_module_is_the_jax_module_in_other_words(name, double_precision):
    """Without PyTorch: its text, its words understood by JAX. Those marked ``torch`` are with PyTorch."""
    model, (*views, C, W_P) = MODELS[name], batch()
    tree = ast.fix_missing_locations(AsJax().visit(ast.parse(model.to_torch())))
    scope = {"torch": SimpleNamespace(**TORCH_IN_JAX), "stop_gradient": jax.lax.stop_gradient}
    exec(compile(tree, "<torch>", "exec"), scope)
    for prediction in ("given", "computed"):
        found = slopes(exported_value, model, views, C, W_P, SimpleNamespace(**scope), prediction)
        assert deviation(found, slopes(reference_value, model, views, C, W_P)) < TOLERANCE["float64"]


# --- the closed form ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [False, True])
def test_the_predictor_is_the_closed_form(normalize, double_precision):
    """W_P^2 = C + epsilon for alpha = 1/2; a product of 5 x 5 numbers rounds to some 1e-15 of them."""
    module = written(dyn.Model("cosine", predictor=dyn.ClosedForm(0.5, 0.3, normalize=normalize)), "jax")
    C = batch()[4]
    W_P = module.predictor(jnp.asarray(C))
    size = np.linalg.eigvalsh(C).max() if normalize else 1.0
    np.testing.assert_allclose(W_P @ W_P, C / size + 0.3 * np.eye(M), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(module.predictor(jnp.asarray(C), alpha=1, epsilon=0) * size, C, rtol=1e-13, atol=1e-14)


def test_the_correlation_is_that_of_the_batch_unless_given(double_precision):
    z, target = (jnp.asarray(a) for a in batch()[:2])
    module = written(dyn.Model("cosine", gain="lambda^0.5", predictor=dyn.ClosedForm(tracking=0.9)), "jax")
    C = np.asarray(z).T @ np.asarray(z) / BATCH
    np.testing.assert_allclose(module.batch_correlation(z), C, rtol=1e-13, atol=1e-14)
    assert not jax.grad(lambda z: module.batch_correlation(z).sum())(z).any()
    given = jax.grad(module.loss, 1)(None, z, target, jnp.asarray(C))
    np.testing.assert_allclose(jax.grad(module.loss, 1)(None, z, target), given, rtol=1e-10, atol=1e-14)
    assert np.abs(jax.grad(module.loss, 1)(None, z, target, jnp.eye(M)) - given).max() > 1e-3
    assert not jax.grad(module.loss, 3)(None, z, target, jnp.asarray(C)).any()
    np.testing.assert_allclose(module.tracked(jnp.eye(M), z), 0.9 * np.eye(M) + 0.1 * C, rtol=1e-14)


def degenerate():
    """Representations (M, M) whose correlation is exactly diagonal, with two equal eigenvalues and one that is zero."""
    return np.sqrt(M) * np.diag([1.0, 1.0, 2.0, 0.0, 0.5])


@pytest.mark.parametrize(
    "options", [{"isotropic": True}, {"gain": GAINS[1]}, {"gain": GAINS[2]}, {"gain": GAINS[3]}, {}], ids=str
)
def test_equal_and_vanishing_eigenvalues_are_harmless(options, double_precision):
    text = dyn.Model("euclidean", **options).to_jax()
    naive = text.replace("stop_gradient(z)\n", "z\n").replace("eigh(stop_gradient(correlation))", "eigh(correlation)")
    z, target = jnp.asarray(degenerate()), jnp.asarray(batch()[0][:M])
    found = {}
    for name, code in {"kept": text, "naive": naive}.items():
        scope = {}
        exec(code, scope)
        found[name] = jax.grad(scope["loss"], 1)(None, z, target)
    assert np.isfinite(found["kept"]).all() and np.abs(found["kept"]).max() > 0.1
    assert options == {"isotropic": True} or not np.isfinite(found["naive"]).all()  # where W_P is behind sg


def test_eigenvalues_below_zero_are_rounding(double_precision):
    C = jnp.asarray(np.outer(np.arange(1.0, 6), np.arange(1.0, 6)))
    assert np.linalg.eigvalsh(C).min() < 0
    W_P = written(dyn.Model("euclidean", predictor=dyn.ClosedForm(0.5)), "jax").predictor(C)
    np.testing.assert_allclose(W_P @ W_P, C, atol=1e-12)


# --- parameters -----------------------------------------------------------------------------------------------------


def defaults(function):
    return function.__kwdefaults__ or {}


def test_parameters_are_arguments_with_the_values_of_the_model(double_precision):
    loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |W_P^gamma * z1|^2", beta=0.1, gamma=0.5)
    model = dyn.Model(loss, predictor=dyn.ClosedForm(0.7, 0.2))
    module, (z, target, *_) = written(model, "jax"), map(jnp.asarray, batch())
    assert defaults(module.loss) == {"alpha": 0.7, "epsilon": 0.2, "beta": 0.1, "gamma": 0.5}
    for name in defaults(module.loss):
        other = written(model.replace(**{name: 1.25}), "jax").loss(None, z, target)
        assert module.loss(None, z, target, **{name: 1.25}) == other != module.loss(None, z, target)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_signature_has_the_inputs_of_the_loss(library):
    def signature(model):
        (function,) = (node for node in tree(model, library).body if getattr(node, "name", "") == "loss")
        return [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]

    power = dyn.Loss.parse("-(W_P^2 * z1) . sg(z2)")
    closed = ["p", "z", "target", "correlation", "alpha", "epsilon"]
    assert signature(dyn.Model("cosine")) == closed
    assert signature(dyn.Model("cosine", gain="lambda^0.5")) == closed
    assert signature(dyn.Model("cosine", predictor=dyn.Learned())) == ["p", "z", "target"]
    assert signature(dyn.Model(power, predictor=dyn.Learned())) == ["p", "z", "target", "W_P"]
    assert signature(dyn.Model("cosine", predictor=dyn.NoPredictor())) == ["z", "target"]
    assert signature(dyn.Model(dyn.Loss.parse("|z1 - sg(z2)|^2"))) == ["p", "z", "target"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dyn.Model("cosine", predictor=dyn.ClosedForm([0.5, 1.0])), "`alpha` must be a single number"),
        (dyn.Model("cosine", weight_decay=[0.0, 1.0]), "`weight_decay` must be a single number"),
        (dyn.Model("cosine", noise=(0.0, [0.1, 0.2])), "`sigma2` must be a single number"),
        (dyn.Model(CUSTOM["parameter"].replace(beta=[0.1, 0.2])), "`beta` must be a single number"),
        (dyn.Model(dyn.Loss.parse("|p - z2|^2 * target", target=1.0)), "`loss` must have no parameter named `target`"),
        (dyn.Model("cosine", gain=dyn.Gain.parse("U * lambda", U=1.0)), "`gain` must have no parameter named `U`"),
    ],
    ids=["alpha", "weight_decay", "noise", "number", "name in a loss", "name in a gain"],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_arrays_and_reserved_names_are_refused(library, model, message):
    with pytest.raises(dyn.ArgumentError, match=f"Argument {message}"):
        getattr(model, f"to_{library}")()


def test_local_names_give_way_to_parameters(double_precision):
    loss = dyn.Loss.parse("-p . sg(z2) / |p|^norm_p * p_dot_target", norm_p=1.5, p_dot_target=2.0)
    model, (*views, C, W_P) = dyn.Model(loss), batch()
    found = slopes(exported_value, model, views, C, W_P, written(model, "jax"))
    assert deviation(found, slopes(reference_value, model, views, C, W_P)) < TOLERANCE["float64"]


# --- the text -------------------------------------------------------------------------------------------------------


def tree(model, library):
    return ast.parse(getattr(model, f"to_{library}")())


def unknown_names(module):
    """Names that a module speaks of, and neither imports, defines nor finds in Python."""
    given = {a.asname or a.name for n in module.body if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    given |= {function.name for function in functions}
    found = set()
    for function in functions:
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        own = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
        own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        found |= {name.id for name in names} - given - own - set(dir(builtins))
    return found


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_module_imports_one_library_and_defines_every_name(name, library):
    module = tree(MODELS[name], library)
    imported = {
        n.module if isinstance(n, ast.ImportFrom) else n.names[0].name
        for n in module.body[1:]
        if isinstance(n, (ast.Import, ast.ImportFrom))
    }
    assert imported and {top.partition(".")[0] for top in imported} == {library}
    assert unknown_names(module) == set()
    assert all(ast.get_docstring(node) for node in [module, *module.body] if hasattr(node, "name") or node is module)


def test_undefined_names_are_detected():
    assert unknown_names(ast.parse("import torch\ndef f(a):\n    b = len(a)\n    return torch.e * b * c")) == {"c"}


def test_modules_pass_formatter_and_linter(tmp_path):
    for number, (name, model) in enumerate(MODELS.items()):
        for library in LIBRARIES:
            text = f"# {name}\n" + getattr(model, f"to_{library}")()
            (tmp_path / f"{library}_{number}.py").write_text(text, encoding="utf-8")
    for how in (["format", "--check"], ["check", "--select", "E,F,W,I,UP,B"]):
        command = [RUFF, *how, "--isolated", "--no-cache", "--line-length", "120", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", ["1", "4242"])
def test_modules_are_reproducible_and_written_without_the_library(seed):
    code = """
import sys, dynamics as dyn
loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |W_P^0.5 * z1|^2 * exp(c)", beta=0.1, c=1.0)
gained = dyn.Model("cosine", gain="lambda^0.5", symmetrised=True)
model = dyn.Model(loss)
sys.stdout.write(model.to_jax() + model.to_torch() + gained.to_jax() + gained.to_torch())
sys.stderr.write(" ".join(name for name in ("sympy", "jax", "torch", "scipy") if name in sys.modules))
"""
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loss = dyn.Loss.parse("|p - sg(z2)|^2 / 2 + beta * |W_P^0.5 * z1|^2 * exp(c)", beta=0.1, c=1.0)
    gained = dyn.Model("cosine", gain="lambda^0.5", symmetrised=True)
    model = dyn.Model(loss)
    assert done.stdout == model.to_jax() + model.to_torch() + gained.to_jax() + gained.to_torch()
    assert done.stderr == "sympy"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MODELS)
def test_the_docstring_names_loss_model_and_a_step_of_training(name, library):
    model = MODELS[name]
    docstring = ast.get_docstring(tree(model, library))
    title = model.derivation.title if isinstance(model.loss, str) else "A user-defined loss"
    assert docstring.startswith(f"{title}, for a training loop in {'JAX' if library == 'jax' else 'PyTorch'}.")
    words = " ".join(docstring.split())
    for part in ("NeurIPS 2023, arXiv:2212.04858", f"Written by ssl-dynamics {dyn.__version__}", str(model)):
        assert part in words
    example = docstring.partition("A step of training:\n\n")[2].partition("\n\nThe theory")[0]
    calls = [node.func.id for node in ast.walk(ast.parse(unindented(example))) if is_call_of_name(node)]
    assert calls.count("loss") == 1 + model.symmetrised


def unindented(text):
    return "\n".join(line[4:] for line in text.splitlines())


def is_call_of_name(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


CLOSED_FORM = [name for name in MODELS if name.endswith("closed form")]


@parametrize("name", CLOSED_FORM, quick=CLOSED_FORM[::14])
def test_the_expression_in_the_docstring_is_the_loss(name, double_precision):
    """Parsed as a user-defined loss, it has the same gradients."""
    model, (*views, C, W_P) = MODELS[name], batch()
    expression = ast.get_docstring(tree(model, "jax")).partition("L = ")[2].partition("\n\n")[0]
    parameters = getattr(model.loss, "parameters", {})
    read = dyn.Model(dyn.Loss.parse(expression, **parameters), predictor=model.predictor, symmetrised=model.symmetrised)
    expected = slopes(reference_value, model, views, C, W_P)
    assert deviation(slopes(reference_value, read, views, C, W_P), expected) < TOLERANCE["float64"]


# --- with PyTorch ---------------------------------------------------------------------------------------------------


# Each decomposes C in its own LAPACK, with a backward error of some M eps, 6e-7 in float32; W_P enters up to squared.
TORCH_TOLERANCE = {"float64": 1e-12, "float32": 4e-6}


@pytest.mark.torch
@pytest.mark.parametrize("dtype", TORCH_TOLERANCE)
@pytest.mark.parametrize("name", MODELS)
def test_torch_is_the_loss_with_its_gradients(name, dtype, double_precision):
    import torch

    model, (*views, C, W_P) = MODELS[name], batch(dtype)
    module, expected = written(model, "torch"), slopes(reference_value, MODELS[name], views, C, W_P)
    for prediction in ("given", "computed"):
        leaves = [torch.tensor(a, requires_grad=True) for a in (*views, W_P)]
        value = exported_value(model, leaves[:4], torch.tensor(C), leaves[4], module, prediction)
        found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        assert deviation([a.detach().numpy() for a in (value, *found)], expected) < TORCH_TOLERANCE[dtype]


@pytest.mark.torch
@pytest.mark.parametrize("options", [{"isotropic": True}, {"gain": GAINS[1]}, {"gain": GAINS[2]}, {}], ids=str)
def test_equal_and_vanishing_eigenvalues_are_harmless_in_torch(options):
    import torch

    z, target = torch.tensor(degenerate(), requires_grad=True), torch.tensor(batch()[0][:M])
    (slope,) = torch.autograd.grad(written(dyn.Model("euclidean", **options), "torch").loss(None, z, target), z)
    assert torch.isfinite(slope).all() and slope.abs().max() > 0.1


@pytest.mark.torch
def test_a_parameter_may_be_learned_in_torch():
    """d/dc of mean -exp(c) z . t is itself; rounding."""
    import torch

    z, target, *_ = map(torch.tensor, batch())
    c = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss = written(dyn.Model(dyn.Loss.parse("-exp(c) * p . z2", c=1.0), predictor=dyn.NoPredictor()), "torch").loss
    value = loss(z, target, c=c)
    (slope,) = torch.autograd.grad(value, c)
    np.testing.assert_allclose([slope.item(), value.item()], -np.exp(0.3) * (z * target).sum(1).mean(), rtol=1e-13)


TRAINED = {
    "euclidean": dyn.Model("euclidean", noise=(0.1, 0.2)),
    "cosine": dyn.Model("cosine", noise=(0.0, 0.1)),
    "gain": dyn.Model("cosine", gain="lambda^0.5", noise=(0.0, 0.1)),
    "learned": dyn.Model("euclidean", predictor=dyn.Learned(init=0.5), noise=(0.0, 0.1), symmetrised=True),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", TRAINED)
def test_a_network_in_torch_follows_the_descent_map(name):
    """Within 1 %: over 100 steps of 20 000 samples eigenvalues fluctuate by some 0.1 %."""
    model, steps, eta = TRAINED[name], 100, 0.05
    W0 = 0.4 * np.random.default_rng(0).standard_normal((4, 6))
    found = trained_in_torch(model, W0, steps, eta)
    s0 = np.linalg.svd(W0, compute_uv=False)[::-1] ** 2
    expected = dyn.iterate(model, s0, steps, eta).s
    moved = np.abs(expected[-1] / s0 - 1)
    assert moved.max() > 0.1  # ten times the tolerance
    np.testing.assert_allclose(found, expected, rtol=0.01)


def trained_in_torch(model, W0, steps, eta):
    """Eigenvalues (T, M) of a linear network, trained as a user would train it with the written loss."""
    import torch

    module, generator = written(model, "torch"), torch.Generator().manual_seed(0)
    encoder = torch.nn.Linear(6, 4, bias=False)
    U = np.linalg.svd(W0)[0]
    predictor = torch.nn.Linear(4, 4, bias=False)
    encoder.weight.data, predictor.weight.data = (torch.tensor(a, dtype=torch.float32) for a in (W0, 0.5 * U @ U.T))
    optimizer = torch.optim.SGD([*encoder.parameters(), *predictor.parameters()], lr=eta)
    passed = [encoder.weight.detach().clone()]
    for _ in range(steps):
        x, *noise = (torch.randn(20_000, 6, generator=generator) for _ in range(3))
        z1, z2 = (encoder(x + sigma * xi) for sigma, xi in zip(model.noise, noise, strict=True))
        if model.structure.predictor == "learned":
            value = (module.loss(predictor(z1), z1, z2) + module.loss(predictor(z2), z2, z1)) / 2
        else:
            value = module.loss(None, z1, z2, encoder.weight @ encoder.weight.T)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        passed.append(encoder.weight.detach().clone())
    return np.linalg.svd(torch.stack(passed).double().numpy(), compute_uv=False)[:, ::-1] ** 2


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("predictor", [dyn.Learned(), dyn.NoPredictor()], ids=["learned", "none"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_step_of_a_reconstruction_compares_with_the_views(library, predictor, depth):
    """Without an average of the encoder, which such a target does not have."""
    model = dyn.Model("euclidean", target=dyn.Reconstruction(), predictor=predictor, depth=depth)
    text = getattr(model, f"to_{library}")()
    assert "t1, t2 = x1, x2" in text and "average" not in text
    compile(text, library, "exec")
