r"""The small language that losses are written in, such as ``|p - sg(z2)|^2 / 2``, read into SymPy; never evaluated.

There are numbers, vectors, and operators: functions of W_P, which share its eigenvectors. ``docs/losses.md`` describes
the language, ``grammar.lark`` its form. Whatever is not invariant when all vectors are rotated together with W_P cannot
be said in it: that symmetry keeps the eigenmodes apart.
"""

from functools import cache
from pathlib import Path

from lark import Lark, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from derivations.errors import ExpressionError

LONGEST = 1000  # characters of a sentence
DEEPEST = 50  # parts inside one another
IN_WORDS = {
    "VBAR": "`|`",
    "__ANON_0": "`**`",
    "__ANON_1": "`||`",
    "$END": "the end",
    "NAME": "a name",
    "NUMBER": "a number",
    "RPAR": "`)`",
    "LPAR": "`(`",
}
VALUE = {"LPAR", "NAME", "NUMBER"}


def names(sentence: str) -> list[str]:
    """All names in a sentence but those of functions, in their order; raises ExpressionError."""
    tree = parse(sentence)
    found = [node.children[0] for node in tree.iter_subtrees_topdown() if node.data == "name"]
    return list(dict.fromkeys(str(name) for name in sorted(found, key=lambda token: token.start_pos)))


@cache
def parser() -> Lark:
    """The parser of the language, LALR(1)."""
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True)


def parse(sentence: str) -> Tree:
    """The tree of a sentence; raises ExpressionError."""
    if len(sentence) > LONGEST:
        raise ExpressionError(sentence, LONGEST + 1, f"it goes on, but must end after {LONGEST} characters at most")
    try:
        tree = parser().parse(sentence)
    except UnexpectedCharacters as error:
        wrong = f"{error.char!r} is no character of the language"
        raise ExpressionError(sentence, (error.pos_in_stream or 0) + 1, wrong) from None
    except UnexpectedToken as error:
        token = error.token
        at_end, expected = token.type == "$END", _expected(error.accepts or error.expected)
        position = len(sentence) + 1 if at_end else (token.start_pos or 0) + 1
        wrong = f"it ends where {expected} must come" if at_end else f"{expected} must come, but there is `{token}`"
        raise ExpressionError(sentence, position, wrong) from None
    parts = [(tree, 1)]
    while parts:
        part, depth = parts.pop()
        if depth > DEEPEST:
            raise ExpressionError(sentence, part.meta.start_pos + 1, f"this lies inside more than {DEEPEST} others")
        parts += [(child, depth + 1) for child in part.children if isinstance(child, Tree)]
    return tree


def _expected(terminals) -> str:
    """What may come, in words."""
    found = set(terminals)
    words = ["a value"] if found >= VALUE else []
    signs = sorted(IN_WORDS.get(name, name) for name in found & {"RPAR", "VBAR", "$END"}) if not words else []
    return " or ".join(words or ["an operation", *signs])
