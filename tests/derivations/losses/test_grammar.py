"""The language of losses: what sentences mean, where errors are, and that nothing else ever happens."""

import builtins
import random
import sys
import time
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.parsing import sympy_parser

from derivations.errors import ExpressionError
from derivations.losses import catalogue, gain, grammar, reader
from derivations.losses.catalogue import Setting
from derivations.losses.reader import Number, Operator, Vector, Vocabulary
from derivations.losses.user_defined import UserDefinedLoss
from derivations.symbols import notation as n
from derivations.symbols.modes import dot, norm
from derivations.symbols.stop_gradient import StopGradient as SG
from tests.marks import parametrize

Z1, Z2, LAM = n.z1[n.k], n.t2[n.k], n.lam[n.k]  # view 2 is the target branch's
P = LAM * Z1
a, b = sp.symbols("a b", real=True)
tanh = reader.tanh


def times(eigenvalue, component):
    """The image of a vector under an operator, in the eigenbasis."""
    return eigenvalue * component


VALUES = {"z1": Vector(Z1), "z2": Vector(Z2), "p": Vector(P), "W_P": Operator(LAM), "a": Number(a), "b": Number(b)}
VOCABULARY = Vocabulary(VALUES, times)


def content(value):
    """The expression in a value."""
    return next(iter(vars(value).values()))


# --- what sentences mean --------------------------------------------------------------------------------------------

half = sp.Rational(1, 2)
NUMBERS = {
    "0.1": sp.Rational(1, 10),
    "1.50": sp.Rational(3, 2),
    "2e-3": sp.Rational(1, 500),
    "2.5E+1": sp.Integer(25),
    "007": sp.Integer(7),
    "a + 2 * b": a + 2 * b,
    "(a + 2) * b": (a + 2) * b,
    "a - b - 1": a - b - 1,
    "a - (b - 1)": a - b + 1,
    "a / b / 2": a / (2 * b),
    "a / b * 2": 2 * a / b,
    "a / (b * 2)": a / (2 * b),
    "-a^2": -(a**2),
    "(-a)^3": -(a**3),
    "+a": a,
    "--a": a,
    "a - -b": a + b,
    "2 * -a": -2 * a,
    "a ** 2": a**2,
    "2^3^2": sp.Integer(512),
    "a^2^3": a**8,
    "a^-2": a**-2,
    "a^--2": a**2,
    "a^-2^2": a**-4,
    "a^b": a**b,
    "a^(1/3)": a ** sp.Rational(1, 3),
    "sqrt(2)": sp.sqrt(2),
    "exp(a) * log(b)": sp.exp(a) * sp.log(b),
    "tanh(a)": tanh(a),
    "min(a, b) - max(a, 2)": sp.Min(a, b) - sp.Max(a, 2),
    "z1 . z2": dot(Z1, Z2),
    "dot(z1, z2)": dot(Z1, Z2),
    "z1.z2": dot(Z1, Z2),
    "|z1|": norm(Z1),
    "||z1||": norm(Z1),
    "norm(z1)": norm(Z1),
    "|-z1|": norm(Z1),
    "||z1|| * |z2|": norm(Z1) * norm(Z2),
    "|(|z1| * z2)|": norm(norm(Z1) * Z2),
    "|z1 + z2|^2": dot(Z1 + Z2, Z1 + Z2),
    "2 * z1 . z2": dot(2 * Z1, Z2),
    "z1 . z2 * a": dot(Z1, Z2) * a,
    "z1 . z2 / |z1|": dot(Z1, Z2) / norm(Z1),
    "z1 / a . z2": dot(Z1 / a, Z2),
    "a / 2 * z1 . z2": dot(a * Z1 / 2, Z2),
    "z1 . z2 * z1 . z2": dot(dot(Z1, Z2) * Z1, Z2),
    "z1 . z2 + z1 . z1": dot(Z1, Z2) + dot(Z1, Z1),
    "-z1 . z2": -dot(Z1, Z2),
    "z1 . -z2": -dot(Z1, Z2),
    "(z1 - z2) . z1": dot(Z1 - Z2, Z1),
    "p . z2": dot(P, Z2),
    "(W_P * z1) . z2": dot(P, Z2),
    "W_P * z1 . z2": dot(P, Z2),
    "|z1|^3 ": norm(Z1) ** 3,
    "(z1 . z1)^0.5": norm(Z1),
    "z1 . sg(z2)": dot(Z1, SG(Z2)),
    "sg(z1 . z2) * a": SG(dot(Z1, Z2)) * a,
    "sg(a)": a,
    "sg(z1 - p) . sg(z2)": dot(SG(Z1 - P), SG(Z2)),
    "exp(z1 . z2 / a)": sp.exp(dot(Z1, Z2) / a),
    "\n |p - sg(z2)|^2\t/ 2": dot(P - SG(Z2), P - SG(Z2)) / 2,
}
VECTORS = {
    "z1": Z1,
    "z1 * 2 - z2 / 3": 2 * Z1 - Z2 / 3,
    "W_P^0.5 * z1": sp.sqrt(LAM) * Z1,
    "1/(1 + W_P^2) * z1": Z1 / (1 + LAM**2),
    "(W_P - a) * z1": (LAM - a) * Z1,
    "W_P * W_P * z1": LAM**2 * Z1,
    "a * W_P / b * z2": a * LAM * Z2 / b,
    "exp(-W_P) * z1": sp.exp(-LAM) * Z1,
    "z1 / |z1|": Z1 / norm(Z1),
    "sg(p)": SG(P),
}
OPERATORS = {
    "W_P + 1": LAM + 1,
    "1 - W_P": 1 - LAM,
    "W_P^a": LAM**a,
    "W_P * 2": 2 * LAM,
    "1 / W_P": 1 / LAM,
    "W_P / (1 + W_P)": LAM / (1 + LAM),
    "sqrt(W_P) + tanh(W_P)": sp.sqrt(LAM) + tanh(LAM),
    "-log(W_P)": -sp.log(LAM),
    "min(W_P, 1)": sp.Min(LAM, 1),
}
MEANT = [
    *product([Number], NUMBERS.items()),
    *product([Vector], VECTORS.items()),
    *product([Operator], OPERATORS.items()),
]


