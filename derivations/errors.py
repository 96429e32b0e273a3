"""The errors that a derivation raises."""


class ExpressionError(ValueError):
    """A text that is not a valid expression of the loss grammar; the message states the fault and its position.

    The first character has position 1.
    """

    def __init__(self, text: str, position: int, wrong: str):
        self.text, self.position, self.wrong = text, position, wrong
        super().__init__(f"at position {position} of {_excerpt(text, position)}: {wrong}")


def _excerpt(text: str, position: int) -> str:
    """Return the text of an expression on one line, cut to about 60 characters around the position of the fault."""
    first = max(0, position - 30)
    shown = text[first : first + 60]
    return repr(f"{'...' * (first > 0)}{shown}{'...' * (first + 60 < len(text))}")


class UnsupportedLossError(ValueError):
    """A loss whose expected gradient cannot be derived; the message names the term of the gradient at fault."""


class UntranslatableError(ValueError):
    """A SymPy expression with a function or object that cannot be written as array code; the message names it."""


class ProofError(AssertionError):
    """A failed check: a solution that violates its differential equation, or a derivation step that does not follow."""
