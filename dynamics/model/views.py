r"""Define the second moments of the two views of a model.

Let the views x1 and x2 have the second moments E[x1 x1^T], E[x2 x1^T] and E[x2 x2^T], and suppose that the three
matrices and W^T W have the same eigenvectors. Then modes stay apart, as for white inputs. Mode m has the moments
n1_m = E[x1_m^2], c_m = E[x1_m x2_m] and n2_m = E[x2_m^2], where x1_m and x2_m are the components of the views along an
eigenvector. In units in which the views share the second moment 1, the singular value of the mode is
w_m = c_m^(1/2) ||W_m||, and the moments are n1_m/c_m = 1 + excess1_m and n2_m/c_m = 1 + excess2_m. Therefore all rates
are those of white views whose noise has the variances excess1_m and excess2_m, and only the force on w_m is multiplied
by c_m. The correlation of the representations has the eigenvalues s_m = w_m^2 = c_m ||W_m||^2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.options import Option, check_keys, check_present
from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value
from dynamics.presentation.text import counted

FloatArray = npt.NDArray[np.float64]

ROUNDING = 1e-12  # relative size by which c^2 may exceed n1 n2, because moments from samples have rounding errors


@dataclass(frozen=True, repr=False, eq=False)
class Views(Value):
    r"""Second moments of the online view x1 and the target view x2, for the option ``views`` of ``Model``.

    Create views by one of the functions below.

    Parameters
    ----------
    online, cross, target : (..., M) array
        The moments n1_m = E[x1_m^2], c_m = E[x1_m x2_m] and n2_m = E[x2_m^2] of each mode.

    See Also
    --------
    Views.white : the same moments in all directions, as the option ``noise`` of ``Model``
    Views.modes : moments of each mode
    """

    online: Any
    cross: Any
    target: Any

    example: ClassVar[str] = "Views.modes(online, cross, target)"

    @staticmethod
    @isolated
    def white(sigma1: npt.ArrayLike = 0.0, sigma2: npt.ArrayLike = 0.0) -> "WhiteViews":
        """Return views x + sigma_i xi_i of white inputs x with white noise xi_i.

        Parameters
        ----------
        sigma1, sigma2 : array_like, default 0
            Standard deviations of the noise on the online view and on the target view. Arrays define an ensemble.

        Returns
        -------
        WhiteViews
            ``Model(loss, views=Views.white(sigma1, sigma2))`` is ``Model(loss, noise=(sigma1, sigma2))``.

        Raises
        ------
        ArgumentError
            If a standard deviation is negative.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Model("cosine", views=dyn.Views.white(0.0, 0.1))
        Model(loss='cosine', noise=(0.0, 0.1))
        """
        return WhiteViews(errors.non_negative("sigma1", sigma1), errors.non_negative("sigma2", sigma2))

    @staticmethod
    @isolated
    def modes(online: npt.ArrayLike, cross: npt.ArrayLike, target: npt.ArrayLike) -> "Views":
        r"""Return views whose second moments differ between modes, such as those of augmentations along some inputs.

        Parameters
        ----------
        online, target : (..., M) array_like
            Second moments n1_m = E[x1_m^2] of the online view and n2_m = E[x2_m^2] of the target view in each mode.
        cross : (..., M) array_like
            Second moments c_m = E[x1_m x2_m] that the views share, above zero and at most (n1_m n2_m)^(1/2).

        Returns
        -------
        Views
            The eigenvalues s_m of a model with these views are those of the correlation W E[x2 x1^T] W^T of the
            representations of both views. The order of modes is that of the initial eigenvalues ``s0``. A network has
            N = M inputs with these moments.

        Raises
        ------
        ArgumentError
            If the moments are not those of two views.

        Notes
        -----
        The moments are not centred: a mean of the inputs is one more direction. With inputs of variance Sigma_m and
        noise of variance nu_m, c_m = Sigma_m and n1_m = n2_m = Sigma_m + nu_m. If a part of the input is masked in view
        1 alone, n1_m < n2_m.

        References
        ----------
        Wang et al. 2021 (DirectCopy), noise in a subspace; Littwin et al. 2024, section 2.

        Examples
        --------
        >>> import dynamics as dyn
        >>> views = dyn.Views.modes(online=[1.0, 1.5], cross=[1.0, 1.0], target=[1.0, 1.5])
        >>> float(dyn.solve(dyn.Model("euclidean", views=views), [0.1, 0.1], [0, 100]).s[-1, 1].round(6))
        0.666667
        """
        online, cross, target = (
            errors.positive(name, value, "be second moments above zero, one for each mode")
            for name, value in (("online", online), ("cross", cross), ("target", target))
        )
        shapes = [np.shape(value) for value in (online, cross, target)]
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            listing = ", ".join(map(str, shapes))
            raise errors.ArgumentError(
                f"Arguments `online`, `cross` and `target` must have shapes that broadcast, but these are {listing}."
            ) from None
        if not shape:
            errors.reject("cross", "be an array with one second moment for each mode", cross)
        if (cross**2 > (1 + ROUNDING) * online * target).any():
            requirement = "be at most (online x target)^(1/2) in each mode, by the inequality of Cauchy and Schwarz"
            errors.reject("cross", requirement, cross)
        return Views(*(_read_only(np.broadcast_to(value, shape)) for value in (online, cross, target)))

    @property
    def count(self) -> int:
        """Number of modes M that have these moments."""
        return int(self.cross.shape[-1])

    @property
    def are_alike(self) -> bool:
        """True if all modes have the same moments."""
        return all(bool((part == part[..., :1]).all()) for part in (self.online, self.cross, self.target))

    @isolated
    def mode(self, m: int) -> "Views":
        """Return the views of mode m alone, whose moments have the shape (..., 1).

        Parameters
        ----------
        m : int
            Index of a mode, from 0 to M - 1.

        Returns
        -------
        Views
            Moments of one mode. If modes are independent, ``Model(loss, views=views.mode(m))`` is a model of this mode.

        Raises
        ------
        ArgumentError
            If there is no such mode.

        Examples
        --------
        >>> import dynamics as dyn
        >>> dyn.Views.modes([1.0, 1.5], [1.0, 1.0], [1.0, 1.5]).mode(1).online
        array([1.5])
        """
        if errors.count("m", m, 0) >= self.count:
            errors.reject("m", f"be the index of one of {counted(self.count, 'mode')}", m)
        return Views(*(_read_only(part[..., m : m + 1]) for part in (self.online, self.cross, self.target)))

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Fields of ``Parameters`` that describe the views, each (..., M)."""
        excess1, excess2 = ((part - self.cross) / self.cross for part in (self.online, self.target))
        return {"excess1": excess1, "excess2": excess2, "cross": self.cross}

    def __repr__(self) -> str:
        return f"Views of {counted(self.count, 'mode')}"


