"""Deep networks on images: the data, and the views of them that a network is shown."""
