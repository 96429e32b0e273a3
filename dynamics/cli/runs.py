"""Define the commands that compute trajectories: ``solve``, ``iterate``, ``train`` and ``sweep``."""

from typing import Any

import click

from dynamics.cli.group import main
from dynamics.cli.options import CLOSURE, MOMENTUM, PROGRESS, RTOL, S0, STEPS, WEIGHTS, apply, method, model_options
from dynamics.cli.output import TRAJECTORY, VALUES, Printed, prints
from dynamics.cli.parsing import model_of, momentum_of, refuse_given, start_of, weights_of


@main.command(params=model_options())
@apply(S0, WEIGHTS, CLOSURE)
@click.option(
    "--end-time",
    type=float,
    default=10.0,
    show_default=True,
    help="Last time, in units of learning rate times steps.",
)
@click.option(
    "--points",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of times, which are evenly spaced from 0; if 1, only the last time is computed.",
)
@click.option("--until", type=click.Choice(["steady"]), help="Stop when the flow has converged to a steady state.")
@click.option("--learning-rate", type=float, help="Learning rate eta; required with --ema or --tracking, else refused.")
@apply(method("FLOW_METHODS"), RTOL)
@click.option("--atol", type=float, default=1e-14, show_default=True, help="Absolute tolerance of the eigenvalues.")
@PROGRESS
@prints(*TRAJECTORY)
def solve(s0: list[float] | None, end_time: float, points: int, **others: Any) -> Any:
    """Solve the gradient flow ds/dt = 2 s (r(s) - rho) of eigenvalues s, by an exact solution or an integrator.

    r(s) are the rates of the modes, and rho is the weight decay.

    \b
    Pictures, tables and archives, by suffix or on standard output:
      ssl-dynamics solve --s0 0.1,0.5 --end-time 20 --out flow.png
      ssl-dynamics solve --s0 0.1,0.5 --end-time 20 --points 5 --out - --format csv
    """
    import dynamics as dyn
    from dynamics.numerics.ranges import evenly_spaced

    if end_time < 0:
        raise click.UsageError(f"--end-time must be at least 0, but is {end_time:g}.")
    model, times = model_of(others), evenly_spaced(0.0, end_time, points) if points > 1 else [end_time]
    settings = {name: others[name] for name in ("closure", "learning_rate", "until", "method", "rtol", "atol")}
    return dyn.solve(model, start_of(s0, model, others), times, **settings, progress=others["progress"])


@main.command(params=model_options())
@apply(S0, WEIGHTS, STEPS, MOMENTUM, CLOSURE)
@click.option(
    "--batch-size",
    type=int,
    help="Predict mean and standard deviation of the eigenvalues of networks with this batch size.",
)
@click.option(
    "--input-dimension",
    type=int,
    help="Number of inputs of networks trained with --batch-size; by default that of the random weights.",
)
@apply(method("DESCENT_METHODS"), RTOL, PROGRESS)
@prints(*TRAJECTORY)
def iterate(s0: list[float] | None, steps: int, learning_rate: float, **others: Any) -> Any:
    """Iterate the descent map, which is exact gradient descent on the population loss, at any learning rate."""
    import dynamics as dyn

    momentum = momentum_of(others)
    model, of_batch = model_of(others), ("batch_size", "input_dimension")
    if others["batch_size"] is not None and others["input_dimension"] is None and s0 is None:
        others["input_dimension"] = weights_of(model, others).shape[-1]
    settings = {name: others[name] for name in ("closure", "record", "method", "rtol", "progress", *of_batch)}
    return dyn.iterate(model, start_of(s0, model, others), steps, learning_rate, momentum=momentum, **settings)


@main.command(params=model_options())
@apply(WEIGHTS, STEPS, MOMENTUM)
@click.option("--batch-size", type=int, default=10_000, show_default=True, help="Number of new samples in each step.")
@click.option(
    "--seed",
    type=int,
    multiple=True,
    default=(0,),
    show_default=True,
    help="Seed of the views; may be repeated to train several networks.",
)
@click.option("--units", default="linear", show_default=True, help="Activation: linear or relu.")
@click.option("--dtype", default="float32", show_default=True, help="Precision: float32 or float64.")
@click.option("--device", help="Device: cpu, gpu or tpu; by default JAX chooses.")
@PROGRESS
@prints(*TRAJECTORY)
def train(steps: int, learning_rate: float, seed: tuple[int, ...], **others: Any) -> Any:
    """Train a linear (or ReLU) Siamese network, with gradients by automatic differentiation."""
    import dynamics as dyn

    momentum = momentum_of(others)
    model, seeds = model_of(others), seed[0] if len(seed) == 1 else list(seed)
    settings = {name: others[name] for name in ("batch_size", "record", "units", "dtype", "device", "progress")}
    settings["momentum"] = momentum
    return dyn.train(model, weights_of(model, others), steps, learning_rate, seed=seeds, **settings)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Number of worker processes on this machine; by default the sweep runs in the process of this command.",
)
@click.option("--scheduler", help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.")
@PROGRESS
@prints(*VALUES)
def sweep(file: str, workers: int | None, scheduler: str | None, progress: bool | None) -> Any:
    """Run a model over a grid of parameters and seeds, which a TOML FILE describes, and write a Zarr store.

    If FILE is -, the description is read from standard input. The same command continues a sweep that was stopped or
    killed. The sizes and attributes of the store are printed, without the data.

    \b
    An example of a file (docs/sweeps.md explains all keys):
      store = "sweep.zarr"
      model = { loss = "cosine", noise = [0.0, 0.1] }
      run = { s0 = [0.02, 0.2, 2.0], steps = 300, learning_rate = 0.1 }
      grid = { weight_decay = { from = 0.0, to = 0.1, points = 101 }, sigma2 = [0.1, 0.2] }
    """
    from dynamics.sweeps import toml_file

    if workers is not None:
        refuse_given("--workers", "scheduler")
    runs = toml_file.run(file, workers, scheduler, progress)
    return Printed(runs.to_dict(data=False), str(runs), runs.attrs["progress"])
