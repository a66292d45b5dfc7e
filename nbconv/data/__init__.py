"""Data on its way into a net: the digits, batches, files of images, and the checks of what a user passes."""

from .digits import digits
from .images import read_images, read_labelled

__all__ = ["digits", "read_images", "read_labelled"]
