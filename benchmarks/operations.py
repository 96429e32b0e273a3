"""Count the operations of generated code: run it with ``Counted`` numbers in place of arrays."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

FLOAT = 8  # bytes of a number in double precision


@dataclass(frozen=True)
class Counted:
    """A number that depends on the quadrature node, on the mode, or on both; operations with it are counted.

    tally: the numbers of operations, under the keys (kind of operation, depends on nodes, depends on modes). The kind
    "bytes" counts the bytes that an operation reads and writes if all numbers of an array are stored.
    """

    tally: Counter[tuple[str, bool, bool]]
    nodes: bool
    modes: bool

    def __array_namespace__(self) -> type["Counting"]:
        return Counting

    def apply(self, kind: str, *others: Any) -> "Counted":
        """Return the result of an operation with other numbers, and count the operation."""
        numbers = [self, *(other for other in others if isinstance(other, Counted))]
        nodes, modes = any(a.nodes for a in numbers), any(a.modes for a in numbers)
        self.tally[kind, nodes, modes] += 1
        for number in [*numbers, Counted(self.tally, nodes, modes)]:
            self.tally["bytes", number.nodes, number.modes] += FLOAT
        return Counted(self.tally, nodes, modes)

    def __add__(self, other: Any) -> "Counted":
        return self.apply("addition", other)

    def __mul__(self, other: Any) -> "Counted":
        return self if isinstance(other, (int, float)) and other == 1 else self.apply("multiplication", other)

    def __truediv__(self, other: Any) -> "Counted":
        return self.apply("division", other)

    def __pow__(self, power: int) -> "Counted":
        if power != 2:
            raise NotImplementedError(f"the power {power} has no single operation")
        return self.apply("multiplication")

    def __neg__(self) -> "Counted":
        return self

    def over_modes(self, kind: str) -> "Counted":
        """Return a sum or product over modes, which takes an operation for each mode."""
        self.tally[kind, self.nodes, self.modes] += 1
        self.tally["bytes", self.nodes, self.modes] += FLOAT
        self.tally["bytes", self.nodes, False] += FLOAT
        return Counted(self.tally, self.nodes, False)

    __radd__ = __sub__ = __rsub__ = __add__
    __rmul__, __rtruediv__ = __mul__, __truediv__


class Counting:
    """The array namespace of ``Counted``: the functions that occur in integrands."""

    pi = 3.14

    @staticmethod
    def sum(number: Counted, axis: int = -1, keepdims: bool = True) -> Counted:
        """Return a sum over modes."""
        return number.over_modes("addition")

    @staticmethod
    def prod(number: Counted, axis: int = -1, keepdims: bool = True) -> Counted:
        """Return a product over modes."""
        return number.over_modes("multiplication")

    @staticmethod
    def sqrt(number: Counted) -> Counted:
        """Return a square root."""
        return number.apply("square root")


def count_operations(integrand: Any, *parameters: float) -> Counter[tuple[str, bool, bool]]:
    """Return the numbers of operations of an integrand (x, y, s, lam, ratio, ...), weighted and summed over nodes.

    The ratio is 1, because target and encoder have the same weights. parameters: the arguments after the ratio.
    """
    tally: Counter[tuple[str, bool, bool]] = Counter()
    x, y, weight = (Counted(tally, True, False) for _ in range(3))
    s, lam = (Counted(tally, False, True) for _ in range(2))
    terms = weight * integrand(x, y, s, lam, 1, *parameters)
    terms.tally["addition", terms.nodes, terms.modes] += 1
    return tally
