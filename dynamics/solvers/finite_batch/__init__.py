"""Predict the mean and the standard deviation of eigenvalues over networks that are trained with finite batches.

``descent`` iterates an ``expansion`` in one over the batch size: the mean and the covariance of variables of the
networks. For white inputs the variables are second ``moments`` of the weights (``eigenmode_expansion``); the
derivatives and the noise of a step come from a ``sampled_step`` of network ``states`` around the mean. For correlated
inputs the variables are the weights (``weight_expansion``), and the eigenvalues follow from an ``eigenvalue_law``.
"""
