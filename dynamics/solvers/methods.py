"""Define the methods of ``solve`` and ``iterate``, the problems that each can solve, and the choice by method="auto".

A method imports its library at its first use.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, NoReturn, TypeVar

import numpy as np

from dynamics import errors
from dynamics.model.model import Model
from dynamics.solvers.problem import DescentProblem, FlowProblem, Problem
from dynamics.solvers.solutions import Descent, Flow
from dynamics.vector_field.eigenmodes import formulas_of

COMPILING, COMPILING_SERIES = 2.0, 1.2  # seconds in which JAX and heyoka are imported and compile a flow
FEW_MODES = 512  # largest number of modes for which heyoka was measured: it is faster than JAX
MEMBER, MEMBER_WITH_INTEGRALS = 0.04, 0.15  # seconds in which SciPy integrates the flow of an ensemble member
DIFFICULT_MEMBER = 0.15  # seconds in which SciPy integrates a member that heyoka does not integrate to the last time
LONG = 2.0  # estimated seconds of a run in NumPy above which compiling the descent map saves time
STEP, ELEMENT, NODES = 1.2e-4, 1.6e-8, 500  # seconds of a step; seconds per eigenvalue and node; number of nodes

SCHEDULED = "with functions of time, which only a step-by-step integration in Python can call"
COARSE = 1e-5  # relative accuracy that is sufficient for a picture

P = TypeVar("P", bound=Problem)
R = TypeVar("R")


@dataclass(frozen=True)
class Method(ABC, Generic[P, R]):
    """A method of solution for the problems P of ``solve`` (FlowProblem) or of ``iterate`` (DescentProblem)."""

    name: ClassVar[str]
    needs_start_up: ClassVar[bool] = False  # True if the first call takes longer, because the method compiles

    def refusal(self, problem: P) -> str | None:
        """Return the reason why the method cannot solve a problem; None if the method can solve it.

        The reason is the end of a message, "Argument `method` must be 'auto' or ... <reason>".
        """
        return None

    def suits(self, problem: P) -> bool:
        """Return True if method="auto" may choose this method for a problem that the method can solve."""
        return True

    @abstractmethod
    def integrate(self, problem: P) -> R:
        """Return the solution of a problem; the caller has checked that the method can solve it (``refusal``)."""

    def label(self, problem: P) -> str:
        """Return the description of the method, for the field ``method`` of the resulting trajectory."""
        return self.name


def choose(methods: Sequence[Method[P, R]], name: str, problem: P, repeated: bool = False) -> Method[P, R]:
    """Return the method with a given name; raises ArgumentError if this method cannot solve the problem.

    ``methods`` are in order of speed, the fastest first. For the name "auto", the result is the first method that can
    solve the problem and that suits it (``Method.suits``). repeated: True if many such problems will be solved. The
    time of compiling is then negligible, and the result for "auto" is the first method that can solve the problem.
    """
    errors.choice("method", name, ("auto", *(method.name for method in methods)))
    if name == "auto":
        able = (method for method in methods if method.refusal(problem) is None)
        return next(method for method in able if repeated or method.suits(problem))
    method = next(method for method in methods if method.name == name)
    if (reason := method.refusal(problem)) is not None:
        _refuse(methods, problem, name, reason)
    return method


def faster(methods: Sequence[Method[P, R]], method: Method[P, R], problem: P) -> str:
    """Return advice that makes a long solution faster, in few words for the progress bar; "" if there is none.

    The closure's integrals take most of the time of a solution. With rtol=1e-5 a solution takes about half the time;
    the closure "mean_field" has no integrals.
    """
    if methods.index(choose(methods, "auto", problem)) < methods.index(method):
        return "faster: method='auto'"
    if problem.field.quadratures and problem.rtol < COARSE:
        return "faster: rtol=1e-5"
    if problem.closure == "gaussian" and problem.model.generated.divides_by_norms and problem.by_eigenmodes:
        return "faster, approximate: closure='mean_field'"
    return ""


def _refuse(methods: Sequence[Method[P, R]], problem: P, name: str, reason: str) -> NoReturn:
    applicable = [f"'{method.name}'" for method in methods if method.refusal(problem) is None]
    names = " or ".join([", ".join(["'auto'", *applicable[:-1]]), applicable[-1]])
    errors.reject("method", f"be {names} {reason}", name)


# --- flow -----------------------------------------------------------------------------------------------------------


class Exact(Method[FlowProblem, Flow]):
    """Method "exact" of ``solve``: the formula of the exact solution, for models that have one."""

    name = "exact"

    def refusal(self, problem: FlowProblem) -> str | None:
        """Return the reason why the method cannot solve a problem; None if the method can solve it.

        The method requires a model with an exact solution, the closure "gaussian", and no argument ``until``.
        """
        if problem.until is not None:
            return f"with until='{problem.until}'"
        if not problem.schedules.are_constant:
            return SCHEDULED
        if problem.closure != "gaussian" or not has_exact_solution(problem.model):
            return f"for {problem.model}, which has no exact solution"
        return None

    def integrate(self, problem: FlowProblem) -> Flow:
        """Return the flow, by evaluating the formula of the exact solution."""
        from dynamics.solvers.flow_exact import exact_flow

        return exact_flow(problem)

    def label(self, problem: FlowProblem) -> str:
        """Return "exact solution" and the name of the solution's formula, such as "Lambert W"."""
        solution = problem.model.generated.exact
        return f"exact solution ({solution.name})" if solution is not None else self.name


