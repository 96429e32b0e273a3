r"""Parse expressions of the loss grammar, such as ``|p - sg(z2)|^2 / 2``; expressions are never evaluated as code.

``docs/losses.md`` describes the grammar, and ``grammar.lark`` defines it formally. The module ``reader`` turns parsed
expressions into SymPy objects.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from derivations.errors import ExpressionError

LONGEST = 1000  # largest number of characters of an expression
DEEPEST = 50  # largest depth of nested parts of an expression
IN_WORDS = {  # terminals of the grammar, as messages name them
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


def names(text: str) -> list[str]:
    """Return the names in an expression in order of appearance; names of functions are left out.

    Raises ExpressionError if the text is not a valid expression.
    """
    tree = parse(text)
    tokens = [token for node in tree.find_data("name") for token in node.children if isinstance(token, Token)]
    return list(dict.fromkeys(str(token) for token in sorted(tokens, key=lambda token: token.start_pos or 0)))


@cache
def parser() -> Lark:
    """Return the LALR(1) parser of the loss grammar."""
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True)


def parse(text: str) -> Tree[Token]:
    """Return the parse tree of an expression; raises ExpressionError if the text is not a valid expression."""
    if len(text) > LONGEST:
        raise ExpressionError(text, LONGEST + 1, f"an expression has at most {LONGEST} characters")
    try:
        tree = parser().parse(text)
    except UnexpectedCharacters as error:
        wrong = f"the character {error.char!r} is not part of the loss grammar"
        wrong += "; scalar products are written `p . z2`" if error.char in "@'·⟨<" else ""
        raise ExpressionError(text, (error.pos_in_stream or 0) + 1, wrong) from None
    except UnexpectedToken as error:
        token = error.token
        at_end, expected = token.type == "$END", _expected(error.accepts or error.expected)
        position = len(text) + 1 if at_end else (token.start_pos or 0) + 1
        wrong = (
            f"the expression ends, but {expected} must come here"
            if at_end
            else f"{expected} must come here, but `{token}` does"
        )
        if not at_end and "an operation" in expected and token.type in VALUE | {"VBAR"}:
            wrong += "; write products with `*`, and scalar products with `.`"
        raise ExpressionError(text, position, wrong) from None
    parts = [(tree, 1)]
    while parts:
        part, depth = parts.pop()
        if depth > DEEPEST:
            raise ExpressionError(
                text, part.meta.start_pos + 1, f"this part is nested inside more than {DEEPEST} other parts"
            )
        parts += [(child, depth + 1) for child in part.children if isinstance(child, Tree)]
    return tree


def _expected(terminals: Iterable[str]) -> str:
    """Describe in words what may follow at a position of a text.

    terminals: names of the terminals of the grammar that may follow at this position.
    """
    accepted = set(terminals)
    words = ["a value"] if accepted >= VALUE else []
    signs = sorted(IN_WORDS.get(name, name) for name in accepted & {"RPAR", "VBAR", "$END"}) if not words else []
    return " or ".join(words or ["an operation", *signs])
