"""Models, grids and functions that tests of sweeps share; worker processes import them from here."""

import os
import signal
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

import dynamics as dyn
from dynamics.sweeps import executor

EUCLIDEAN = dyn.Model("euclidean", noise=(0.1, 0.2))
COSINE = dyn.Model("cosine", noise=(0.0, 0.1))
S0 = [0.1, 0.5, 1.0]
W0 = np.random.default_rng(0).normal(size=(2, 3)) / 2
DECAYS, SIGMAS = np.linspace(0.0, 0.1, 5), np.array([0.1, 0.2, 0.3])
GRID = {"weight_decay": DECAYS, "sigma2": SIGMAS}
DESCENT = {"s0": S0, "steps": 6, "learning_rate": 0.1}
FLOW = {"s0": S0, "times": [0.0, 0.5, 2.0]}


def files(path):
    """Return the contents of all files of a folder, by name."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def broadcast(model, grid):
    """Return the model at all points of a grid of its parameters."""
    return model.replace(**dict(zip(grid, np.meshgrid(*grid.values(), indexing="ij", sparse=True), strict=True)))


def table(x, y, scale=1.0):
    """Return numbers, arrays, and arrays whose axes have names."""
    return {"product": scale * x * y, "powers": np.array([x, x**2]), "row": (("column",), np.arange(3) * y), "n": 1}


def logged(x, log, until=None):
    """Log the call; kill the process at one point."""
    with Path(log).open("a") as file:
        file.write(f"{x}\n")
    if x == until:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": x**2}


def calls(log):
    return [int(line) for line in Path(log).read_text().split()]


def failing(x, at):
    """Fail at one point."""
    if x == at:
        raise ZeroDivisionError("no")
    return {"square": x**2}


def pressing(x, at):
    """Press Ctrl-C at one point; like the solvers, catch it and return a part."""
    try:
        if x == at:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
    except KeyboardInterrupt:
        return {"square": -1}
    return {"square": x**2}


class Slow(Executor):
    """Executor that computes nothing until it is full, except the first few calls, and then the last call first."""

    def __init__(self, workers, at_once=0):
        self._max_workers, self.at_once, self.waiting = workers, at_once, []
        self.submitted = self.most = 0

    def submit(self, function, /, *arguments):
        future = Future()
        self.waiting.append((future, function, arguments))
        self.submitted += 1
        self.at_once -= 1
        if self.at_once >= 0 or len(self.waiting) == executor.PER_WORKER * self._max_workers:
            self.work()
        return future

    def work(self):
        while self.waiting:
            future, function, arguments = self.waiting.pop()
            try:
                future.set_result(function(*arguments))
            except ZeroDivisionError as error:
                future.set_exception(error)


def slow_square(x):
    """Take a fraction of a second."""
    time.sleep(0.1)
    return {"square": x**2}
