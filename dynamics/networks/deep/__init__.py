"""Deep networks on images: data sets, description of a network, training, metrics, and comparison with theory."""
