"""Describe and train deep networks on images, measure them, and compare them with the linear theory."""