@pytest.mark.parametrize(("kind", "meaning"), MEANT, ids=[meaning[0] for _, meaning in MEANT])
def test_a_sentence_means_what_it_says(kind, meaning):
    sentence, expected = meaning
    value = reader.read(sentence, VOCABULARY)
    assert type(value) is kind
    assert content(value) == expected


def test_tanh_is_that_of_sympy():
    """Its own class keeps SymPy from looking for imaginary parts; values and slope are the same."""
    own, known = tanh(a), sp.tanh(a)
    for mine, theirs in ((own, known), (own.diff(a), known.diff(a)), (own.diff(a, 2), known.diff(a, 2))):
        assert abs(mine.subs(a, 0.3) - theirs.subs(a, 0.3)) < 1e-15  # rounding
    assert own.is_real and own.is_finite and tanh(-a) == -own and tanh(0) == 0


def test_an_operator_is_applied_as_the_vocabulary_says():
    apply = sp.Function("apply")
    value = reader.read("(W_P^2 + 1) * z1", Vocabulary(VALUES, apply))
    assert content(value) == apply(LAM**2 + 1, Z1)


def test_names_of_a_sentence_in_their_order():
    assert grammar.names("c * |p - sg(z2)|^2 + exp(b0 * a_) - c * λ") == ["c", "p", "z2", "b0", "a_", "λ"]
    assert grammar.names("sqrt(2) + 1") == []
    with pytest.raises(ExpressionError, match="at position 5 "):
        grammar.names("a + ")


# --- losses ---------------------------------------------------------------------------------------------------------


def test_a_loss_of_ones_own_and_its_named_numbers():
    loss = UserDefinedLoss("a * |p|^4 - p . sg(z2)", ("a",))
    assert loss.expression(times) == a * dot(P, P) ** 2 - dot(P, SG(Z2))
    assert loss.title == "Loss a * |p|^4 - p . sg(z2)"


def test_without_predictor_the_prediction_is_the_representation():
    loss = UserDefinedLoss("p . z2 + W_P * z1 . z1", predictor=False)
    assert loss.expression(times) == dot(Z1, Z2) + dot(Z1, Z1)
    assert Setting("euclidean", "none", predictor=False).expression(times) == dot(Z1 - Z2, Z1 - Z2) / 2


