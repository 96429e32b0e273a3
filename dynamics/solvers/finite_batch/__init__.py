"""Networks trained with finite batches: mean of their eigenvalues, and standard deviation around it.

``descent`` iterates an ``expansion`` in one over the batch size: mean and covariance of the variables of networks.
For white inputs these are ``moments`` (``eigenmode_expansion``); derivatives and noise come from a ``sampled_step`` of
network ``states`` around the mean. For correlated inputs they are the weights (``weight_expansion``), and the
eigenvalues follow from an ``eigenvalue_law``.
"""