class Heyoka(Method[FlowProblem, Flow]):
    """Method "heyoka" of ``solve``: Taylor series of high order, for rates that are formulas."""

    name = "heyoka"
    needs_start_up = True

    def refusal(self, problem: FlowProblem) -> str | None:
        """Return the reason why the method cannot solve a problem; None if the method can solve it.

        The method requires white inputs, rates that are smooth formulas, no argument ``until``, and the package heyoka.
        """
        if (reason := _needs_compiled_eigenmodes(problem)) is not None:
            return reason
        model = problem.model
        if any(formula is None for formula in formulas_of(model.generated, model.structure, problem.closure)):
            return "for a closure with integrals or samples in place of formulas"
        if model.structure.predictor == "normalized":
            return "for a normalized predictor"
        code = model.generated.source or ""
        kinks = [name for name in ("maximum", "minimum", "abs") if f"xp.{name}(" in code]
        if kinks:
            return f"for a loss with kinks ({kinks[0]}), which a Taylor series cannot pass"
        try:
            import heyoka  # noqa: F401
        except ImportError:
            return 'where heyoka is not installed (pip install ".[heyoka]" in a clone)'
        return None

    def suits(self, problem: FlowProblem) -> bool:
        """Return True for a large ensemble of members with few modes.

        For such an ensemble, compiling takes less time than it saves, and heyoka is the fastest method.
        """
        few = problem.s0.shape[-1] <= FEW_MODES
        return bool(few and np.prod(problem.members) * MEMBER > COMPILING_SERIES)

    def integrate(self, problem: FlowProblem) -> Flow:
        """Return the flow, which heyoka integrates for several ensemble members at once.

        Members that heyoka does not integrate to the last time are integrated by the next method that suits them.
        """
        from dynamics.solvers.flow_heyoka import heyoka_flow

        def solve_others(others: FlowProblem) -> Flow:
            slower = FLOW_METHODS[FLOW_METHODS.index(self) + 1 :]
            many = len(others.s0) * DIFFICULT_MEMBER > COMPILING
            return choose(slower, "auto", others, repeated=many).integrate(others)

        return heyoka_flow(problem, solve_others)


class Diffrax(Method[FlowProblem, Flow]):
    """Method "jax" of ``solve``: Diffrax's Dopri8, compiled for the whole ensemble."""

    name = "jax"
    needs_start_up = True

    def refusal(self, problem: FlowProblem) -> str | None:
        """Return the reason why the method cannot solve a problem; None if the method can solve it.

        The method requires white inputs, a closure other than "monte_carlo", and no argument ``until``.
        """
        return _needs_compiled_eigenmodes(problem)

    def suits(self, problem: FlowProblem) -> bool:
        """Return True for an ensemble with so many members that compiling takes less time than it saves."""
        return bool(
            np.prod(problem.members) * (MEMBER_WITH_INTEGRALS if problem.field.quadratures else MEMBER) > COMPILING
        )

    def integrate(self, problem: FlowProblem) -> Flow:
        """Return the flow, which Diffrax integrates for groups of ensemble members."""
        from dynamics.solvers.flow_diffrax import jax_flow

        return jax_flow(problem)


