"""Train networks by automatic differentiation of the loss, without derived rates, to check the theory.

The function ``train`` trains a linear network (module ``linear``) or a deep network (package ``deep``); both use the
training loop of the module ``loop``. This package may import results, solvers, vector_field, model, generated, numerics
and errors.
"""
