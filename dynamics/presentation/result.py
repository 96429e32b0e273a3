"""Define the base class of results."""

from abc import abstractmethod
from typing import Any

from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value
from dynamics.presentation.plain import plain_fields


class Result(Value):
    """Base of results: frozen dataclasses that are shown in the same way everywhere.

    ``repr`` is one line, ``str`` at most one screen, and ``to_dict`` returns plain values for JSON. A subclass defines
    ``headline`` and ``__str__``, and is declared with ``eq=False, repr=False``.
    """

    @property
    @abstractmethod
    def headline(self) -> str:
        """The essence of the result on one line, such as "3 fixed points, 1 stable"."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline}>"

    @isolated
    def to_dict(self) -> dict[str, Any]:
        """Return the contents as plain values that ``json.dumps`` accepts.

        The entry "result" is the name of the class. Arrays become nested lists. Numbers that are not finite become the
        texts "NaN", "Infinity" and "-Infinity", which ``float`` converts back. A complex number becomes the list of its
        real and imaginary part.
        """
        return {"result": type(self).__name__, **plain_fields(self)}