class SciPy(Method[FlowProblem, Flow]):
    """Method "scipy" of ``solve``: SciPy's LSODA. The method applies to every problem."""

    name = "scipy"

    def integrate(self, problem: FlowProblem) -> Flow:
        """Return the flow, which SciPy integrates for one ensemble member after another."""
        from dynamics.solvers.flow_scipy import scipy_flow

        return scipy_flow(problem)


FLOW_METHODS: tuple[Method[FlowProblem, Flow], ...] = (Exact(), Heyoka(), Diffrax(), SciPy())


def has_exact_solution(model: Model) -> bool:
    """Return True if the flow of the model has an exact solution that holds for the model's weight decay."""
    structure, solution = model.structure, model.generated.exact
    if solution is None or structure.predictor not in ("none", "closed form"):
        return False
    if (
        structure.tracked
        or structure.separate_target
        or model.by_weights
        or model.depth > 1
        or model.parameters.epsilon.any()
    ):
        return False
    return solution.any_weight_decay or not np.any(model.weight_decay)


def _needs_compiled_eigenmodes(problem: FlowProblem) -> str | None:
    """Return the reason why compiled methods cannot integrate the flow of a problem; None if they can.

    The reason is worded as the end of the message that ``Method.refusal`` describes.
    """
    if problem.until is not None:
        return f"with until='{problem.until}'"
    if not problem.schedules.are_constant:
        return SCHEDULED
    if not problem.by_eigenmodes:
        return "for a model with `inputs`" if problem.model.by_weights else "for a deep encoder"
    return "with the closure 'monte_carlo'" if problem.closure == "monte_carlo" else None


# --- descent map ----------------------------------------------------------------------------------------------------


class CompiledDescent(Method[DescentProblem, Descent]):
    """Method "jax" of ``iterate``: blocks of steps of the descent map, compiled by JAX."""

    name = "jax"
    needs_start_up = True

    def refusal(self, problem: DescentProblem) -> str | None:
        """Return the reason why the method cannot solve a problem; None if the method can solve it.

        The method requires white inputs, a closure other than "monte_carlo", and a problem without a batch size.
        """
        if problem.by_eigenmodes and problem.batch is None and problem.closure != "monte_carlo":
            return None
        return "for a model with `inputs` or a deep encoder, with `batch_size`, or with the closure 'monte_carlo'"

    def suits(self, problem: DescentProblem) -> bool:
        """Return True if the method "numpy" would take longer than LONG seconds, by an estimate.

        For such a problem, compiling the steps takes less time than it saves.
        """
        numbers = int(np.prod(problem.members)) * problem.s0.shape[-1]
        nodes = NODES if problem.field.quadratures else 1
        return problem.steps * (STEP + numbers * nodes * ELEMENT) > LONG

    def integrate(self, problem: DescentProblem) -> Descent:
        """Return the run of the descent map, computed by compiled blocks of steps."""
        from dynamics.solvers.descent_jax import jax_descent

        return jax_descent(problem)


class NumPyDescent(Method[DescentProblem, Descent]):
    """Method "numpy" of ``iterate``: one step of the descent map after another. The method applies to every problem."""

    name = "numpy"

    def integrate(self, problem: DescentProblem) -> Descent:
        """Return the run of the descent map; with a batch size, means and deviations over networks."""
        from dynamics.solvers.descent_numpy import numpy_descent
        from dynamics.solvers.finite_batch.descent import finite_batch_descent

        return numpy_descent(problem) if problem.batch is None else finite_batch_descent(problem)


DESCENT_METHODS: tuple[Method[DescentProblem, Descent], ...] = (CompiledDescent(), NumPyDescent())