def test_symmetrised_is_the_mean_of_both_ways():
    z2, t1 = n.z2[n.k], n.t1[n.k]
    expected = (dot(P, SG(Z2)) + dot(LAM * z2, SG(t1))) / 2
    assert UserDefinedLoss("p . sg(z2)", symmetrised=True).expression(times) == expected
    residual, swapped = P - SG(Z2), LAM * z2 - SG(t1)
    expected = (dot(residual, residual) / 2 + dot(swapped, swapped) / 2) / 2
    assert sp.expand(Setting("euclidean", symmetrised=True).expression(times) - expected) == 0


@pytest.mark.parametrize("spelling", gain.EIGENVALUE)
def test_a_gain_is_a_function_of_lambda(spelling):
    loss = Setting("cosine", gain=f"a / (1 + {spelling}^2)", parameters=("a",)).expression(times)
    h, Q = a / (1 + LAM**2), norm(P) * norm(Z2)
    expected = -dot(h * Z1, SG(Z2 / Q)) + SG(dot(P, Z2) / (norm(P) ** 3 * norm(Z2))) * dot(h * Z1, P) / 2
    assert loss == expected


TRAINS = {
    "|p - sg(z2)|^2": True,
    "p . z2": True,
    "W_P^2 * z1 . z2": True,
    "(W_P * W_P^2) * z1 . z2": True,
    "z1 . z2": False,  # no predictor in it
    "sg(p) . z2": False,  # behind a stop-gradient
    "W_P^0.5 * z1 . z2": False,  # no matrix function by multiplication alone
    "1/W_P * z1 . z2": False,
    "W_P^-2 * z1 . z2": False,
    "exp(W_P) * z1 . z2": False,
    "1/(1 + W_P^2) * z1 . z2": False,
    "W_P^a * z1 . z2": False,
    "p . z2 + sqrt(W_P) * z1 . z1": False,
}


@pytest.mark.parametrize("sentence", TRAINS)
def test_a_predictor_is_learned_where_the_gradient_reaches_a_polynomial_in_it(sentence):
    assert UserDefinedLoss(sentence, ("a",)).trains_predictor is TRAINS[sentence]
    assert UserDefinedLoss(sentence, ("a",), predictor=False).trains_predictor is False


# --- errors ---------------------------------------------------------------------------------------------------------

