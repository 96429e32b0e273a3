"""Compute and write the blocks of a sweep with an executor (threads, processes, or a cluster), few blocks at a time.

Threads and processes on this machine write the blocks that they compute, so that compression and writing use all cores.
Workers of a cluster, which may have other disks, return their blocks to this process, which writes them.
"""

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from functools import cache
from multiprocessing import parent_process
from threading import Thread
from typing import Any

from dynamics import errors
from dynamics.sweeps.block import Evaluator, Outcome, compute
from dynamics.sweeps.chunks import BlockFiles
from dynamics.sweeps.grid import Values
from dynamics.sweeps.plan import SweepPlan
from dynamics.sweeps.store import Store

PER_WORKER = 2  # number of blocks that are submitted for each worker: one to compute, and one that waits
MANY = 64  # number of blocks that are submitted if the number of workers is unknown, or may grow


class LocalExecutor(Executor):
    """Executor that calls each function in this process, as soon as the function is submitted."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Call the function at once, and return a completed future with the result or the exception."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def check_executor(executor: Any) -> Executor:
    """Return the executor that computes blocks.

    executor: an executor; a Dask Client, whose executor is returned; or None, which gives an executor that computes in
    this process. Raises ArgumentError for other values.
    """
    if executor is None:
        return LocalExecutor()
    if hasattr(executor, "get_executor"):  # a Dask Client
        executor = executor.get_executor(pure=False)
    errors.instance("executor", executor, Executor, "be a concurrent.futures.Executor, a Dask Client or None")
    return executor


def outcomes(
    plan: SweepPlan, numbers: Iterable[int], executor: Executor, store: Store | None
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield the number and the outcome of each block in ``numbers``, in the order of completion.

    Few blocks are submitted to the executor at a time. If a block fails, no further blocks are submitted, and waiting
    blocks are cancelled. Blocks that are already being computed are still yielded; then SweepError is raised. store:
    store to which each block has been written when it is yielded; None to write no block.
    """
    remaining, failure = iter(numbers), None
    pending: dict[Future[Outcome], int] = {}
    here = isinstance(executor, (LocalExecutor, ThreadPoolExecutor, ProcessPoolExecutor))
    work = work_in_worker if isinstance(executor, ProcessPoolExecutor) or not here else compute_and_write
    try:
        while True:
            limit = _limit(executor)
            while failure is None and len(pending) < limit and (number := next(remaining, None)) is not None:
                files = store.block(number) if store and here else None
                try:
                    pending[executor.submit(work, plan.evaluate, plan.grid.values(number), files)] = number
                except Exception as error:  # raised by an executor that is broken or shut down
                    failure = block_failure(plan, number, error)
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                number, reason = pending.pop(future), _error_of(future)
                if reason is None and store and not here:
                    reason = error_of_writing(store.block(number), future.result())
                if reason is None:
                    yield number, future.result()
                elif isinstance(reason, KeyboardInterrupt):
                    raise reason
                else:
                    failure = failure or block_failure(plan, number, reason)
                    pending = {future: block for future, block in pending.items() if not future.cancel()}
    finally:
        for future in pending:
            future.cancel()
    if failure:
        raise failure


def compute_and_write(evaluate: Evaluator, values: dict[str, Values], files: BlockFiles | None) -> Outcome:
    """Compute a block, and write its arrays to files; the outcome then has no arrays.

    evaluate: function that returns the arrays of a block. values: values of the axes of the grid in the block. files:
    files of the block; None to write no files, and to return the arrays.
    """
    outcome = compute(evaluate, values)
    if files is None:
        return outcome
    files.write(outcome.arrays)
    return outcome._replace(arrays={})


def work_in_worker(evaluate: Evaluator, values: dict[str, Values], files: BlockFiles | None) -> Outcome:
    """Call ``compute_and_write`` in a worker process, and let this process end when its parent process ends."""
    end_with_parent()
    return compute_and_write(evaluate, values, files)


@cache
def end_with_parent() -> None:
    """If ``multiprocessing`` started this process, let this process end when its parent process ends or is killed."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _error_of(future: Future[Outcome]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError as error:  # cancelled from outside, for example by a cluster that was shut down
        return error


def error_of_writing(files: BlockFiles, outcome: Outcome) -> Exception | None:
    """Write the arrays of a block; return the error if they cannot be written, for example because the disk is full."""
    try:
        files.write(outcome.arrays)
    except (ValueError, OSError) as error:
        return error
    return None


def block_failure(plan: SweepPlan, number: int, error: BaseException) -> errors.SweepError:
    """Return the SweepError for a failed block; its message names the grid points of the block and the reason.

    number: number of the block. error: exception that was raised when the block was computed or written.
    """
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", []))
    block = f"Block {number + 1} of {len(plan.grid)}, {plan.grid.describe(number)}"
    failure = errors.SweepError(f"{block}, failed: {type(error).__name__}: {error}{notes}")
    failure.__cause__ = error
    return failure


def _limit(executor: Executor) -> int:
    """Return the largest number of blocks that are submitted to an executor at a time.

    This number is large enough to keep all workers busy, and small enough for the results to fit into memory.
    """
    if isinstance(executor, LocalExecutor):
        return 1
    client: Any = getattr(executor, "_client", None)
    if client:  # the executor of a Dask cluster, whose number of workers may change
        return max(MANY, PER_WORKER * sum(client.nthreads().values()))
    workers = getattr(executor, "_max_workers", None)
    return MANY if workers is None else PER_WORKER * workers
