"""Iterate the mean and the standard deviation of the eigenvalues of networks trained with finite batches."""

from dataclasses import replace

import numpy as np

from dynamics.numerics.progress import progress_bar
from dynamics.solvers.descent_numpy import numpy_descent
from dynamics.solvers.finite_batch.eigenmode_expansion import EigenmodeExpansion
from dynamics.solvers.finite_batch.expansion import Expansion
from dynamics.solvers.finite_batch.weight_expansion import WeightExpansion
from dynamics.solvers.problem import DescentProblem
from dynamics.solvers.solutions import Descent, FiniteBatchDescent
from dynamics.vector_field.eigenmodes import EigenmodeField
from dynamics.vector_field.state import each
from dynamics.vector_field.weights import WeightField


def finite_batch_descent(problem: DescentProblem) -> Descent:
    """Predict the mean and the standard deviation of eigenvalues over networks trained with finite batches.

    The observables of the result are means over networks. Its ``finite_batch`` has the standard deviations, and the
    eigenvalues of the descent map, which has no effects of finite batches. First the descent map is iterated; then the
    mean and the covariance of the networks' variables (moments or weights) are iterated. The result ends at the last
    recorded step that both iterations have reached.
    """
    population = numpy_descent(replace(problem, batch=None))
    networks = _expansion(problem)
    status, last = population.status, population.recorded[-1]
    observed = [each(lambda along_steps: along_steps[0], population.observables)]
    fluctuations, to_record = [networks.fluctuations], set(population.recorded.tolist())
    with progress_bar(last, "fluctuations", problem.progress) as bar:
        try:
            for number in range(1, last + 1):
                networks.advance()
                if number in to_record:
                    observed.append(networks.observables)
                    fluctuations.append(networks.fluctuations)
                bar.update()
        except KeyboardInterrupt:
            status = f"interrupted at step {number}"
        except FloatingPointError as error:
            status = f"stopped before step {number}: {error}"
    count = len(observed)
    along_steps, spread = (each(lambda *values: np.stack(values), *rows) for rows in (observed, fluctuations))
    finite = FiniteBatchDescent(population.observables.s[:count], spread)
    return population._replace(
        recorded=population.recorded[:count], observables=along_steps, finite_batch=finite, status=status
    )


def _expansion(problem: DescentProblem) -> Expansion:
    """Return the mean and the covariance of networks' variables at the initial state, ready to be iterated.

    For white inputs the variables are moments, such as the second moments of the weights; for correlated inputs they
    are the weights.
    """
    assert problem.batch is not None
    field, batch_size, inputs = problem.field, *problem.batch
    if isinstance(field, EigenmodeField):
        return EigenmodeExpansion(field, problem.start, problem.learning_rate, batch_size, inputs)
    assert isinstance(field, WeightField)
    return WeightExpansion(field, problem.start, problem.learning_rate, batch_size)
