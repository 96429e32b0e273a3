"""Define ``iterate``, which iterates the descent map: gradient descent on the population loss."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from dynamics.model.model import Model
from dynamics.model.momentum import Momentum
from dynamics.model.schedules import PerStep, in_words
from dynamics.numerics.context import isolated
from dynamics.numerics.progress import hinting
from dynamics.results.trajectory import Trajectory
from dynamics.solvers.methods import DESCENT_METHODS, choose, faster
from dynamics.solvers.problem import DescentProblem
from dynamics.solvers.solutions import Descent
from dynamics.vector_field.base import SAMPLED


@isolated
def iterate(
    model: Model,
    s0: npt.ArrayLike,
    steps: int,
    learning_rate: PerStep,
    *,
    momentum: float | Momentum = 0.0,
    schedules: Mapping[str, PerStep] | None = None,
    batch_size: int | None = None,
    input_dimension: int | None = None,
    W_P0: npt.ArrayLike | None = None,
    layers0: npt.ArrayLike | None = None,
    closure: str | None = None,
    rtol: float = 1e-8,
    record: int | Sequence[int] = 1,
    method: str = "auto",
    progress: bool | None = None,
) -> Trajectory:
    r"""Iterate the descent map of the eigenvalues, s_m <- s_m (1 + eta (r_m - rho))^2.

    The map is gradient descent on the population loss, and it is exact at any learning rate eta. rho is the weight
    decay. r_m is the rate of mode m, which depends on the eigenvalues of all modes: in a step the loss changes the
    singular value sqrt(s_m) by the fraction eta r_m. A step also changes the further dynamical variables of the model
    (a target branch, a learned predictor, a tracked correlation).

    Parameters
    ----------
    model : Model
    s0 : array_like, shape (..., M) or (..., M, N)
        Initial eigenvalues of the representation correlation, non-negative; initial weights for a model with
        ``inputs``. Leading dimensions are an ensemble and broadcast with the model's parameters.
    steps : int
    learning_rate : float, array_like of shape (steps,), or callable
        eta > 0: a number; an array with one value for each step; or a function of the step, from 0 to steps - 1, such
        as an Optax schedule. Values of a schedule may be 0.
    momentum : float or Momentum
        Momentum mu, in [0, 1): b <- mu b + G - rho w, then w <- w + eta b, with the negative gradient G of the weights
        w. ``Momentum(mu, nesterov, decoupled)`` selects Nesterov's momentum or decoupled weight decay.
    schedules : dict, optional
        A dictionary with the keys "weight_decay", "decay" (of an EMA target) or "tracking" (of a closed-form
        predictor). Its values have the forms of ``learning_rate`` and replace the values in the model.
    batch_size : int, optional
        Batch size B of networks, for which ``s`` is then a prediction: the mean over networks of u_m . C u_m. C is the
        representation correlation of a network, and u_m are the eigenvectors of the initial C. ``deviation`` is the
        standard deviation of u_m . C u_m over networks. Mean and deviation are computed to first order in 1/B, without
        momentum and schedules.
        ``population`` is the result of the descent map, and ``reliable`` is True at the steps up to which the
        prediction holds. The model must not be an ensemble.

        The eigenvectors of a model with ``inputs`` rotate. For such a model, ``s`` is the mean over networks of the
        sorted eigenvalues of C, and ``modes`` is the mean of u_m . C u_m; ``mode_deviation`` and ``mode_reliable`` are
        the standard deviation and the reliability of ``modes``. ``weights`` are means over networks. The model may have
        at most 128 weights in total.
    input_dimension : int, optional
        Number of inputs N of the networks. Required with ``batch_size``, because the gradient has noise along every
        input, so that the noise grows with N. Not needed for a model with ``inputs``, which determine N.
    W_P0 : array_like of shape (M, M), optional
        Initial weights of a learned predictor, for a model that starts from weights. By default, W_P0 has the
        eigenvectors of the initial correlation, and the values ``init`` of the model as eigenvalues.
    layers0 : array_like of shape (L, M), optional
        Initial singular values of the layers of a deep encoder. In each mode, the square of their product over the
        layers, times the second moment that the views share, is ``s0``. By default, the layers have equal
        singular values.
    closure : {"gaussian", "mean_field", "monte_carlo", "samples"}, optional
        Way in which expectations of the loss are computed; the choices are those of ``solve``.
    rtol : float
        Relative accuracy of the eigenvalues; the tolerance of the closure's quadrature is a tenth of rtol.
    record : int or sequence of int
        Number of steps between two records, or the recorded steps; step 0 and the last step are always recorded.
    method : {"auto", "numpy", "jax"}
        "numpy" computes one step after another. "jax" compiles blocks of steps; the compilation takes about a second.
        "jax" does not apply with ``inputs``, ``batch_size`` or the closure "monte_carlo". "auto" chooses "jax" for long
        runs.
    progress : bool, optional
        Show a progress bar; None shows it on a terminal if the run takes more than a second.

    Returns
    -------
    Trajectory
        A trajectory of kind "descent", with ``step`` (T,) and t = learning_rate * step, or the sum of the learning
        rates of all earlier steps; ``settings`` contains the values of schedules. A run ends when its eigenvalues
        overflow, and ``status`` states this. The eigenvalues of an ensemble member are inf from the step at which they
        overflow. A run that is interrupted returns the steps that were recorded before the interruption.

    Raises
    ------
    ArgumentError
        An argument is invalid, or the method does not apply to the problem.

    Warns
    -----
    AccuracyWarning
        The quadrature of the closure misses its tolerance.

    Notes
    -----
    With ``batch_size``, all entries of the correlation C fluctuate over networks. The mean of these entries and their
    covariance Sigma obey, to first order in 1/B,

        mean <- f(mean) + 1/2 f'' : Sigma + eta^2/B (E[v v^T] - F F^T),    Sigma <- J Sigma J^T + Q

    f is the descent map, v (M, N) the gradient of a sample, and F the mean of v over samples. J is the derivative of
    the right-hand side of the first equation, and Q the covariance of C after a step on a batch
    (docs/finite_batches.md). The derivatives and Q are computed as means over samples. For a model with ``inputs`` the
    same equations hold for the weights, without the term that contains v; the eigenvalues follow from the mean and the
    covariance of the weights.

    A function of the step is called once with all steps if it takes an array, else with one step after another.

    References
    ----------
    Halvagal, Laborieux, Zenke (2023), section 4: the toy network trained by gradient descent. Van Kampen, Stochastic
    Processes in Physics and Chemistry, chapter X: the mean and the covariance of fluctuations to first order in their
    size.

    Examples
    --------
    >>> import dynamics as dyn
    >>> theory = dyn.iterate(dyn.Model("euclidean"), s0=[0.5], steps=2, learning_rate=0.1)
    >>> theory.s.ravel().round(4).tolist()
    [0.5, 0.5253, 0.5518]

    A cosine schedule of the learning rate, with momentum:

    >>> import numpy as np
    >>> cosine = lambda step: 0.05 * (1 + np.cos(np.pi * step / 100))
    >>> theory = dyn.iterate(dyn.Model("euclidean"), [0.5], 100, cosine, momentum=0.9)
    >>> round(float(theory.t[-1]), 6)
    5.05
    """
    problem = DescentProblem.of(
        model,
        s0,
        steps,
        learning_rate,
        momentum=momentum,
        schedules=schedules,
        batch_size=batch_size,
        input_dimension=input_dimension,
        W_P0=W_P0,
        layers0=layers0,
        closure=closure,
        rtol=rtol,
        record=record,
        progress=progress,
    )
    chosen = choose(DESCENT_METHODS, method, problem)
    with hinting(partial(faster, DESCENT_METHODS, chosen, problem)):
        descent = chosen.integrate(problem)
    problem.field.warn_if_inaccurate()
    sampled = f", {SAMPLED}" if problem.closure in ("monte_carlo", "samples") else ""
    return Trajectory(
        model=model,
        kind="descent",
        t=problem.schedules.times(descent.recorded),
        **descent.observables._asdict(),
        step=descent.recorded,
        method=f"gradient descent{in_words(problem.schedules, problem.momentum)} on the population loss{sampled}",
        status=_status(descent),
        error=problem.field.error,
        blow_up_time=_blow_up_time(problem, descent.diverged),
        **({} if descent.finite_batch is None else descent.finite_batch.fields),
        settings=problem.settings,
    )


def _blow_up_time(problem: DescentProblem, diverged: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the times (...) of the steps at which members diverged; inf for a member that did not diverge."""
    steps = np.where(np.isfinite(diverged), diverged, 0).astype(int)
    return np.where(np.isfinite(diverged), problem.schedules.times(steps), np.inf)


def _status(descent: Descent) -> str:
    """Return the status of a run: a text that states the first divergence, if any, and how the run ended."""
    if not np.isfinite(descent.diverged).any():
        return descent.status
    first = f"eigenvalues diverge at step {descent.diverged.min():.0f}"
    return first if descent.status == "complete" else f"{first}; {descent.status}"
