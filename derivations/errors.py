"""The errors that a derivation raises."""


class ExpressionError(ValueError):
    """A sentence that is not one of the language: what is wrong, and at which position, counted from 1."""

    def __init__(self, sentence: str, position: int, wrong: str):
        self.sentence, self.position, self.wrong = sentence, position, wrong
        super().__init__(f"at position {position} of {_excerpt(sentence, position)}: {wrong}")


def _excerpt(sentence: str, position: int) -> str:
    """The sentence, or what is about the position if it is long, on one line."""
    first = max(0, position - 30)
    shown = sentence[first : first + 60]
    return repr(f"{'...' * (first > 0)}{shown}{'...' * (first + 60 < len(sentence))}")


class UnsupportedLossError(ValueError):
    """The expectation of this expression is outside what the closures can do; the message names the culprit."""


class UntranslatableError(ValueError):
    """The expression contains something that has no array code; the message names it."""


class ProofError(AssertionError):
    """A solution does not satisfy its differential equation."""
