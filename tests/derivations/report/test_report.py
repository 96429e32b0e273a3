"""Derivation reports: each step's check can fail, and what is written is what the derivations say."""

import dataclasses
import html.parser
import re
import shutil
import subprocess
from functools import cache

import mpmath as mp
import pytest
import sympy as sp

import dynamics as dyn
from derivations.codegen import folder
from derivations.errors import ProofError
from derivations.losses.catalogue import Setting, catalogue
from derivations.printers.latex import VectorLatex, inner_product
from derivations.report import checks, derivation, documents, rate_steps, summary
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from derivations.theory import invariants, moments, tilting
from tests.marks import parametrize

ISOTROPIC = Setting("cosine", isotropic=True)
FEW = [Setting("euclidean"), ISOTROPIC, Setting("cosine", "none", symmetrised=True)]  # as each takes a second or two
steps_of = cache(derivation.report)  # where all checks pass
j = sp.Symbol("j", integer=True)


def of(setting, title):
    return next(step for step in steps_of(setting) if step.title == title)


# --- what the reports say -------------------------------------------------------------------------------------------


@parametrize("setting", catalogue(), quick=FEW, ids=lambda setting: setting.name)
def test_every_step_says_how_it_was_checked(setting):
    """The loss itself and the table of symbols need no check."""
    unchecked = [step.title for step in steps_of(setting) if not step.checked]
    assert unchecked == ["The loss", "Symbols"]
    titles = [step.title for step in steps_of(setting)]
    assert ("Exact solution" in titles) == (setting.loss == "euclidean" and _solved(setting))
    assert ("Conserved quantity" in titles) == (invariants.conserved_exponent(setting.in_eigenbasis()) is not None)


def _solved(setting):
    return setting.stop_gradient != "none" or not setting.predictor


def test_isotropic_cosine_against_theory():
    """g = (z2_m - lambda_m (z1 . Lambda z2) z1_m/|Lambda z1|^2)/(|Lambda z1| |z2|), and r = A - lambda B."""
    which = of(ISOTROPIC, "The expectations in the rate")
    assert which.equations[-1] == r"r_m = A_{m} - B_{m} \lambda_{m}"
    assert which.equations[0].endswith(
        r"\left[\frac{\zeta_{1,m} \zeta_{2,m}}{\left\|\Lambda \hat z_1\right\| \left\|\hat z_2\right\|}\right]"
    )
    gradient = of(ISOTROPIC, "The gradient").equations
    assert (
        r"g_m = \frac{\hat z_{2,m} - \frac{\lambda_{m} \hat z_{1,m} \left(\hat z_1 \cdot \Lambda \hat z_2\right)}"
        in ("".join(gradient))
    )
    assert sum("removed" in equation for equation in gradient) == 4  # two stop-gradients, two views
    assert gradient[-1] == "h_m = 0"


