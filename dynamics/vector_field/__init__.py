"""The rates of eigenmodes and of weight matrices under a model: the right-hand side of its flow.

May import ``model`` and what is below it.
"""
