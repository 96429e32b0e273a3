"""``sweep``: runs over a grid of parameters and seeds, stored in blocks so that an interrupted sweep can continue."""

import warnings
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
from dynamics.sweeps.executor import block_failure, check_executor, outcomes
from dynamics.sweeps.plan import SweepPlan, plan_of_function, plan_of_model
from dynamics.sweeps.store import (
    Layout,
    Store,
    check_disk_space,
    create,
    locked,
    open_dataset,
    store_exists,
    variables_of,
)


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
    """Compute eigenvalues s(t) at every point of a grid of parameters and seeds, in blocks, and store them with Zarr.

    Parameters
    ----------
    what : Model or callable
        A model, for which ``solve``, ``iterate`` or ``train`` is called, as ``arguments`` determine; or a function,
        which is called at each point as ``function(**point, **arguments)`` with plain numbers. The function returns a
        dict of numbers and arrays, of the same shapes at all points, or a trajectory. In the dict, an array may be
        given as a pair (names of its axes, array).
    grid : mapping of str to array_like
        The values (n,) along each axis, by name. An axis of a model is one of its parameters
        (``model.parameter_names``), "learning_rate", "seed" for networks, or "s0", with K sets of initial eigenvalues
        (K, M). An axis of a function is one of its arguments. Values along an axis replace the values of the model.
    store : str or Path
        Folder of the store: a new path, or the store of an interrupted sweep with the same arguments, which is then
        continued.
    chunk : int, optional
        Largest number of points of a block, which is computed and stored as a whole.
    executor : concurrent.futures.Executor or Dask Client, optional
        Executor that computes the blocks; default: this process.
    keep : sequence of str, optional
        Names of the arrays to store, out of "s", "target", "predictor" and "blow_up_time"; by default "s" and all
        arrays that do not follow from s.
    progress : bool, optional
        Show a progress bar; None: on a terminal, if the sweep takes long.
    **arguments
        For a model: the arguments of ``solve`` (``s0``, ``times``), ``iterate`` (``s0``, ``steps``, ``learning_rate``)
        or ``train`` (``W0``, ``steps``, ``learning_rate``), and their options. For a function: its arguments that are
        not axes of the grid.

    Returns
    -------
    xarray.Dataset
        The contents of the store, which are read when they are accessed: ``s`` (axes..., time or step, mode) and all
        other stored arrays, NaN where nothing has been computed, and ``status`` (axes...): 0 not computed, 1 complete,
        2 diverged (inf after the divergence), 3 stopped early (NaN after the stop). An interrupted sweep returns the
        blocks that are done; ``attrs["progress"]`` states their number. Blocks whose files are missing or damaged are
        computed again.

    Raises
    ------
    ArgumentError
        Before any computation, if an argument is invalid, if the store belongs to another sweep or to other generated
        code, or if the results would not fit on the disk.
    SweepError
        If a block failed, or could not be written because the disk is full, after all other blocks that were being
        computed are stored; the message names the points of the failed block. If a file of the store is damaged that
        belongs to no block; the message names the file.

    Warns
    -----
    AccuracyWarning
        Once, if the quadrature of any block missed its tolerance.

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
            _write(target, plan, 0, first, warned)
        missing, damaged = target.missing()
        check_disk_space(path, plan.grid, target.variables, Counter(map(plan.grid.points, missing)))
        status = _fill(target, plan, missing.tolist(), executor, progress, warned)
    if warned:
        others = f" The tolerance was missed in {len(warned)} blocks of the sweep." if len(warned) > 1 else ""
        warnings.warn(f"{warned[min(warned)]}{others}", errors.AccuracyWarning, stacklevel=2)
    if damaged and status == "complete":
        status = f"complete; {damaged} damaged blocks were computed again"
    return open_dataset(path).assign_attrs(progress=status)


def _plan(what: Any, grid: Any, chunk: int, keep: Any, arguments: dict[str, Any]) -> SweepPlan:
    if isinstance(what, Model):
        return plan_of_model(what, grid, chunk, keep, arguments)
    if not callable(what):
        errors.reject("what", "be a Model or a function", what)
    if keep is not None:
        errors.reject("keep", "be left out for a function, because all its results are kept", keep)
    return plan_of_function(what, grid, chunk, arguments)


def _create_store(path: Path, plan: SweepPlan, executor: Executor) -> Outcome | None:
    """Create the store of a sweep.

    If only results determine the arrays of the store, as for a function, the first block is computed and returned.
    """
    layout, first = plan.layout, None
    if layout is None:
        check_disk_space(path, plan.grid, {}, plan.grid.block_sizes())  # at least the status of all points
        ((_, first),) = outcomes(plan, [0], executor)
        layout = Layout(variables_of(plan.grid, first.arrays), {})
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
    """Compute the missing blocks, write them to the store ``target``, and return how the sweep ended.

    warned: texts of warnings by number of the block, to which those of the computed blocks are added.
    """
    grid, remaining = plan.grid, len(missing)
    done = grid.points() - sum(map(grid.points, missing))
    with (
        progress_bar(grid.points(), "sweep", progress, unit="points", done=done) as bar,
        closing(outcomes(plan, missing, executor)) as results,
    ):
        try:
            for number, outcome in results:
                _write(target, plan, number, outcome, warned)
                remaining -= 1
                bar.update(grid.points(number))
        except KeyboardInterrupt:
            blocks = f"{len(grid) - remaining} of {len(grid)} blocks"
            return f"interrupted after {blocks}; the same call resumes the sweep"
    return "complete"


def _write(target: Store, plan: SweepPlan, number: int, outcome: Outcome, warned: dict[int, str]) -> None:
    """Write a block, and add its warning to ``warned``; raises SweepError, for example if the disk is full."""
    try:
        target.write(number, outcome.arrays)
    except (ValueError, OSError) as error:
        raise block_failure(plan, number, error) from error
    if outcome.warning:
        warned[number] = outcome.warning
