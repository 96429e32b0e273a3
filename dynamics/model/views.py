r"""Define the second moments of the two views of a model, by mode or as matrices.

Let the views x1 and x2 have the second moments E[x1 x1^T], E[x2 x1^T] and E[x2 x2^T], and suppose that the three
matrices and W^T W have the same eigenvectors. Then the eigenvectors do not change in time, as for white inputs. Mode m
has the moments n1_m = E[x1_m^2], c_m = E[x1_m x2_m] and n2_m = E[x2_m^2], where x1_m and x2_m are the components of the
views along an eigenvector. Let the unit of both components be c_m^(1/2), so that the views share the second moment 1.
Then the singular value of the mode is w_m = c_m^(1/2) ||W_m||, where ||W_m|| is the singular value of W, and the
moments are n1_m/c_m = 1 + excess1_m and n2_m/c_m = 1 + excess2_m. Therefore all rates are those of white views whose
noise has the variances excess1_m and excess2_m, and only the force on w_m is multiplied by c_m. The correlation of the
representations has the eigenvalues s_m = w_m^2 = c_m ||W_m||^2.

If the matrices have different eigenvectors, the dynamics is that of the weights. The correlation of the representations
is then C = W S W^T, where S is the second moment that the views share: the symmetric part of E[x2 x1^T], without its
negative eigenvalues.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dynamics import errors
from dynamics.model.measured import Moments, augmented, measured_moments
from dynamics.model.options import Option, check_keys, check_present
from dynamics.numerics.context import isolated
from dynamics.numerics.values import Value, make_read_only
from dynamics.presentation.text import counted

FloatArray = npt.NDArray[np.float64]

ROUNDING = 1e-12  # relative size by which c^2 may exceed n1 n2, because moments from samples have rounding errors
NEGATIVE = 1e-10  # relative size of negative eigenvalues of joint moments that count as rounding errors


class Views(Value):
    r"""Second moments of the online view x1 and the target view x2, for the option ``views`` of ``Model``.

    Create views by one of the functions below.

    See Also
    --------
    Views.white : the same moments in all directions, as the option ``noise`` of ``Model``
    Views.modes : moments of each mode
    Views.moments : moments as matrices
    Views.measured : moments of samples
    Views.of_images : moments of augmented images
    """

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
    def modes(online: npt.ArrayLike, cross: npt.ArrayLike, target: npt.ArrayLike) -> "ModeViews":
        r"""Return views whose second moments differ between modes, as for an augmentation of only some inputs.

        Parameters
        ----------
        online, target : (..., M) array_like
            Second moments n1_m = E[x1_m^2] of the online view and n2_m = E[x2_m^2] of the target view in each mode.
        cross : (..., M) array_like
            Second moments c_m = E[x1_m x2_m] that the views share, above zero and at most (n1_m n2_m)^(1/2).

        Returns
        -------
        ModeViews
            The eigenvalues s_m of a model with these views are those of the correlation W E[x2 x1^T] W^T of the
            representations of both views. The order of modes is that of the initial eigenvalues ``s0``. A network has
            N = M inputs with these moments.

        Raises
        ------
        ArgumentError
            If the moments are not those of two views.

        Notes
        -----
        The moments are not centred: means of the views contribute to the moments. With inputs of variance Sigma_m and
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
        return ModeViews(*(_read_only(np.broadcast_to(value, shape)) for value in (online, cross, target)))

    @staticmethod
    @isolated
    def moments(online: npt.ArrayLike, cross: npt.ArrayLike, target: npt.ArrayLike) -> "MatrixViews":
        r"""Return views of any second moments; flow and descent map then start from weights (..., M, N).

        Parameters
        ----------
        online, target : (N, N) array_like
            Second moments E[x1 x1^T] of the online view and E[x2 x2^T] of the target view.
        cross : (N, N) array_like
            Second moment E[x2 x1^T], which need not be symmetric.

        Returns
        -------
        MatrixViews
            The correlation of a model with these views is C = W S W^T. S is the symmetric part of ``cross``, without
            its negative eigenvalues.

        Raises
        ------
        ArgumentError
            If the matrices are not the second moments of two views.

        Notes
        -----
        The Euclidean losses depend on the views through these moments alone: theory holds for views of any
        distribution. For losses that divide by norms, theory assumes Gaussian views. The moments are not centred: means
        of the views contribute to the moments.

        Examples
        --------
        >>> import dynamics as dyn
        >>> online = [[1.2, 0.3], [0.3, 1.0]]
        >>> views = dyn.Views.moments(online=online, cross=[[1.0, 0.3], [0.3, 0.8]], target=online)
        >>> flow = dyn.solve(dyn.Model("euclidean", views=views), [[0.3, 0.0], [0.0, 0.3]], [0, 100])
        >>> flow.s[-1].round(4).tolist()
        [0.7448, 0.8588]
        """
        arguments = (("online", online), ("cross", cross), ("target", target))
        arrays = [errors.real_array(name, value, "be a matrix (N, N) of finite numbers") for name, value in arguments]
        sizes = {array.shape for array in arrays}
        if len(sizes) > 1 or arrays[0].ndim != 2 or arrays[0].shape[0] != arrays[0].shape[-1] or not arrays[0].size:
            listing = ", ".join(str(array.shape) for array in arrays)
            raise errors.ArgumentError(
                f"Arguments `online`, `cross` and `target` must be matrices of one shape (N, N), but have the shapes "
                f"{listing}."
            )
        first, shared, second = arrays
        return MatrixViews.of(Moments(first, shared, second))

    @staticmethod
    @isolated
    def measured(
        x1: npt.ArrayLike | Iterable[Any] | Callable[[int], Any],
        x2: npt.ArrayLike | None = None,
        *,
        draws: int | None = None,
        center: bool = False,
    ) -> "MatrixViews":
        r"""Return views with the second moments of samples.

        Parameters
        ----------
        x1 : array_like, iterable, or callable
            Samples (B, N) of the online view, with the samples of the target view as ``x2``. Or an iterable of batches,
            which are pairs (x1, x2) of arrays (B, N). Or a function that takes the number of a batch, 0, 1, ..., and
            returns the batch.
        x2 : (B, N) array_like, optional
            Samples of the target view, if x1 is an array.
        draws : int, optional
            Number of batches, if x1 is a function.
        center : bool, default False
            Subtract the means of both views. By default, the means contribute to the second moments.

        Returns
        -------
        MatrixViews
            Views of these moments. ``standard_errors`` are the standard errors of the three matrices. If the samples
            are arrays, they are kept as ``samples``: a network then trains on these samples, and not on Gaussian views
            of the same moments.

        Raises
        ------
        ArgumentError
            If samples are not pairs of finite arrays of the same shape (B, N), or if there are fewer than two samples.

        Notes
        -----
        The standard errors hold for independent samples.

        Examples
        --------
        >>> import dynamics as dyn
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((1000, 3))
        >>> views = dyn.Views.measured(x, x + 0.1 * rng.standard_normal(x.shape))
        >>> views
        Views of 3 inputs, measured from 1000 samples
        """
        return MatrixViews.of(measured_moments(x1, x2, draws, center))

    @staticmethod
    @isolated
    def of_images(
        images: npt.ArrayLike,
        augmentation: Callable[..., Any],
        *,
        draws: int = 10,
        seed: int = 0,
        center: bool = False,
    ) -> "MatrixViews":
        r"""Return views with the second moments of augmented images.

        Parameters
        ----------
        images : (B, H, W, C) or (B, H, W) array_like
        augmentation : callable
            Function of a random key of JAX and of images (B, H, W, C), which returns random views of the images; for
            example an ``Augmentation``.
        draws : int, default 10
            Number of pairs of views that are drawn of each image.
        seed : int, default 0
            Seed of the random views.
        center : bool, default False
            Subtract the means of both views.

        Returns
        -------
        MatrixViews
            Views of N = H W C inputs, the pixels, with standard errors that hold for independent pairs. The pairs are
            not kept.

        Raises
        ------
        ArgumentError
            If an argument is not valid.

        Examples
        --------
        >>> import dynamics as dyn
        >>> images = dyn.digits().train[:100]
        >>> dyn.Views.of_images(images, dyn.Augmentation(), draws=2)
        Views of 64 inputs, measured from 200 samples
        """
        return Views.measured(augmented(images, augmentation, draws, seed), center=center)