@pytest.mark.parametrize(
    ("setting", "rate"),
    [
        (Setting("euclidean"), r"\left(1 - n_1 \lambda_{m}\right) \lambda_{m}"),
        (Setting("euclidean", isotropic=True), r"1 - n_1 \lambda_{m}"),
        (Setting("euclidean", stop_gradient="online"), r"\lambda_{m} - n_2"),
        (Setting("cosine"), r"A_{m} \lambda_{m} - B_{m} \lambda_{m}^{2}"),
        (Setting("cosine", stop_gradient="online"), r"A_{m} \lambda_{m} - B_{m}"),
        (Setting("cosine", predictor=False), r"A_{m} - B_{m}"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_rates(setting, rate):
    step = next(s for s in steps_of(setting) if s.title in ("The expectation", "The expectations in the rate"))
    assert step.equations[-1] == f"r_m = {rate}"


@pytest.mark.parametrize(
    ("setting", "motion"),
    [
        (Setting("euclidean"), r"\left(1 - \lambda_{m}\right) \lambda_{m} \hat z_{m}"),
        (Setting("euclidean", isotropic=True), r"\left(1 - \lambda_{m}\right) \hat z_{m}"),
        (Setting("cosine"), r"\frac{\lambda_{m} \hat z_{m} SUM}{NORMS}"),
        (ISOTROPIC, r"\frac{\hat z_{m} SUM}{NORMS}"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_theorems_of_the_paper(setting, motion):
    """Theorems 1 and 2 as printed: lambda_m z_m sum_k lambda_k (lambda_k - lambda_m) z_k^2/(|Lambda z|^3 |z|)."""
    motion = motion.replace("SUM", r"\sum_{k=1}^{M} \left(\lambda_{k} - \lambda_{m}\right) \lambda_{k} \hat z_{k}^{2}")
    motion = motion.replace("NORMS", r"\left\|\Lambda \hat z\right\|^{3} \left\|\hat z\right\|")
    step = of(setting, "The representation model")
    assert step.equations == (rf"\frac{{\mathrm{{d}}\hat z_m}}{{\mathrm{{d}}t}} = {motion}",)
    assert f"Theorem {1 if setting.loss == 'euclidean' else 2}" in step.text


@pytest.mark.long
def test_other_settings_have_no_theorem_of_the_paper():
    elsewhere = [s for s in catalogue() if "The representation model" in {step.title for step in steps_of(s)}]
    assert all(s.stop_gradient == "target" and not s.symmetrised for s in elsewhere)


STOPPED = [s for s in catalogue() if s.isotropic or s.stop_gradient != "none"]


@parametrize("setting", STOPPED, quick=FEW[:2], ids=str)
@pytest.mark.parametrize("view", [1, 2])
def test_what_stop_gradients_remove_and_leave_is_the_whole(setting, view):
    loss = summary.shared_target(setting.in_eigenbasis())
    kept, whole, removed = checks.split_gradient(loss, view)
    assert len(removed) == len(loss.atoms(SG)) > 0
    assert invariants.vanishes(whole - kept - sum(removed.values()))


def test_the_symbols_that_occur_are_explained():
    """The symbols of each expectation were found by hand in the equations of the report."""
    shown = {row.split("|")[0] for row in of(ISOTROPIC, "Symbols").equations}
    tilted = {r"\Delta", "S_{11}", "S_{12}", "Z", "D", "x", "y"}
    assert tilted | {r"\zeta_1", r"\zeta_2"} < shown and not {"v", r"\tau", r"\epsilon", r"\hat t_2"} & shown
    euclidean = {row.split("|")[0] for row in of(Setting("euclidean"), "Symbols").equations}
    assert not tilted & euclidean and {r"\alpha", r"\rho", "n_1", "s", "w", "t"} < euclidean


# --- checks that fail -----------------------------------------------------------------------------------------------

Z = (n.z1[n.k], n.z2[n.k])
PREDICTED = sp.IndexedBase("p1", real=True)[n.k]
EUCLIDEAN = summary.shared_target(Setting("euclidean").in_eigenbasis())


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: checks.equal(n.lam[n.m], n.s[n.m], "a step"), "a step: lam"),
        (
            lambda: checks.same_in_any_basis(
                dot(PREDICTED, PREDICTED), dot(n.lam[n.k] * Z[1], n.lam[n.k] * Z[1]), True
            ),
            "the loss in the eigenbasis",
        ),
        (lambda: checks.same_when_a_mode_is_flipped(sp.Sum(n.z1[j], (j, 1, n.M))), "with one mode flipped"),
        (lambda: checks.is_derivative(EUCLIDEAN, n.z2[n.m] - n.z1[n.m], 1), "the gradient of the loss"),
        (
            lambda: checks.is_derivative(EUCLIDEAN, n.lam[n.m] * n.z1[n.m] - n.z2[n.m], 2),  # what SG removes
            "the gradient of the loss",
        ),
        (
            lambda: checks.isotropic_is_standard_over_lambda(Setting("cosine", stop_gradient="none"), ISOTROPIC),
            "the force of the standard loss",
        ),
        (
            lambda: checks.is_expectation(n.zeta1[n.m] ** 4, 2 * n.n1**2, moments.VIEWS),
            r"the expectation of zeta1\[m\]\*\*4",
        ),
        (lambda: checks.is_expectation(n.zeta1[n.m] * n.zeta2[n.m], n.S11[n.m], tilting.TILTED), "the expectation of"),
    ],
)
def test_checks_fail_where_a_step_does_not_follow(check, message):
    with pytest.raises(ProofError, match=message):
        check()


def test_checks_of_norms_fail(monkeypatch):
    checks.norm_is_integral({sp.Integer(1), sp.Integer(2), sp.Rational(1, 2), sp.Integer(3)})
    monkeypatch.setattr(checks, "norm_weight", lambda *arguments: tilting.norm_weight(*arguments) / 2)
    with pytest.raises(ProofError, match="the integral for a norm to the power -1"):
        checks.norm_is_integral({sp.Integer(1)})


@pytest.mark.parametrize("symbol", [n.Delta, n.S11, n.S12, n.S22], ids=str)
def test_checks_of_the_tilt_fail(symbol):
    first = tilting.Norm(n.lam[n.k] ** 2 * n.s[n.k] * n.zeta1[n.k] ** 2)
    second = tilting.Norm(n.s[n.k] * (n.zeta1[n.k] - n.zeta2[n.k]) ** 2, sp.Integer(1))
    tilt = tilting.tilt((first, second))
    checks.is_tilted(tilt)
    wrong = tilt.definitions | {symbol[n.k]: 2 * tilt.definitions[symbol[n.k]]}
    with pytest.raises(ProofError, match="tilted"):
        checks.is_tilted(dataclasses.replace(tilt, definitions=wrong))


def test_a_loss_that_the_generated_code_does_not_follow_is_found(monkeypatch):
    """The report derives from the loss, and compares with what the code is generated from."""
    real = rate_steps.NamedExpectation.weight
    monkeypatch.setattr(rate_steps.NamedExpectation, "weight", property(lambda self: 2 * real.fget(self)))
    with pytest.raises(ProofError, match="the integrand is that of the generated code"):
        derivation.report(Setting("cosine"))


# --- vectors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "latex"),
    [
        (dot(Z[0], Z[1]), r"\hat z_1 \cdot \hat z_2"),
        (dot(n.lam[n.k] * Z[0], Z[1]), r"\hat z_1 \cdot \Lambda \hat z_2"),
        (norm(n.lam[n.k] * Z[0]), r"\left\|\Lambda \hat z_1\right\|"),
        (norm(Z[0]) ** -3, r"\frac{1}{\left\|\hat z_1\right\|^{3}}"),
        (dot(n.lam[n.k] ** 2 * Z[0], Z[1]), r"\hat z_1 \cdot \Lambda^{2} \hat z_2"),
        (
            dot(Z[0] - SG(Z[1]), Z[0] - SG(Z[1])),
            r"\left\|\hat z_1 - \mathrm{SG}\left(\hat z_2\right)\right\|^{2}",
        ),
        (n.lam[n.m] * dot(Z[0], Z[1]), r"\lambda_{m} \left(\hat z_1 \cdot \hat z_2\right)"),
        (sp.Sum(n.lam[j] * n.s[j], (j, 1, n.M)), r"\sum_{j=1}^{M} \lambda_{j} s_{j}"),
    ],
)
def test_products_of_vectors_are_written_as_such(expression, latex):
    assert VectorLatex().doprint(expression) == latex


def test_what_is_no_product_of_vectors():
    for summand in (n.z1[j], n.z1[j] ** 3, n.S12[j] * n.s[j], sp.sqrt(n.z1[j]) * n.z2[j]):
        assert inner_product(sp.Sum(summand, (j, 1, n.M))) is None
    assert inner_product(n.lam[n.m]) is None


# --- documents ------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_documents_of_the_catalogue_are_up_to_date():
    assert folder.differing(documents.FOLDER, documents.documents()) == []


@parametrize("setting", catalogue(), quick=FEW, ids=lambda setting: setting.name)
def test_markdown_renders(setting):
    """Fences are closed; formulas in a line stand between $` and `$; no dollar is left over, no table row broken."""
    text = documents.as_markdown(setting, steps_of(setting))
    assert "\\operatorname" not in text  # which a code-hosting site refuses
    blocks = re.findall(r"^```math\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("```") == 2 * len(blocks) and all("\n" not in block for block in blocks)
    prose = re.sub(r"^```math\n.+?\n```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "$" not in re.sub(r"\$`[^`$]+`\$", "", prose)
    assert all(row.count("|") == 3 for row in prose.splitlines() if row.startswith("|"))
    for formula in [*blocks, *re.findall(r"\$`([^`]+)`\$", prose)]:
        assert _balanced(formula)


def _balanced(formula):
    level = 0
    for brace in re.findall(r"(?<!\\)[{}]", formula):
        level += 1 if brace == "{" else -1
        if level < 0:
            return False
    return level == 0 and len(re.findall(r"\\left\b", formula)) == len(re.findall(r"\\right\b", formula))


@parametrize("setting", catalogue(), quick=FEW, ids=lambda setting: setting.name)
def test_latex_is_well_formed(setting):
    text = documents.as_latex(setting, steps_of(setting))
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert sorted(opened) == sorted(closed) and text.count("$") % 2 == 0
    assert _balanced(text.split(r"\begin{document}")[1]) and "lam" not in re.sub(r"\\lambda|\\newlambda", "", text)


@pytest.mark.parametrize("setting", [ISOTROPIC, Setting("euclidean")], ids=lambda setting: setting.name)
def test_latex_compiles(setting, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed; the document's form is tested without it")
    (tmp_path / "a.tex").write_text(documents.as_latex(setting, steps_of(setting)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and (tmp_path / "a.pdf").stat().st_size > 10_000


class Tags(html.parser.HTMLParser):
    """Tags that are open."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("setting", [ISOTROPIC, Setting("euclidean")], ids=lambda setting: setting.name)
def test_html_is_well_formed_and_needs_nothing_from_elsewhere(setting):
    text = documents.as_html(setting, steps_of(setting))
    page = Tags()
    page.feed(text)
    assert page.open == [] and page.seen.count("h2") == len(steps_of(setting))
    assert page.seen.count("math") > 20 and "src=" not in text and "$" not in text and "\\" not in text
    assert "http" not in text.replace("http://www.w3.org/1998/Math/MathML", "")


def test_numbers_are_those_of_the_modes():
    """Lists count from mode 1 on."""
    values = {n.z1: [mp.mpf(2), mp.mpf(3)], n.lam: [mp.mpf(5), mp.mpf(7)]}
    assert checks.number(dot(n.lam[n.k], Z[0]) + n.z1[n.m], values, mode=2, modes=2) == 5 * 2 + 7 * 3 + 3


OTHER_NORMS = {  # what its report says
    "-p . sg(z2) / |p|": ("one integral is left", r"\;\mathrm{d}x"),
    "log(1 + |p - sg(z2)|^2)": ("one integral is left", "e^{- x^{2}}"),
    "-(p . sg(z2))^2 / (|p|^2 * |sg(z2)|^2)": ("two integrals are left", r"\mathrm{d}x\,\mathrm{d}y"),
    "|p|^3 / 3 - p . sg(z2)": ("in their denominators become integrals", r"\int\!\!\int"),
}


@parametrize("text", OTHER_NORMS, quick=["-p . sg(z2) / |p|"])
def test_report_of_other_norms(text):
    steps = derivation.report(dyn.Model(dyn.Loss.parse(text)).derivation)
    said = "\n".join(part for step in steps for part in (step.text, *step.equations))
    for phrase in OTHER_NORMS[text]:
        assert phrase in said
