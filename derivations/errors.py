"""Define the errors that a derivation raises."""


class ExpressionError(ValueError):
    """Error raised for a text that is not a valid expression of the loss grammar.

    The message states the fault and its position in the text; the first character has position 1. unknown: a name that
    may be meant as a parameter without value, or "".
    """

    def __init__(self, text: str, position: int, wrong: str, unknown: str = ""):
        self.text, self.position, self.wrong, self.unknown = text, position, wrong, unknown
        super().__init__(f"at position {position} of {_excerpt(text, position)}: {wrong}")


def _excerpt(text: str, position: int) -> str:
    """Return a quoted excerpt of a text: about 60 characters around a position."""
    first = max(0, position - 30)
    shown = text[first : first + 60]
    return repr(f"{'...' * (first > 0)}{shown}{'...' * (first + 60 < len(text))}")


class UnsupportedLossError(ValueError):
    """Error raised for a loss whose expected gradient cannot be derived; the message names the term at fault."""


class UndecidedError(UnsupportedLossError):
    """Error raised for a loss whose expected gradient exists for some values of the loss's parameters only."""


class UntranslatableError(ValueError):
    """Error raised for a SymPy expression that cannot be written as array code; the message names the unknown part."""


class ProofError(AssertionError):
    """Error raised for a solution that violates its differential equation, or for a wrong step of a derivation."""