RANGE = r"not a real number between -1e\+60 and 1e\+60"
ERRORS = [  # sentence, position counted from 1, words
    ("", 1, "the expression ends, but a value must come here"),
    (" \n ", 4, "the expression ends, but a value must come here"),
    ("a +", 4, "the expression ends, but a value must come here"),
    ("(a", 3, r"the expression ends, but an operation or `\)` must come here"),
    ("|z1", 4, r"the expression ends, but an operation or `\|` must come here"),
    ("||z1|", 5, r"an operation must come here, but `\|` does"),
    ("a b", 3, "an operation or the end must come here, but `b` does"),
    ("a)", 2, r"an operation or the end must come here, but `\)` does"),
    ("2..3", 3, r"a value must come here, but `\.` does"),
    ("a + * b", 5, r"a value must come here, but `\*` does"),
    ("a ? b", 3, r"the character '\?' is not part of the loss grammar"),
    ("\n a\n+ é", 7, "the character 'é' is not part of the loss grammar"),
    ("a" * 1001, 1001, "an expression has at most 1000 characters"),
    ("-" * 60 + "a", 51, "this part is nested inside more than 50 other parts"),
    ("0^-1", 1, f"this part is {RANGE}"),
    ("a + (1/0)", 6, f"this part is {RANGE}"),
    ("a * log(-1)", 5, f"this part is {RANGE}"),
    ("a + 1e20 * 1e20 * 1e20 * 10", 5, f"this part is {RANGE}"),
    ("z1 . z1 + 1e-20^12", 11, f"this part is {RANGE}"),
    ("W_P * sqrt(-2)", 7, f"this part is {RANGE}"),
    ("1 + ((7 * a)^12)^12", 5, f"this part contains a constant that is {RANGE}"),
    ("1 + sqrt(-(z1 . z1))", 5, f"this part contains a constant that is {RANGE}"),
    ("1 + (a^12)^12", 5, "this part has an exponent whose absolute value is larger than 100"),
    ("b + 2^(a * 1e20)", 5, "this part has an exponent whose absolute value is larger than 100"),
    ("1 + " + "tanh(" * 6 + "a" + ")" * 6, 5, "this part has more than 5 functions and powers inside one another"),
    ("1 + |z1|^12 * |z1|", 5, "this part multiplies 13 vectors, but at most 12 are supported"),
    ("2 * c", 5, "`c` is an unknown name; known names are z1, z2, p, W_P, a, b$"),
    ("\n  2 * W_p", 8, "`W_p` is an unknown name.*Did you mean `W_P`"),
    ("  1 + exp", 7, r"the function `exp` must be followed by `\(`"),
    ("1 + 1e21", 5, "a number must have at most 20 digits and an exponent between -20 and 20"),
    ("1 + 123456789012345678901", 5, "a number must have at most 20 digits"),
    ("1 + 1e-0000", 5, "an exponent between -20 and 20"),
    ("z1 + 2", 6, "a number cannot be added to a vector"),
    ("W_P - z1", 7, "a vector cannot be added to an operator"),
    ("z1 . z1 + W_P", 1, "a number that differs from sample to sample cannot be added to an operator"),
    ("W_P + |z1|", 7, "a number that differs from sample to sample cannot be added to an operator"),
    ("z1 * W_P", 6, "an operator must stand before its vector, but here it follows a vector"),
    ("|z1| * W_P", 8, "an operator must stand before its vector, but here it follows a number"),
    ("z1 *\tz2", 6, r"two vectors must be multiplied with a dot, as in z1 \. z2"),
    ("W_P * |z1|", 7, "an operator cannot be multiplied by a number that differs from sample to sample"),
    ("a / z1", 5, "a number cannot be divided by a vector"),
    ("z1 / W_P", 6, "a vector cannot be divided by an operator"),
    ("|z1| / W_P", 8, "a number cannot be divided by an operator"),
    ("z1 . a", 6, "this must be a vector, but it is a number$"),
    ("z1 . W_P * z2", 6, "this must be a vector, but it is an operator; put brackets around the product"),
    ("| a |", 3, "this must be a vector, but it is a number"),
    ("norm(a)", 6, "this must be a vector, but it is a number"),
    ("dot(z1, 2)", 9, "this must be a vector, but it is a number"),
    ("1 + z1^2", 5, "a vector has no powers"),
    ("2^z1", 3, "an exponent must be a constant that contains no vector and no operator"),
    ("2^|z1|", 3, "an exponent must be a constant that contains no vector and no operator"),
    ("a^W_P", 3, "an exponent must be a constant that contains no vector and no operator"),
    ("a ^ 13", 5, "an exponent must be a fraction between -12 and 12"),
    ("a^-12.5", 3, "an exponent must be a fraction between -12 and 12"),
    ("a^0.0001", 3, "an exponent must be a fraction"),
    ("a^sqrt(2)", 3, "an exponent must be a fraction"),
    ("1 + a(2)", 5, r"`a` is not a function: to multiply `a` by the bracket, write `\*` between"),
    ("1 + expo(2)", 5, "`expo` is an unknown function; known functions are sg, dot.*Did you mean `exp`"),
    ("1 + dot(z1)", 5, "the function `dot` has two arguments"),
    ("1 + min(1)", 5, "the function `min` has two arguments"),
    ("min(W_P, |z1|)", 10, "`min` takes constants and operators, but this value differs from sample to sample"),
    ("max( z1, 2)", 6, "`max` takes constants and operators, but this value differs"),
    ("1 + exp(1, 2)", 5, "the function `exp` has one argument"),
    ("tanh( z1)", 7, "`tanh` takes a number or an operator, but this is a vector"),
    ("exp(101)", 5, r"a constant in exp\(...\) must be between -100 and 100"),
    ("exp(-100 * 2)", 5, r"a constant in exp\(...\) must be between -100 and 100"),
    ("sg( W_P) * z1", 5, r"`sg` takes a vector or a number, but this is an operator; write sg\(W_P \* z1\)"),
]


