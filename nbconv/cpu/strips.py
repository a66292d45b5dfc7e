"""How the grid of a convolution is cut into strips that stay in a core's cache: some whole images, or rows of one image.

Results do not depend on it: each number is computed by one tile, in the same order wherever the strip begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .compile import helper

PIXELS = 1024
"""Grid points of a strip at most, of which the addresses are kept."""

ELEMENTS = 65536
"""Source elements of a strip at most, unless one row has more."""

UNITS = 32
"""Units of work to cut a convolution into where it is large enough: for as many cores."""


class Strips(NamedTuple):
    """Strips of ``images`` whole images, or of ``rows`` rows of the result of one image."""

    images: int
    rows: int
    per_image: int
    count: int


class Cut(NamedTuple):
    """What the choice of strips weighs: sizes of the problem, and functions of the rows of a strip."""

    images: int
    rows: int
    points: Callable[[int], int]
    """Grid points of an image in so many rows of the result."""
    elements: Callable[[int], int]
    """Source elements to copy for them."""
    tile_rows: int
    tile_work: int
    """Elements that could be copied in the time of a tile."""
    blocks: int


def choose_strips(cut: Cut) -> Strips:
    """Return the strips that leave the fewest tiles half empty and copy the least, of those that give ``UNITS`` units."""
    candidates = [Strips(1, r, -(-cut.rows // r), -(-cut.rows // r) * cut.images) for r in _shares(cut.rows)]
    candidates += [Strips(n, cut.rows, 1, -(-cut.images // n)) for n in _shares(cut.images)[1:]]
    fitting = [s for s in candidates if _fits(cut, s)] or candidates[:1]
    most = max(min(s.count * cut.blocks, UNITS) for s in fitting)
    return min((s for s in fitting if min(s.count * cut.blocks, UNITS) == most), key=lambda s: _cost(cut, s))


def _shares(size):
    """The different sizes of equal shares, of ``PIXELS`` at most: ``_shares(10) == [1, 2, 3, 4, 5, 10]``."""
    return sorted({-(-size // -(-size // share)) for share in range(1, min(size, PIXELS) + 1)})


def _fits(cut, strips):
    return strips.images * cut.points(strips.rows) <= PIXELS and strips.images * cut.elements(strips.rows) <= ELEMENTS


def _cost(cut, strips):
    """How long all strips take, in tiles; the last strip of an image, and that of the last images, may be smaller."""
    images, rest = divmod(cut.images, strips.images)
    last_rows = cut.rows - strips.rows * (strips.per_image - 1)
    return sum(
        times * row_times * (-(-n * cut.points(rows) // cut.tile_rows) + n * cut.elements(rows) / cut.tile_work)
        for n, times in ((strips.images, images), (rest, 1))
        for rows, row_times in ((strips.rows, strips.per_image - 1), (last_rows, 1))
    )


@helper
def strip_bounds(g, strip):
    """Return the images (first, end) and the rows of the result (first, end) of a strip."""
    image = strip // g.strips_per_image * g.strip_images
    row = strip % g.strips_per_image * g.strip_rows
    return (image, min(image + g.strip_images, g.images)), (row, min(row + g.strip_rows, g.result_height))


@helper
def strip_lines(g, grid):
    """Return the lines of the bordered source (first, end) that rows (first, end) of the grid reach."""
    return grid[0] * g.step_h, (grid[1] - 1) * g.step_h + g.reach_h


@helper
def strip_origin(g, images, grid):
    """Return where the first window of a strip begins, in its copy or in the source, and the step between images."""
    if g.copied:
        first, end = strip_lines(g, grid)
        return 0, (end - first) * g.strip_width * g.channels
    image = g.height * g.width * g.channels
    return images[0] * image + ((grid[0] * g.step_h - g.pad_top) * g.width - g.pad_left) * g.channels, image


@helper
def copy_strip(g, source, images, grid, strip):
    """Copy what rows (first, end) of the grid reach in images (first, end), with its border, into ``strip``."""
    at, size = 0, g.strip_width * g.channels
    line, end_line = strip_lines(g, grid)
    for n in range(images[0], images[1]):
        for i in range(line, end_line):
            h = i - g.pad_top
            if g.circular:
                h = h % g.height
            if 0 <= h < g.height:
                _copy_line(g, source, (n * g.height + h) * g.width * g.channels, strip, at)
            else:
                for e in range(at, at + size):
                    strip[e] = 0
            at += size


@helper
def _copy_line(g, source, start, strip, at):
    """Copy the line of pixels at ``start``, with its border, to ``at``."""
    size = g.width * g.channels
    begin = start - g.pad_left * g.channels
    first = max(0, g.pad_left) * g.channels
    end = max(first, min(g.strip_width, g.width + g.pad_left) * g.channels)
    for e in range(min(first, g.strip_width * g.channels)):
        strip[at + e] = source[begin + e + size] if g.circular else 0
    for e in range(first, end):
        strip[at + e] = source[begin + e]
    for e in range(end, g.strip_width * g.channels):
        strip[at + e] = source[begin + e - size] if g.circular else 0
