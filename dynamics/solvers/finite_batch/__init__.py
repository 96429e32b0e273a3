"""Networks trained with finite batches: mean of their eigenvalues, and standard deviation around it.

``descent`` iterates the ``expansion``: mean and covariance of the ``moments`` of networks. Derivatives and noise come
from one ``sampled_step`` of network ``states`` around the mean.
"""
