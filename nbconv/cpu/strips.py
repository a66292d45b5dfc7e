"""How the grid of a convolution is cut into strips that stay in a core's cache: some images, or some rows of one.

Results do not depend on it: each number is computed by one tile, in the same order wherever the strip begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .compile import helper
from .memory import clear, copy
from .microkernel import ROWS

PIXELS = 1024
"""Grid points of a strip at most, of which the addresses are kept."""

ELEMENTS = 65536
"""Elements that are copied or pooled in a strip at most, so that they stay in the cache, unless one row has more."""

MOST_ELEMENTS = 1 << 22
"""Elements of a strip at most where windows reach so far that one row has more than ``ELEMENTS``, unless it must."""

SCRATCH_BYTES = 1 << 28
"""Memory for the strips of all workers, about: there are fewer workers where strips are huge."""

UNITS = 32
"""Units of work to cut a convolution into where it is large enough: for as many cores."""


class Strips(NamedTuple):
    """Strips of ``images`` whole images, or of ``rows`` rows of the result of one image."""

    images: int
    rows: int
    per_image: int
    count: int  # type: ignore[assignment] # not tuple.count


class Cut(NamedTuple):
    """What the choice of strips weighs: sizes of the problem, and functions of the rows of a strip."""

    images: int
    rows: int
    points: Callable[[int], int]
    """Grid points of an image in so many rows of the result."""
    elements: Callable[[int], int]
    """Elements that are copied or pooled for them."""
    tile_work: int
    """Elements that could be copied in the time of a tile."""
    blocks: int
    weights: int = 0
    """Elements that each strip reads again."""
    room: int = ELEMENTS
    """Elements of a strip at most, unless one row has more."""
    step: int = 1
    """Rows that are computed together: strips have a multiple of them."""
    tile: int = ROWS
    """Grid points of the smallest tile, of which others are multiples."""


def choose_strips(cut: Cut) -> Strips:
    """Return the strips that leave the least of tiles empty and copy least, but make work for ``UNITS`` cores.

    Where not even a row fits the cache, because windows reach far, larger strips copy less for each.
    """
    sizes = [min(cut.rows, cut.step * share) for share in _shares(-(-cut.rows // cut.step))]
    candidates = [Strips(1, r, -(-cut.rows // r), -(-cut.rows // r) * cut.images) for r in sizes]
    candidates += [Strips(n, cut.rows, 1, -(-cut.images // n)) for n in _shares(cut.images)[1:]]
    for elements in (cut.room, MOST_ELEMENTS):
        fitting = [strips for strips in candidates if _fits(cut, strips, elements)]
        if fitting:
            return min(fitting, key=lambda strips: _tiles(cut, strips) * _idleness(cut, strips))
    return candidates[0]


def _shares(size):
    """The different sizes of equal shares, of ``PIXELS`` at most: ``_shares(10) == [1, 2, 3, 4, 5, 10]``."""
    return sorted({-(-size // -(-size // share)) for share in range(1, min(size, PIXELS) + 1)})


def _fits(cut, strips, elements):
    return strips.images * cut.points(strips.rows) <= PIXELS and strips.images * cut.elements(strips.rows) <= elements


def worker_count(threads: int, elements: int, dtype) -> int:
    """Return how many workers, of ``threads`` at most, can have so many elements of scratch each.

    ``worker_count(64, 1000, "float32") == 64``. Results do not depend on it.
    """
    return max(1, min(threads, SCRATCH_BYTES // (max(1, elements) * np.dtype(dtype).itemsize)))


def _idleness(cut, strips):
    """What too few units cost: a tenth of the time where there are half as many as wanted."""
    return 1 + max(0, UNITS / (strips.count * cut.blocks) - 1) / 10


def _tiles(cut, strips):
    """How long all strips take, in tiles; the last strip of an image, and that of the last images, may be smaller."""
    images, rest = divmod(cut.images, strips.images)
    last_rows = cut.rows - strips.rows * (strips.per_image - 1)
    return sum(
        times * row_times * (_tiles_of(cut, n * cut.points(rows)) + _moved(cut, n, rows) / cut.tile_work)
        for n, times in ((strips.images, images), (rest, 1))
        for rows, row_times in ((strips.rows, strips.per_image - 1), (last_rows, 1))
    )


def _moved(cut, images, rows):
    return images * cut.elements(rows) + cut.weights


def _tiles_of(cut, points):
    """Return how many whole tiles so many grid points take: fractions are smaller ones."""
    return -(-points // cut.tile) * cut.tile / ROWS


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
    size = g.strip_width * g.channels
    first_line, end_line = strip_lines(g, grid)
    at = 0
    for n in range(images[0], images[1]):
        for line in range(first_line, end_line):
            h = line - g.pad_top
            if g.circular:
                h = h % g.height
            if 0 <= h < g.height:
                copy_line(g, source, (n * g.height + h) * g.width * g.channels, strip, at)
            else:
                clear(strip, at, size)
            at += size


@helper
def copy_line(g, source, start, strip, at):
    """Copy the line of pixels at ``start``, between its borders, to ``at``."""
    width, size = g.width * g.channels, g.strip_width * g.channels
    pad = g.pad_left * g.channels
    first = min(max(0, pad), size)
    end = max(first, min(size, width + pad))
    if g.circular:
        wrapped = min(width, size - end)
        copy(source, start + width - first, strip, at, first)
        copy(source, start, strip, at + end, wrapped)
        clear(strip, at + end + wrapped, size - end - wrapped)
    else:
        clear(strip, at, first)
        clear(strip, at + end, size - end)
    copy(source, start + first - pad, strip, at + first, end - first)