@dataclass(frozen=True, eq=False)
class WhiteViews(Value):
    """White views x + sigma_i xi_i, which the option ``noise`` of ``Model`` describes; see ``Views.white``."""

    sigma1: Any
    sigma2: Any


@dataclass(frozen=True, kw_only=True)
class ViewsOption(Option):
    """An option whose value is ``Views``, or None."""

    def checked(self, name: str, value: Any) -> Any:
        """Return the views; raise ArgumentError if the value is neither None nor views."""
        if value is not None:
            errors.instance(name, value, (Views, WhiteViews), f"be {Views.example}")
        return value

    def to_plain(self, value: Any) -> Any:
        """Return the views as a dictionary of lists, with the names of the moments as keys."""
        return {name: getattr(value, name).tolist() for name in ("online", "cross", "target")}

    def from_plain(self, name: str, plain: Any) -> Any:
        """Return the views that a dictionary of plain data describes; name: name of the option in messages."""
        errors.instance(name, plain, dict, "be a table with the keys online, cross and target")
        check_keys(name, plain, ("online", "cross", "target"))
        check_present(name, plain, ("online", "cross", "target"))
        return Views.modes(**plain)


def _read_only(array: FloatArray) -> FloatArray:
    array = np.array(array)
    array.setflags(write=False)
    return array
