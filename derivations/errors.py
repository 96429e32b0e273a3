"""The errors that a derivation raises."""


class ExpressionError(ValueError):
    """The text is no expression of the loss grammar: what is wrong, and at which position, counted from 1."""

    def __init__(self, text: str, position: int, wrong: str):
        self.text, self.position, self.wrong = text, position, wrong
        super().__init__(f"at position {position} of {_excerpt(text, position)}: {wrong}")


def _excerpt(text: str, position: int) -> str:
    """The text on one line; of a long one, the part around the position."""
    first = max(0, position - 30)
    shown = text[first : first + 60]
    return repr(f"{'...' * (first > 0)}{shown}{'...' * (first + 60 < len(text))}")


class UnsupportedLossError(ValueError):
    """The expectation of this expression is outside what the closures can do; the message names the culprit."""


class UntranslatableError(ValueError):
    """The expression contains something that has no array code; the message names it."""


class ProofError(AssertionError):
    """A solution does not satisfy its differential equation."""
