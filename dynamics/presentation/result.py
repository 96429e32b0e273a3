"""Define the base class of results."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from dynamics.errors import nearest
from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value
from dynamics.presentation.card import Picture, card
from dynamics.presentation.plain import plain_fields
from dynamics.presentation.text import Fact, one_line, screen


class Result(Value):
    """Base of results: frozen dataclasses that are shown in the same way everywhere.

    ``repr`` is one line, ``str`` at most one screen, and ``to_dict`` returns plain values for JSON. In a notebook, a
    result is a card with the same contents as ``str`` and a small picture. A subclass defines ``headline``
    and ``facts``, may define ``title`` and ``plot``, and is declared with ``eq=False, repr=False``.
    """

    @property
    @abstractmethod
    def headline(self) -> str:
        """The essence of the result on one line, such as "3 fixed points, 1 stable"."""

    @property
    def title(self) -> str:
        """The kind of the result and what it belongs to, such as "Equilibria of Model(loss='cosine')"."""
        return self.headline

    @abstractmethod
    def facts(self) -> list[Fact]:
        """Return pairs of texts, name and value, that describe the result; a pair without name is a line of its own."""

    @property
    def is_quick_to_draw(self) -> bool:
        """True if the result has a plot that is drawn in a fraction of a second, for the card in a notebook."""
        return hasattr(self, "plot")

    @property
    def picture_height(self) -> float:
        """Height of the picture in the card, in inches."""
        return 2.7

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, with the nearest public name."""
            if name.startswith("_") or hasattr(type(self), name):  # show the error that a property raised in its code
                return object.__getattribute__(self, name)
            near = nearest(name, [public for public in dir(self) if not public.startswith("_")])
            hint = f" Did you mean `{near}`?" if near else ""
            raise AttributeError(f"`{type(self).__name__}` has no `{name}`.{hint}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {one_line(self.headline)}>"

    @isolated
    def __str__(self) -> str:
        return screen(self.title, self.facts())

    @isolated
    def _repr_html_(self) -> str:
        return card(self.title, self.facts(), self._picture())

    def _picture(self) -> Picture | None:
        """Return a small picture of the result, or None if there is none or if it cannot be drawn."""
        if not self.is_quick_to_draw:
            return None
        try:
            from dynamics.presentation.plotting import small_picture

            png, width = small_picture(self.plot, self.picture_height)  # type: ignore[attr-defined]
            return Picture(png, width, alternative=self.headline)
        except Exception:  # whatever is wrong with the picture, the notebook shows the facts
            return None

    @isolated
    def to_dict(self) -> dict[str, Any]:
        """Return the contents as plain values that ``json.dumps`` accepts.

        The entry "result" is the name of the class. Arrays become nested lists. Numbers that are not finite become the
        texts "NaN", "Infinity" and "-Infinity", which ``float`` converts back. A complex number becomes the list of its
        real and imaginary part.
        """
        return {"result": type(self).__name__, **plain_fields(self)}