@dataclass(frozen=True, repr=False, eq=False)
class ModeViews(Views):
    """Views whose second moments differ between modes; see ``Views.modes``.

    online, cross, target: the moments n1_m = E[x1_m^2], c_m = E[x1_m x2_m] and n2_m = E[x2_m^2] of each mode, (..., M).
    """

    online: Any
    cross: Any
    target: Any

    @property
    def count(self) -> int:
        """Number of modes M that have these moments."""
        return int(self.cross.shape[-1])

    @property
    def are_alike(self) -> bool:
        """True if all modes have the same moments."""
        return all(bool((part == part[..., :1]).all()) for part in (self.online, self.cross, self.target))

    @isolated
    def mode(self, m: int) -> "ModeViews":
        """Return the views of mode m alone, whose moments have the shape (..., 1).

        Parameters
        ----------
        m : int
            Index of a mode, from 0 to M - 1.

        Returns
        -------
        ModeViews
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
        return ModeViews(*(_read_only(part[..., m : m + 1]) for part in (self.online, self.cross, self.target)))

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Fields of ``Parameters`` that describe the views, each (..., M)."""
        excess1, excess2 = ((part - self.cross) / self.cross for part in (self.online, self.target))
        return {"excess1": excess1, "excess2": excess2, "cross": self.cross}

    @property
    def root(self) -> FloatArray:
        """Square root (M, M) of the second moments that the views share, for the first member of an ensemble."""
        return np.diag(np.sqrt(self.cross.reshape(-1, self.count)[0]))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the ensemble that the moments define."""
        return self.cross.shape[:-1]

    def __repr__(self) -> str:
        return f"Views of {counted(self.count, 'mode')}"


@dataclass(frozen=True, repr=False, eq=False)
class MatrixViews(Views):
    """Views of any second moments; see ``Views.moments``, ``Views.measured`` and ``Views.of_images``.

    online, cross, target: second moments E[x1 x1^T], E[x2 x1^T] and E[x2 x2^T], each (N, N). number: number of samples
    from which the moments were measured; None for moments that were given. standard_errors: standard errors of the
    three matrices; None for moments that were given. samples: the samples (x1, x2), each (B, N), if they are kept.
    Views are equal if their moments are equal.
    """

    online: FloatArray
    cross: FloatArray
    target: FloatArray
    number: int | None = field(default=None, compare=False)
    standard_errors: tuple[FloatArray, ...] | None = field(default=None, compare=False)
    samples: tuple[FloatArray, FloatArray] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, moments: Moments) -> "MatrixViews":
        """Return views of these moments; raise ArgumentError if they are not the second moments of two views."""
        sizes = {name: np.abs(getattr(moments, name)).max() for name in ("online", "target")}
        for name, size in sizes.items():
            matrix = getattr(moments, name)
            if np.abs(matrix - matrix.T).max() > ROUNDING * size:
                errors.reject(name, "be a symmetric matrix", matrix)
        smallest = float(np.linalg.eigvalsh(_joint(moments.online, moments.cross, moments.target))[0])
        if smallest < -NEGATIVE * max(sizes.values()):
            requirement = (
                "be possible with `online` and `target`: the matrix of all three has to be positive semidefinite, but "
                f"has the eigenvalue {smallest:.3g}"
            )
            errors.reject("cross", requirement, moments.cross)
        views = cls(**moments._asdict())
        if not views.root.any():
            errors.reject("cross", "have a symmetric part with an eigenvalue above zero", moments.cross)
        for part in (*moments[:3], moments.standard_errors or (), moments.samples or ()):
            make_read_only(part)
        return views

    @property
    def count(self) -> int:
        """Number of inputs N."""
        return len(self.cross)

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Mean over inputs of the excess of each view's second moments over the moments that the views share.

        The excess is zero for both views only if the views are equal.
        """
        shared = np.trace(self.cross)
        excess1, excess2 = ((np.trace(part) - shared) / self.count for part in (self.online, self.target))
        return {"excess1": np.array([excess1]), "excess2": np.array([excess2])}

    @cached_property
    def root(self) -> FloatArray:
        """Symmetric square root (N, N) of the second moment S that the views share."""
        return symmetric_root((self.cross + self.cross.T) / 2)

    batch_shape = ()

    @cached_property
    def joint_roots(self) -> tuple[FloatArray, FloatArray]:
        """Matrices R1, R2 (N, d); views R1 l and R2 l have these moments if l are d independent standard normals."""
        values, vectors = np.linalg.eigh(_joint(self.online, self.cross, self.target))
        present = values > NEGATIVE * values.max()
        roots = vectors[:, present] * np.sqrt(values[present])
        return roots[: self.count], roots[self.count :]

    def __repr__(self) -> str:
        measured = "" if self.number is None else f", measured from {self.number} samples"
        return f"Views of {self.count} inputs{measured}"


