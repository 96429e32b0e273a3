"""Predict the mean and the standard deviation of eigenvalues over networks that are trained with finite batches.

The module ``descent`` iterates the mean and the covariance of variables of the networks. The update of the mean and the
covariance is an expansion to first order in one over the batch size (``expansion``). For white inputs the variables are
``moments``: a learned predictor, a tracked correlation, and the second moments of the weights
(``eigenmode_expansion``). The derivatives of a training step, and its noise from the choice of the batch, are estimated
in ``sampled_step`` from network ``states`` near the mean. For correlated inputs the variables are the weights
(``weight_expansion``), and the eigenvalues follow from the weights by an ``eigenvalue_law``.
"""
