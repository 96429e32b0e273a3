"""Compare the time of one quadrature node with the least time that its operations take on one core of this machine."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import dynamics as dyn
from benchmarks.operations import FLOAT, count_operations
from benchmarks.row import Measurement, Row, agree
from benchmarks.setting import SIGMA2
from benchmarks.sweeps import pinned_processes
from dynamics.model.parameters import Parameters
from dynamics.numerics.compiled_quadrature import blocked
from dynamics.numerics.compiler import compiled
from dynamics.numerics.context import jax_settings
from dynamics.solvers.ensembles import BLOCK
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import State
from dynamics.vector_field.traced_field import TracedField

MODES, MEMBERS, RTOL, WITHIN = 5, 50, 1e-7, 3.0
ELEMENTS, TURNS = 2048, 200  # numbers in a block that fits into the cache, and passes over this block
CHAINS, LENGTHS = 4, (8, 24)  # see ``_seconds_of``
STREAMED = 8_000_000  # numbers of an array that does not fit into the cache
REPEATS = 30


def measure() -> Row:
    """Time single operations, and the rates in compiled code and in NumPy, in a process with a core of its own."""
    with pinned_processes(1) as process:
        speed, compiled, plain, nodes = process.submit(times).result()
    model = dyn.Model("cosine", noise=(0.0, SIGMA2))
    tally = count_operations(model.generated.rates.integrals[0].integrand, 0.0, SIGMA2)

    def share(kind: str) -> float:
        """Return the number of operations of a kind for each node and mode; modes share the operations of a node."""
        return tally[kind, True, True] + tally[kind, True, False] / MODES

    added, multiplied, divided, roots = map(share, ("addition", "multiplication", "division", "square root"))
    fused = max(added, multiplied)
    arithmetic = fused * speed["fma"] + divided * speed["division"] + roots * speed["square root"]
    streamed = 3 * FLOAT / (MODES * MEMBERS) * speed["byte"]  # all modes of all spectra use the same nodes
    bound = Measurement("bound", max(arithmetic, streamed))
    bound.note = (
        f"{fused:.3g} multiplications, with additions fused, at {1e9 * speed['fma']:.2g} ns, {divided:.2g} divisions "
        f"at {1e9 * speed['division']:.2g} ns, {roots:.2g} square roots at {1e9 * speed['square root']:.2g} ns; "
        f"reading a node from memory takes {1e9 * streamed:.2g} ns"
    )
    stored = share("bytes")
    entries = [
        bound,
        Measurement("ours, compiled", compiled, note=f"{compiled / bound.seconds:.2g} times the bound"),
        Measurement(
            "ours, NumPy",
            plain,
            note=f"{plain / bound.seconds:.2g} times the bound; stores every result, which moves {stored:.0f} bytes",
        ),
    ]
    ratio = compiled / bound.seconds
    return Row(
        "Roofline of one node",
        f"rates of the cosine loss, noise sigma2 = {SIGMA2}, on one core: seconds for each node and mode, in an "
        f"evaluation for {MEMBERS} spectra of {MODES} modes at {nodes} nodes. For each of them there are "
        f"{added:.3g} additions, {multiplied:.3g} multiplications, {divided:.3g} divisions, {roots:.3g} square roots",
        f"compiled code takes at most {WITHIN:g} times the time of these operations at full speed",
        entries,
        f"{ratio:.2g} times the bound in compiled code (goal: {WITHIN:g}), {plain / bound.seconds:.2g} times in NumPy",
        ratio <= WITHIN,
        limit="The terms of a mode contain the product of the determinants of all modes. The compiled code therefore "
        "computes these determinants twice, or stores and loads them.",
    )


def times() -> tuple[dict[str, float], float, float, int]:
    """Return the seconds of single operations, the seconds of the rates in compiled code and in NumPy, and the nodes.

    The seconds of the rates are for each node and mode.
    """
    s = np.random.default_rng(0).uniform(0.05, 1.0, (MEMBERS, MODES))
    model = dyn.Model("cosine", noise=(0.0, SIGMA2))
    field = EigenmodeField(model, rtol=RTOL)
    field.of_eigenvalues(s)  # chooses the nodes
    (rule,) = field.quadratures["rates"].rules
    nodes = len(rule.x)
    with jax_settings(x64=True):
        speed = machine_speed()
        in_jax, found = _fastest(compiled_rates(model, s, rule))
    plain, expected = _fastest(lambda: field.of_eigenvalues(s))
    agree("compiled rates", float(np.abs(np.asarray(found) - expected).max()), 1e-12)
    return speed, in_jax / s.size / nodes, plain / s.size / nodes, nodes


def compiled_rates(model: dyn.Model, s: np.ndarray, rule: Any) -> Callable[[], Any]:
    """Return a function () -> rates (B, M) that runs the compiled rates of an ensemble, as ``solve`` compiles them."""
    import jax

    forces = TracedField(model.generated, model.structure, "gaussian")
    parameters = Parameters(excess2=np.array([SIGMA2**2]), excess1=np.array([0.0]), epsilon=np.array([0.0]))
    rules = [[blocked(rule, BLOCK["cpu"])]]
    each = jax.vmap(lambda w, rules: forces(State(w), parameters, rules).rates, in_axes=(0, None))
    run = compiled(each, "cpu")
    start = jax.device_put(np.sqrt(s))
    return lambda: run(start, rules).block_until_ready()


def machine_speed() -> dict[str, float]:
    """Return the seconds that compiled code takes for each operation with a number, and to read or write a byte."""
    import jax.numpy as jnp

    fma = _seconds_of(lambda a, number: a * 0.5 + number)
    speed = {"fma": fma}
    speed["division"] = _seconds_of(lambda a, number: number / (a + 1)) - fma
    speed["square root"] = _seconds_of(lambda a, number: jnp.sqrt(a + number)) - fma
    speed["byte"] = _streaming()
    return speed


def _seconds_of(operation: Callable[[Any, Any], Any]) -> float:
    """Return the seconds that an operation takes for one number, if many numbers are in the cache.

    Chains of two lengths are timed; the times to start, to read and to write cancel in the difference. Several chains
    run at the same time, because each operation of a chain waits for the result of the previous operation.
    """
    import jax

    def chains(length: int) -> float:
        def turn(_: Any, x: Any) -> Any:
            parts = [x + 0.1 * number for number in range(CHAINS)]
            for _ in range(length):
                parts = [operation(part, 0.3 + 0.1 * number) for number, part in enumerate(parts)]
            return sum(parts) / CHAINS

        run = compiled(lambda x: jax.lax.fori_loop(0, TURNS, turn, x), "cpu")
        x = jax.device_put(np.linspace(0.5, 1.0, ELEMENTS))
        return _fastest(lambda: run(x).block_until_ready())[0]

    shorter, longer = map(chains, LENGTHS)
    return (longer - shorter) / (TURNS * CHAINS * ELEMENTS * (LENGTHS[1] - LENGTHS[0]))


def _streaming() -> float:
    """Return the seconds in which one byte of an array larger than the cache is read or written."""
    import jax

    run = compiled(lambda x: x + 1, "cpu")
    x = jax.device_put(np.zeros(STREAMED))
    return _fastest(lambda: run(x).block_until_ready())[0] / (2 * FLOAT * STREAMED)


def _fastest(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of the fastest of many calls, and the result."""
    call()
    fastest = np.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest, result
