"""Define the function ``sweep``: compute runs over a grid of parameters, in blocks; continue after an interruption."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy.typing as npt
import xarray as xr

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.context import isolated
from dynamics.numerics.progress import check_progress, progress_bar
from dynamics.sweeps.block import Outcome
from dynamics.sweeps.chunks import variables_of
from dynamics.sweeps.executor import block_failure, check_executor, error_of_writing, outcomes
from dynamics.sweeps.plan import SweepPlan, plan_of_function, plan_of_model
from dynamics.sweeps.store import Layout, Store, check_disk_space, create, locked, open_dataset, store_exists


@isolated
def sweep(
    what: Model | Callable[..., Any],
    grid: Mapping[str, npt.ArrayLike],
    *,
    store: str | Path,
    chunk: int = 1000,
    executor: Executor | Any = None,
    keep: Sequence[str] | None = None,
    progress: bool | None = None,
    **arguments: Any,
) -> xr.Dataset:
    """Compute eigenvalues s(t) at every point of a grid of parameters and seeds, and store the results with Zarr.

    Parameters
    ----------
    what : Model or callable
        A model or a function. For a model, ``solve``, ``iterate`` or ``train`` is called; the choice follows from
        ``arguments``. A function is called at each point as ``function(**point, **arguments)`` with plain numbers. The
        function must return a trajectory, or a dict of numbers and arrays that have the same shapes at all points. In
        the dict, an array may be given as a pair (names of the axes, array).
    grid : mapping of str to array_like
        The values (n,) along each axis of the grid. For a model, the name of an axis is a parameter of the model
        (``model.parameter_names``), "learning_rate", "seed" for networks, or "s0". The values of a parameter along an
        axis replace the value in the model. The values along "s0" are the initial eigenvalues (K, M) of K runs. For a
        function, the name of an axis is an argument of the function.
    store : str or Path
        Folder of the store: a new path, or the store of an earlier sweep with the same arguments. In the second case
        the earlier sweep is continued.
    chunk : int, optional
        Largest number of points of a block; default 1000. A block is computed and stored as a whole.
    executor : concurrent.futures.Executor or Dask Client, optional
        Executor that computes the blocks. By default the blocks are computed in this process.
    keep : sequence of str, optional
        Names of the arrays to store: "s", "target", "predictor", "blow_up_time". By default, "s" and all arrays that
        cannot be computed from s are stored.
    progress : bool, optional
        Show a progress bar. By default the bar is shown on a terminal if the sweep takes long.
    **arguments
        For a model: the arguments of ``solve`` (``s0``, ``times``, ...), of ``iterate`` (``s0``, ``steps``,
        ``learning_rate``, ...) or of ``train`` (``W0``, ``steps``, ``learning_rate``, ...). For a function: the
        arguments of the function that are not axes of the grid.

    Returns
    -------
    xarray.Dataset
        The contents of the store, which are read from the disk when they are accessed: ``s`` (axes of the grid, time or
        step, mode) and all other stored arrays, and ``status`` (axes of the grid). The status is 0 for a point that is
        not computed (all values are NaN), 1 for a complete run, 2 for a run that diverged (later values are inf), and 3
        for a run that stopped early (later values are NaN). If the sweep was interrupted, the results of the completed
        blocks are returned, and ``attrs["progress"]`` states how many blocks are complete. If files of a block are
        missing or damaged, the block is computed again.

    Raises
    ------
    ArgumentError
        If an argument is not valid, if the store belongs to another sweep or to other generated code, or if the results
        would not fit on the disk. The error is raised before any computation.
    SweepError
        If a block failed, or could not be written, for example because the disk is full. The message names the points
        of this block. All other blocks that were being computed at that time are stored first. A SweepError is also
        raised if a file of the store that belongs to no block is damaged; the message then names the file.

    Warns
    -----
    AccuracyWarning
        If the quadrature of rates missed its tolerance in at least one block; the warning is given once.

    Examples
    --------
    >>> import tempfile
    >>> import dynamics as dyn
    >>> model = dyn.Model("euclidean")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     runs = dyn.sweep(
    ...         model, {"weight_decay": [0.0, 0.1]}, store=f"{folder}/decay.zarr", s0=[0.1, 0.5], times=[0.0, 1.0, 10.0]
    ...     )
    ...     runs.s.sizes
    Frozen({'weight_decay': 2, 'time': 3, 'mode': 2})
    """
    check_progress(progress)
    path, chunk, executor = errors.path("store", store), errors.count("chunk", chunk), check_executor(executor)
    plan = _plan(what, grid, chunk, keep, arguments)
    first = None if store_exists(path, plan.identity) else _create_store(path, plan, executor)
    with locked(path):
        store_exists(path, plan.identity)  # raises an error if another sweep has created the store meanwhile
        target, warned = Store(path, plan.grid), dict[int, str]()
        if first is not None:
            if (reason := error_of_writing(target.block(0), first)) is not None:
                raise block_failure(plan, 0, reason)
            _note(0, first, warned)
        missing, damaged = target.missing()
        check_disk_space(path, plan.grid, target.variables, Counter(map(plan.grid.points, missing)))
        status = _fill(target, plan, missing.tolist(), executor, progress, warned)
    if warned:
        others = f" This tolerance was missed in {len(warned)} blocks of the sweep." if len(warned) > 1 else ""
        errors.warn_caller(f"{warned[min(warned)]}{others}")
    if damaged and status == "complete":
        status = f"complete; {damaged} damaged blocks were computed again"
    return open_dataset(path).assign_attrs(progress=status)


def _plan(what: Any, grid: Any, chunk: int, keep: Any, arguments: dict[str, Any]) -> SweepPlan:
    if isinstance(what, Model):
        return plan_of_model(what, grid, chunk, keep, arguments)
    if not callable(what):
        errors.reject("what", "be a Model or a function", what)
    if keep is not None:
        requirement = "be left out if `what` is a function, because all arrays that the function returns are stored"
        errors.reject("keep", requirement, keep)
    return plan_of_function(what, grid, chunk, arguments)


def _create_store(path: Path, plan: SweepPlan, executor: Executor) -> Outcome | None:
    """Create the store of a sweep; for a sweep of a user's function, return the results of the first block.

    The store is created with the names and shapes of all arrays. For a user's function they are not known in advance,
    so that the first block is computed to find them. For a sweep of a model they are known, and None is returned.
    """
    layout, first = plan.layout, None
    if layout is None:
        check_disk_space(path, plan.grid, {}, plan.grid.block_sizes())  # the status of all points must fit in any case
        ((_, first),) = outcomes(plan, [0], executor, None)
        layout = Layout(variables_of(len(plan.grid.axes), first.arrays), {})
    check_disk_space(path, plan.grid, layout.variables, plan.grid.block_sizes())
    create(path, plan.grid, layout, plan.identity, plan.title)
    return first


def _fill(
    target: Store,
    plan: SweepPlan,
    missing: list[int],
    executor: Executor,
    progress: bool | None,
    warned: dict[int, str],
) -> str:
    """Compute the missing blocks and write them to the store ``target``; return in words how the sweep ended.

    missing: numbers of the missing blocks. warned: dictionary from numbers of blocks to texts of warnings; the warnings
    of the computed blocks are added to this dictionary.
    """
    grid, remaining = plan.grid, len(missing)
    done = grid.points() - sum(map(grid.points, missing))
    with (
        progress_bar(grid.points(), "sweep", progress, unit="points", done=done) as bar,
        closing(outcomes(plan, missing, executor, target)) as results,
    ):
        try:
            for number, outcome in results:
                _note(number, outcome, warned)
                remaining -= 1
                bar.update(grid.points(number))
        except KeyboardInterrupt:
            blocks = f"{len(grid) - remaining} of {len(grid)} blocks"
            return f"interrupted after {blocks}; the same call resumes the sweep"
    return "complete"


def _note(number: int, outcome: Outcome, warned: dict[int, str]) -> None:
    """Add the warning of a block to ``warned``, a dictionary from numbers of blocks to texts of warnings."""
    if outcome.warning:
        warned[number] = outcome.warning