@pytest.mark.parametrize("before", ["", "  \n\t "])
@pytest.mark.parametrize(("sentence", "position", "words"), ERRORS)
def test_errors_say_what_is_wrong_and_where(sentence, position, words, before):
    if len(sentence) > 1000:
        before = ""  # the length is counted from the very start
    with pytest.raises(ExpressionError, match=words) as caught:
        reader.read(before + sentence, VOCABULARY)
    assert caught.value.position == position + len(before)
    assert f"at position {position + len(before)} of " in str(caught.value)


def test_an_error_shows_what_is_about_its_position_on_one_line():
    with pytest.raises(ExpressionError) as caught:
        reader.read("a +\n" * 30 + "?" + " + a" * 30, VOCABULARY)
    assert caught.value.position == 121
    assert str(caught.value).startswith(r"at position 121 of '...") and "?" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 150


@pytest.mark.parametrize(("sentence", "kind"), [(" z1", "a vector"), ("W_P + 1", "an operator")])
def test_a_loss_is_a_number(sentence, kind):
    with pytest.raises(ExpressionError, match=f"a loss must be a number, but this expression is {kind}") as caught:
        UserDefinedLoss(sentence).expression(times)
    assert caught.value.position == 1


def test_a_gain_has_no_vectors():
    with pytest.raises(
        ExpressionError, match=r"at position 5 .*`z1` is an unknown name; known names are lambda, lam, λ"
    ):
        Setting("euclidean", gain="2 * z1").expression(times)


# --- whatever is written --------------------------------------------------------------------------------------------

GOOD = [*NUMBERS, *VECTORS, *OPERATORS, *catalogue.LOSSES.values(), *catalogue.ISOTROPIC.values()]
WORDS = "z1 z2 p W_P a b sg( dot( norm( exp( log( sqrt( tanh( min( max( __class__ lambda λ é 𝟙 ٣ \x00"
SIGNS = "+ - * / . ^ ** ( ) | || , \\ \" ' ; : = [ ] { } % # @ 0 1 2 0.5 1e20 1e-20 12 -12 1e999 9999999999999999999999"
PIECES = [*WORDS.split(), *SIGNS.split()]
CODE = [
    "__import__('os').system('touch x')",
    "lambda: z1",
    "f'{z1}'",
    "z1.__class__.__mro__",
    "().__class__",
    "exec('a')",
    "[a for a in z1]",
    "a if b else 1",
    "a; b",
    "z1 = 2",
    "{{config}}",
    "${a}",
    "a[0]",
    "open('x')",
    "a.diff(a)",
]


