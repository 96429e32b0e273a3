"""The errors that a derivation raises."""


class ExpressionError(ValueError):
    """A text that is no expression of the loss grammar; the message states the fault and its position, from 1."""

    def __init__(self, text: str, position: int, wrong: str):
        self.text, self.position, self.wrong = text, position, wrong
        super().__init__(f"at position {position} of {_excerpt(text, position)}: {wrong}")


def _excerpt(text: str, position: int) -> str:
    """Return the text on one line; only the part around the position if the text is long."""
    first = max(0, position - 30)
    shown = text[first : first + 60]
    return repr(f"{'...' * (first > 0)}{shown}{'...' * (first + 60 < len(text))}")


class UnsupportedLossError(ValueError):
    """An expression whose expectation cannot be derived; the message names the part at fault."""


class UntranslatableError(ValueError):
    """An expression with a part that has no array code; the message names the part."""


class ProofError(AssertionError):
    """A solution that does not satisfy its differential equation, or a step of a derivation that does not follow."""
