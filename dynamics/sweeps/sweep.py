"""Sweeps over parameters and seeds: blocks of a grid, on any executor, into a store that a killed run goes on from."""

import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import xarray as xr

from dynamics import errors
from dynamics.model.model import Model
from dynamics.numerics.progress import check_progress, progress_bar
from dynamics.sweeps.block import Outcome, compute
from dynamics.sweeps.plan import Plan, plan_of_function, plan_of_model
from dynamics.sweeps.store import Layout, Store, check_room, create, exists, held, opened, variables_of

EACH = 2  # blocks under way for each worker: one that it computes, and one for when that is done
MANY = 64  # ... on an executor that does not tell how many workers it has, or that starts them for what is waiting


def sweep(
    what: Model | Callable,
    grid,
    *,
    store,
    chunk=1000,
    executor=None,
    keep=None,
    progress=None,
    **arguments,
) -> xr.Dataset:
    """Compute s(t) at every point of a grid of parameters and seeds, in blocks, into a Zarr store.

    what: a ``Model``, whose keyword arguments are those of ``solve`` (``s0``, ``times``), ``iterate`` (``s0``,
    ``steps``, ``learning_rate``) or ``train`` (``W0``, ``steps``, ``learning_rate``), each also with its options; or a
    function, called as ``function(**point, **arguments)`` with plain numbers, point by point, that returns a dict of
    numbers and arrays, of the same shapes everywhere, or a trajectory. An array may be (names of its axes, array).
    grid: the values (n,) of each axis, by name: a parameter (``model.parameter_names``), "learning_rate", "seed"
    of networks, or "s0", starts (K, M); of a function, its arguments. The model's own values of axes do not count.
    store: path of the store, a folder; new, or that of this very sweep, which then goes on where it stopped.
    chunk: how many points a block has at most; default 1000. Blocks are computed, kept or lost, and stored as a whole.
    executor: where blocks are computed: any ``concurrent.futures.Executor``, a Dask ``Client``, or None: here.
    keep: names of the arrays to keep, of "s", "target", "predictor", "blow_up_time"; default: those that do not follow
    from s. progress: True, False, or None: a bar where it takes long.

    Returns the ``xarray.Dataset`` of the store, read when looked at: ``s`` (axes..., time or step, mode) and others,
    not a number where nothing has been computed, and ``status`` (axes...): 0 not computed, 1 complete, 2 diverged, inf
    from there on, 3 stopped early, not a number from there on. Interrupting returns what is done, and
    ``attrs["progress"]`` says how much that is.

    Warns once (AccuracyWarning) if any block missed its tolerance. Raises ArgumentError before any work, also where
    the store belongs to another sweep, or to other generated code, and where it would not fit on the disk; SweepError
    with the points of a block that failed, once all others that are done are kept.
    """
    check_progress(progress)
    path, chunk, executor = _path(store), errors.count("chunk", chunk), _executor(executor)
    if isinstance(what, Model):
        plan = plan_of_model(what, grid, chunk, keep, arguments)
    elif not callable(what):
        errors.reject("what", "be a Model or a function", what)
    elif keep is not None:
        errors.reject("keep", "be left out for a function, all of whose results are kept", keep)
    else:
        plan = plan_of_function(what, grid, chunk, arguments)
    warned = {} if exists(path, plan.identity) else _lay_out(path, plan, executor)
    with held(path):
        target = Store(path, plan.grid)
        missing = target.missing()
        check_room(path, plan.grid, target.variables, missing)
        status = _fill(target, plan, missing, executor, progress, warned)
    if warned:
        others = f" So it was in {len(warned)} blocks of the sweep." if len(warned) > 1 else ""
        warnings.warn(f"{warned[min(warned)]}{others}", errors.AccuracyWarning, stacklevel=2)
    return opened(path).assign_attrs(progress=status)


def _path(store) -> Path:
    if not isinstance(store, (str, Path)) or not str(store):
        errors.reject("store", "be a path", store)
    return Path(store)