def mutated(rng):
    """Some string: a good one with faults, symbols in any order, or something deep, long or huge."""
    kind = rng.random()
    if kind < 0.1:
        return "".join(
            chr(rng.choice([rng.randrange(32, 127), rng.randrange(1, 0x3000)])) for _ in range(rng.randrange(40))
        )
    if kind < 0.25:
        return rng.choice(["", " "]).join(rng.choice(PIECES) for _ in range(rng.randrange(1, 25)))
    if kind < 0.3:
        opened, closed = rng.choice(
            [("(", ")"), ("|", "|"), ("exp(", ")"), ("(1 + tanh(", "))"), ("-", ""), ("2^", "")]
        )
        depth = rng.randrange(1, 400)
        return opened * depth + rng.choice(GOOD) + closed * rng.choice([depth, depth - 1])
    if kind < 0.35:
        return rng.choice(["+", " * ", ".", "^", ""]).join([rng.choice(GOOD)] * rng.randrange(2, 200))
    text = rng.choice(CODE if kind < 0.4 else GOOD)
    for _ in range(rng.randrange(1, 5)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        text = rng.choice(
            [
                text[:i] + text[i + 1 :],
                text[:i] + rng.choice(PIECES) + text[i:],
                text[:i] + text[j:],
                text[:i] + text[j : j + 1] + text[i + 1 : j] + text[i : i + 1] + text[j + 1 :],
                text[:i] + chr(rng.randrange(32, 127)) + text[i + 1 :],
                text + text[i:j],
            ]
        )
    return text


@contextmanager
def nothing_is_executed():
    """Whatever could execute a string fails, once the parser is made and all that SymPy imports late is there."""
    for sentence in GOOD:
        reader.read(sentence, VOCABULARY)

    def fail(*_, **__):
        raise AssertionError("a sentence was executed")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("eval", "exec", "compile"):
            patch.setattr(builtins, name, fail)
        patch.setattr(sp, "sympify", fail)
        patch.setattr(sp, "parse_expr", fail)
        patch.setattr(sympy_parser, "parse_expr", fail)
        yield


CALLS_IN_A_SECOND = 3_000_000  # of functions: half of what an ordinary processor makes of SymPy's; whatever its load
SECONDS = 10  # of the processor: far beyond, for what no count of calls shows, such as one huge power


class Reading:
    """The cost of reading an expression, and its refusal: at a place inside it, or the first after it."""

    def __init__(self, sentence):
        self.sentence, self.calls, self.refused = sentence, 0, False
        before, start = sys.getprofile(), time.thread_time()
        sys.setprofile(self._count)
        try:
            reader.read(sentence, VOCABULARY)
        except ExpressionError as error:
            self.refused = True
            assert 1 <= error.position <= len(sentence) + 1
        finally:
            sys.setprofile(before)
        self.seconds = time.thread_time() - start

    def _count(self, _frame, event, _argument):
        self.calls += event in ("call", "c_call")

    def is_quick(self):
        return self.calls < CALLS_IN_A_SECOND and self.seconds < SECONDS


@parametrize("number", [1000, 5000], quick=[1000])
def test_malformed_sentences_are_refused_quickly_and_nothing_else_happens(number):
    rng, malformed, slow = random.Random(0), 0, []
    with nothing_is_executed():
        while malformed < number:
            reading = Reading(mutated(rng))
            malformed += reading.refused
            slow += [] if reading.is_quick() else [reading.sentence]
    assert not slow


ZERO = "((1 + sqrt(2))^2 - 3 - 2*sqrt(2))"  # SymPy does not see it


def nested(opened, inside, closed, depth):
    return opened * depth + inside + closed * depth


SLOW = [  # each took minutes, or all memory, or an exception of SymPy's, or is the slowest of its kind
    nested("(", "a * 7/3", "^12)", 20),
    nested("(", "W_P", "^12)", 20),
    "2^(b * 1e20) / 2^(b * 1e20 - 1e20)",
    "2^(b * 99) / 2^(b * 99 - 99) * a",
    "exp(exp(100) * a) * b / exp(exp(100) * a - exp(100))",
    *(nested("exp(tanh(log(sqrt(", inside, "))))", 10) for inside in ("2", "a", "z1 . z2", "a * z1.z1 - b", "W_P")),
    *(nested("sqrt(a + tanh(", inside, "))", depth) for inside in ("b", "z1.z1") for depth in (4, 8, 16)),
    *(
        nested(f, inside, ")", 40)
        for f in ("exp(", "log(", "tanh(", "sqrt(")
        for inside in ("0.3", "a", "W_P", "z1.z2")
    ),
    "|z1 * " + " * ".join(f"(tanh({i} + a/tanh(a - 1/sqrt(a))))" for i in range(26)) + "|",
    "exp(" + " + ".join(f"tanh({i} + a/tanh(a - 1/sqrt(z1.z2)))" for i in range(24)) + ")",
    "log(p.z1 - exp(log(tanh(0.3 - p.z1/exp((sqrt(|z1|^0.01 + tanh(p.z1 + tanh(sqrt(tanh(z1.z1))^-0.3))))^b))))))",
    " + ".join(f"tanh({i} + exp(exp(2 - sqrt(z1.z2))))" for i in range(30)),
    " + ".join(f"max({i}*a, W_P - b)" for i in range(45)),
    nested("max(a + ", "b", ", 2)", 20),
    "+".join(f"{i}^0.{i}7" for i in range(10, 58)),
    "*".join(f"{i}^0.{i}7" for i in range(10, 58)),
    "(" + "*".join(f"{i}^0.{i}7" for i in range(10, 48)) + ")^0.337",
    "exp(" + " + ".join(f"log({i})/7" for i in range(2, 42)) + ")",
    "(" + " * ".join(f"(1/{i} + a)" for i in range(11, 45)) + ")^12",
    "*".join(f"(a + {i})^b" for i in range(48)),
    "+".join(["z1.z2"] * 160),
    " . ".join(["z1"] * 190),
    nested("norm(z2 + |", "z1", "|^0.001 * z1)", 20),
    nested("|z1|^0.01 * (z1 + ", "z2", ")", 16) + " . z1",
    "(z1 + z2) . (z1 + z2) * " * 5 + "2",
    nested("(1 + ", "1e-20", ")^12", 20),
    nested("1/(1 + 1/(a + ", "1", "))", 20),
    "10000000000000000051 * 10000000000000000087 * sqrt(10000000000000000091)",
    f"exp(100 + {ZERO})",
    f"1 / {ZERO}",
    f"log({ZERO}^2) * tanh({ZERO} + tanh({ZERO}))",
    f"({ZERO} + sqrt({ZERO} + 1)) * ({ZERO} - sqrt({ZERO} + 1)) / ({ZERO} + exp({ZERO}))",
]


@parametrize("sentence", SLOW, quick=SLOW[::4])
def test_what_is_meant_to_be_slow_is_not(sentence):
    with nothing_is_executed():
        assert Reading(sentence).is_quick()


# --- values ---------------------------------------------------------------------------------------------------------

MODES = 3


@st.composite
def numbers(draw, depth=2):
    """Text of a number, its value for (z1, z2, lam), and a bound of the terms it is the sum of."""
    if depth == 0:
        text = draw(st.sampled_from(["2", "0.3", "1.25", "z1 . z2", "|z1|", "||z2||", "norm(p)"]))
        value = {
            "z1 . z2": lambda z1, z2, lam: (z1 @ z2, abs(z1) @ abs(z2)),
            "|z1|": lambda z1, z2, lam: 2 * (np.sqrt(z1 @ z1),),
            "||z2||": lambda z1, z2, lam: 2 * (np.sqrt(z2 @ z2),),
            "norm(p)": lambda z1, z2, lam: 2 * (np.sqrt((lam * z1) @ (lam * z1)),),
        }
        return text, value.get(text) or (lambda *_: (float(text), float(text)))
    form = draw(
        st.sampled_from(["+", "-", "*", "/", "^", "**", "negative", "sg", "tanh", "exp", "log", "sqrt", ".", "|"])
    )
    if form in ".|":
        (x, f), (y, g) = draw(vectors(depth - 1)), draw(vectors(depth - 1))
        if form == ".":
            return f"(({x}) . ({y}))", lambda *z: (f(*z)[0] @ g(*z)[0], f(*z)[1] @ g(*z)[1])
        return f"|({x})|^2", lambda *z: (f(*z)[0] @ f(*z)[0], f(*z)[1] @ f(*z)[1])
    x, f = draw(numbers(depth - 1))
    if form in "+-*/":
        y, g = draw(numbers(depth - 1))
        if form == "/":  # by what is at least 1
            return f"({x}) / (1 + ({y})^2)", lambda *z: (f(*z)[0] / (1 + g(*z)[0] ** 2), f(*z)[1] * (1 + g(*z)[1]) ** 2)
        if form == "*":
            return f"({x}) * ({y})", lambda *z: (f(*z)[0] * g(*z)[0], f(*z)[1] * g(*z)[1])
        sign = 1 if form == "+" else -1
        return f"{x} {form} ({y})", lambda *z: (f(*z)[0] + sign * g(*z)[0], f(*z)[1] + g(*z)[1])
    wrapped = {
        "^": (f"({x})^2", lambda v: v**2, lambda s: s**2),
        "**": (f"({x})**3", lambda v: v**3, lambda s: s**3),
        "negative": (f"-({x})", lambda v: -v, lambda s: s),
        "sg": (f"sg({x})", lambda v: v, lambda s: s),
        "tanh": (f"tanh({x})", np.tanh, lambda s: 1 + s),
        "exp": (f"exp(-(({x})^2))", lambda v: np.exp(-(v**2)), lambda s: 1 + s**2),
        "log": (f"log(1 + ({x})^2)", lambda v: np.log(1 + v**2), lambda s: 1 + s**2),
        "sqrt": (f"sqrt(1 + ({x})^2)", lambda v: np.sqrt(1 + v**2), lambda s: 1 + s**2),
    }
    text, of_value, of_size = wrapped[form]
    return text, lambda *z: (of_value(f(*z)[0]), of_size(f(*z)[1]))


@st.composite
def operators(draw, depth=1):
    """The same of an operator: its eigenvalues, all positive."""
    if depth == 0:
        return draw(
            st.sampled_from(
                [
                    ("W_P", lambda z1, z2, lam: lam),
                    ("W_P^0.5", lambda z1, z2, lam: np.sqrt(lam)),
                    ("1/(1 + W_P^2)", lambda z1, z2, lam: 1 / (1 + lam**2)),
                    ("exp(-W_P)", lambda z1, z2, lam: np.exp(-lam)),
                ]
            )
        )
    (x, f), (y, g) = draw(operators(depth - 1)), draw(operators(depth - 1))
    return draw(
        st.sampled_from(
            [
                (f"({x} + {y})", lambda *z: f(*z) + g(*z)),
                (f"({x}) * ({y})", lambda *z: f(*z) * g(*z)),
                (f"({x}) / ({y})", lambda *z: f(*z) / g(*z)),
                (f"(2 + {x})", lambda *z: 2 + f(*z)),
                (f"({x})^-1.5", lambda *z: f(*z) ** -1.5),
            ]
        )
    )


@st.composite
def vectors(draw, depth=1):
    """The same of a vector: its components, and bounds of their terms."""
    if depth <= 0:
        return draw(
            st.sampled_from(
                [
                    ("z1", lambda z1, z2, lam: (z1, abs(z1))),
                    ("z2", lambda z1, z2, lam: (z2, abs(z2))),
                    ("p", lambda z1, z2, lam: (lam * z1, abs(lam * z1))),
                ]
            )
        )
    x, f = draw(vectors(depth - 1))
    form = draw(st.sampled_from(["+", "-", "number", "over", "operator", "sg"]))
    if form in "+-":
        y, g = draw(vectors(depth - 1))
        sign = 1 if form == "+" else -1
        return f"{x} {form} ({y})", lambda *z: (f(*z)[0] + sign * g(*z)[0], f(*z)[1] + g(*z)[1])
    if form == "operator":
        y, h = draw(operators(1))
        return f"{y} * ({x})", lambda *z: (h(*z) * f(*z)[0], h(*z) * f(*z)[1])
    if form == "number":
        y, g = draw(numbers(depth - 1))
        return f"({y}) * ({x})", lambda *z: (g(*z)[0] * f(*z)[0], g(*z)[1] * f(*z)[1])
    return (f"({x}) / 3", lambda *z: (f(*z)[0] / 3, f(*z)[1])) if form == "over" else (f"sg({x})", f)


def evaluated(expression, z1, z2, lam):
    """A number of the language, at three modes, by walking through its expression."""
    arrays = {n.z1: z1, n.t2: z2, n.lam: lam}

    def walk(e, modes):
        if isinstance(e, sp.Sum):
            return sum(walk(e.function, modes | {e.variables[0]: i}) for i in range(MODES))
        if isinstance(e, sp.Indexed):
            return arrays[e.base][modes[e.indices[0]]]
        if not e.args:
            return float(e)
        parts = [walk(part, modes) for part in e.args]
        if isinstance(e, sp.Add):
            return sum(parts)
        if isinstance(e, sp.Mul):
            return np.prod(parts)
        if isinstance(e, sp.Pow):
            return parts[0] ** parts[1]
        return {"tanh": np.tanh, "exp": np.exp, "log": np.log, "StopGradient": float}[type(e).__name__](*parts)

    return walk(expression, {})


@settings(max_examples=300)
@given(numbers(), st.integers(0, 2**32 - 1))
def test_a_sentence_has_the_value_that_numpy_gives(written, seed):
    sentence, numpy = written
    rng = np.random.default_rng(seed)
    z1, z2 = rng.standard_normal((2, MODES))
    lam = rng.uniform(0.2, 2, MODES)
    try:
        expression = content(reader.read(sentence, VOCABULARY))
    except ExpressionError as error:
        assert "vectors, but at most" in error.wrong  # the only limit that such sentences reach
        return
    expected, size = numpy(z1, z2, lam)
    assert abs(evaluated(expression, z1, z2, lam) - expected) <= 1e-12 * (1 + size)  # rounding of the terms
