"""Deep networks on images: data sets, description of a network, training, and measurements."""
