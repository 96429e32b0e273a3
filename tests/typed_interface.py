"""Types of the public interface, as a type checker sees them: checked by mypy in ``make check``, never run."""

from typing import assert_type

import dynamics as dyn

assert_type(dyn.__version__, str)
assert_type(dyn.Model("cosine"), dyn.Model)
assert_type(dyn.solve(dyn.Model("cosine"), [0.1], [0.0, 1.0]), dyn.Trajectory)
assert_type(dyn.iterate(dyn.Model("cosine"), [0.1], 2, 0.1), dyn.Trajectory)
assert_type(dyn.iterate(dyn.Model("cosine"), [0.1], 2, lambda step: 0.1 * step, momentum=0.9), dyn.Trajectory)
assert_type(dyn.Momentum(0.9, nesterov=True).mu, float)
assert_type(dyn.train(dyn.Model("cosine"), [[0.1]], 2, 0.1), dyn.Trajectory)
assert_type(dyn.concatenate([dyn.load("flow.npz")]), dyn.Trajectory)
assert_type(dyn.load("flow.npz").select(t=(0, 1), modes=[0]), dyn.Trajectory)
assert_type(dyn.equilibria(dyn.Model("cosine"), [0.1]), dyn.Equilibria)
