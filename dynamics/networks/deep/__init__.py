"""Deep networks on images: data, augmentation, layers, training, and what is measured of them.

May import what ``networks`` may, and its linear network.
"""