@dataclass(frozen=True, eq=False)
class WhiteViews(Views):
    """White views x + sigma_i xi_i, which the option ``noise`` of ``Model`` describes; see ``Views.white``."""

    sigma1: Any
    sigma2: Any


@dataclass(frozen=True, kw_only=True)
class ViewsOption(Option):
    """An option whose value is ``Views``, or None."""

    def checked(self, name: str, value: Any) -> Any:
        """Return the views; raise ArgumentError if the value is neither None nor views."""
        if value is not None:
            errors.instance(name, value, Views, f"be {Views.example}")
        return value

    def to_plain(self, value: Any) -> Any:
        """Return the views as a dictionary: their kind, and the moments as lists. Samples are left out."""
        return {"kind": KINDS[type(value)]} | {name: getattr(value, name).tolist() for name in MOMENTS}

    def from_plain(self, name: str, plain: Any) -> Any:
        """Return the views that a dictionary of plain data describes; name: name of the option in messages."""
        errors.instance(name, plain, dict, "be a table with the keys online, cross and target")
        check_keys(name, plain, ("kind", *MOMENTS))
        check_present(name, plain, MOMENTS)
        kind = errors.choice("kind", plain.get("kind", "modes"), KINDS.values())
        return getattr(Views, kind)(**{moment: plain[moment] for moment in MOMENTS})


KINDS = {ModeViews: "modes", MatrixViews: "moments"}  # names of the constructors in plain data
MOMENTS = ("online", "cross", "target")


def symmetric_root(matrix: FloatArray) -> FloatArray:
    """Return the symmetric square root of a symmetric matrix, whose negative eigenvalues count as zero."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _joint(online: FloatArray, cross: FloatArray, target: FloatArray) -> FloatArray:
    """Return the second moment (2N, 2N) of both views together."""
    return np.block([[online, cross.T], [cross, target]])


def _read_only(array: FloatArray) -> FloatArray:
    array = np.array(array)
    array.setflags(write=False)
    return array
