"""Deep networks on images: data sets, their description, one training step, and what is measured of them."""