def _lay_out(path: Path, plan: Plan, executor: Executor) -> dict[int, str]:
    """A new store; where only results tell what a block consists of, with the first in it, and what that warned of."""
    layout, first = plan.layout, None
    if layout is None:
        ((_, first),) = outcomes(plan, [0], executor)
        layout = Layout(variables_of(plan.grid, first.arrays), {})
    check_room(path, plan.grid, layout.variables, range(len(plan.grid)))
    create(path, plan.grid, layout, plan.identity, plan.title)
    if first is None:
        return {}
    Store(path, plan.grid).write(0, first.arrays)
    return {0: first.warning} if first.warning else {}


def _fill(target: Store, plan: Plan, missing, executor: Executor, progress, warned: dict[int, str]) -> str:
    """Compute and write the missing blocks; how it ended. What blocks warned of is added to ``warned``."""
    grid, left = plan.grid, len(missing)
    done = grid.points() - sum(map(grid.points, missing))
    with (
        progress_bar(grid.points(), "sweep", progress, unit="points", done=done) as bar,
        closing(outcomes(plan, map(int, missing), executor)) as found,
    ):
        try:
            for number, outcome in found:
                try:
                    target.write(number, outcome.arrays)
                except ValueError as error:
                    raise _failure(plan, number, error) from error
                left -= 1
                if outcome.warning:
                    warned[number] = outcome.warning
                bar.update(grid.points(number))
        except KeyboardInterrupt:
            there = f"{len(grid) - left} of {len(grid)} blocks"
            return f"interrupted after {there}; the same call goes on from there"
    return "complete"


# --- executors ------------------------------------------------------------------------------------------------------


def outcomes(plan: Plan, numbers: Iterable[int], executor: Executor) -> Generator[tuple[int, Outcome], None, None]:
    """Blocks in the order in which they are done, few of them under way at a time.

    Once one has failed no other is begun, and SweepError comes after those that it was too late to call off.
    """
    left, failure = iter(numbers), None
    pending: dict[Future, int] = {}
    try:
        while True:
            most = _room(executor)
            while failure is None and len(pending) < most and (number := next(left, None)) is not None:
                try:
                    pending[executor.submit(compute, plan.work, plan.grid.values(number))] = number
                except Exception as error:  # an executor that is broken or shut down
                    failure = _failure(plan, number, error)
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                number, reason = pending.pop(future), _error_of(future)
                if reason is None:
                    yield number, future.result()
                elif isinstance(reason, KeyboardInterrupt):
                    raise reason
                else:
                    failure = failure or _failure(plan, number, reason)
                    pending = {other: its for other, its in pending.items() if not other.cancel()}
    finally:
        for future in pending:
            future.cancel()
    if failure:
        raise failure


def _error_of(future: Future) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:  # by somebody else, such as a cluster that was shut down
        return error


def _failure(plan: Plan, number: int, error: BaseException) -> errors.SweepError:
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", []))
    reason = f"{type(error).__name__}: {error}{notes}"
    failure = errors.SweepError(f"Block {number + 1} of {len(plan.grid)}, {plan.grid.named(number)}, failed: {reason}")
    failure.__cause__ = error
    return failure


class _Here(Executor):
    """Computes in this process, at once."""

    def submit(self, function, /, *arguments, **named):
        """A future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def _executor(executor) -> Executor:
    if executor is None:
        return _Here()
    if hasattr(executor, "get_executor"):  # a Dask Client
        executor = executor.get_executor(pure=False)
    errors.instance("executor", executor, Executor, "be a concurrent.futures.Executor, a Dask Client or None")
    return executor


def _room(executor: Executor) -> int:
    """How many blocks to have under way: enough to leave no worker without one; their results wait in memory."""
    if isinstance(executor, _Here):
        return 1
    client: Any = getattr(executor, "_client", None)
    if client:  # of a Dask cluster, whose workers come and go
        return max(MANY, EACH * sum(client.nthreads().values()))
    workers = getattr(executor, "_max_workers", None)
    return MANY if workers is None else EACH * workers
