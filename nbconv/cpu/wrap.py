"""The gradient of a circular border: what reached a copy of a pixel goes to the pixel."""

from __future__ import annotations

from numba import prange

from .compile import helper, kernel


def bind_unwrap(bordered, pads, dx):
    """Return the call that adds up ``dx`` from the gradient of the image with its border (top, bottom, left, right)."""
    top, _, left, _ = pads

    def run():
        unwrap(bordered, top, left, dx)

    return run


@kernel
def unwrap(bordered, top, left, dx):
    """Gather, so that nothing races: each pixel adds up its at most nine copies."""
    _, height, width, channels = dx.shape
    for row in prange(dx.shape[0] * height):
        n, h = row // height, row % height
        for w in range(width):
            for c in range(channels):
                dx[n, h, w, c] = 0
            for i in range((h + top) % height, bordered.shape[1], height):
                for j in range((w + left) % width, bordered.shape[2], width):
                    add_pixel(bordered, i, j, dx, n, h, w)


@helper
def add_pixel(bordered, i, j, dx, n, h, w):
    """Add one pixel of the bordered gradient to one of ``dx``."""
    for c in range(dx.shape[3]):
        dx[n, h, w, c] += bordered[n, i, j, c]
