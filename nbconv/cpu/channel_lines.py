"""What is done alike to all pixels, with numbers of its own for each channel: maps, and sums over pixels.

Arrays are flat and end on whole pixels. They are taken as *lines* of some pixels each, so that a line fills vectors
whatever the number of channels; what belongs to a channel is repeated for each pixel of a line. A *block* of columns
keeps what belongs to it in registers while the rows below each other pass by.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import gcd

from numba import types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import helper
from .vector import lanes
from .vectors import REGISTERS, Vectors, each_pointer, pointers

VECTORS = 4 if REGISTERS == 32 else 2
"""Vectors of a block."""

LONGEST = 128
"""Numbers of a line, of which there may be more only if a pixel has more."""

STRETCH = 8192
"""Numbers that a block passes over at most before the next block does, so that all find them in the first cache."""


def block_columns(dtype) -> int:
    """Return the columns of a block."""
    return VECTORS * lanes(dtype)


def line_width(channels: int, dtype) -> int:
    """Return the length of a line: whole pixels, and whole vectors where that does not take too many of them."""
    pixels = lanes(dtype) // gcd(channels, lanes(dtype))
    if pixels * channels > LONGEST:
        pixels = 1
    return pixels * channels * max(1, block_columns(dtype) // (pixels * channels))


SHARE = 4
"""Rows that are added up in the precision of the data before they join a sum in double precision."""


@helper
def stretch_count(size, width):
    """Return how many stretches ``size`` numbers make: whole lines, and at the end what is left of one."""
    lines, rows = size // width, max(1, STRETCH // width)
    return (lines + rows - 1) // rows + (1 if size % width else 0)


@helper
def stretch(i, size, width):
    """Return stretch i: its first number, its rows, and how many columns they have."""
    lines, rows = size // width, max(1, STRETCH // width)
    if i * rows >= lines:
        return lines * width, 1, size - lines * width
    return i * rows * width, min(rows, lines - i * rows), width


@helper
def fold_line(line, channels):
    """Add up what belongs to the same channel, at the beginning of a line."""
    for start in range(channels, line.size, channels):
        for c in range(uint64(channels)):
            line[c] += line[uint64(start) + c]


@helper
def repeat_pixel(maps, channels):
    """Repeat what the first pixel of a line has for the others."""
    for line in maps:
        for start in range(channels, line.size, channels):
            for c in range(uint64(channels)):
                line[uint64(start) + c] = line[c]


@intrinsic
def add_rows(typingctx, x, start, step, rows, columns, at, totals):
    """Add ``rows`` rows that lie ``step`` apart to ``totals``, from ``at``, for ``columns`` columns.

    ``totals`` are in double precision; as many rows as stay exact are added up in that of x first.
    """
    integer = types.intp
    signature = types.void(x, *[integer] * 5, totals)

    def generate(context, builder, signature, arguments):
        x_at, start, step, rows, columns, at, totals_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, x.dtype, VECTORS)

        def add(masks):
            sums = v.variables(v.load_any(v.at(totals_at, at), masks))
            parts = v.variables()
            with _parts(v, rows, ((sums, parts),)) as some_rows, _rows(builder, start, step, *some_rows) as place:
                v.set(parts, v.add(v.get(parts), v.load(v.at(x_at, place), masks)))
            v.store(v.get(sums), v.at(totals_at, at), masks)

        v.either(columns, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_moments(typingctx, x, start, step, rows, columns, pivots, at, totals, squares):
    """Add ``x - pivot`` and its square, of ``rows`` rows that lie ``step`` apart, to ``totals`` and ``squares``.

    The block has ``columns`` columns; its pivots and sums, in double precision, begin at ``at``.
    """
    integer = types.intp
    signature = types.void(x, *[integer] * 4, pivots, integer, totals, squares)

    def generate(context, builder, signature, arguments):
        x_at, start, step, rows, columns, *operands = pointers(context, builder, signature, arguments)
        pivots_at, at, totals_at, squares_at = operands
        v = Vectors(context, builder, types.float64, block_columns(str(x.dtype)) // lanes("float64"))

        def add(masks):
            pivots = v.load(v.at(pivots_at, at), masks)
            total, square = (v.variables(v.load(v.at(sums, at), masks)) for sums in (totals_at, squares_at))
            with _rows(builder, start, step, rows) as place:
                distance = v.subtract(v.widen(v.load_any(v.at(x_at, place), masks)), pivots)
                v.set(total, v.add(v.get(total), distance))
                v.set(square, v.multiply_add(distance, distance, v.get(square)))
            v.store(v.get(total), v.at(totals_at, at), masks)
            v.store(v.get(square), v.at(squares_at, at), masks)

        v.either(columns, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_products(typingctx, dy, x, out, relu, start, step, rows, columns, centre, at, totals, products):
    """Add dy, and dy * (x - centre), of ``rows`` rows that lie ``step`` apart, to ``totals`` and ``products``.

    With ``relu``, dy counts as zero where ``out`` is zero or less. Precision as in ``add_rows``.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(dy, x, out, flag, *[integer] * 4, centre, integer, totals, products)

    def generate(context, builder, signature, arguments):
        dy_at, x_at, out_at, relu, start, step, rows, columns, *operands = pointers(
            context, builder, signature, arguments
        )
        centre_at, at, totals_at, products_at = operands
        v = Vectors(context, builder, dy.dtype, VECTORS)

        def add(masks):
            centre = v.load(v.at(centre_at, at), masks)
            total, product = (v.variables(v.load_any(v.at(sums, at), masks)) for sums in (totals_at, products_at))
            some, others, value = v.variables(), v.variables(), v.variables()
            with (
                _parts(v, rows, ((total, some), (product, others))) as some_rows,
                _rows(builder, start, step, *some_rows) as place,
            ):
                v.set(value, v.load(v.at(dy_at, place), masks))
                with builder.if_then(relu):
                    v.set(value, v.where_positive(v.get(value), v.load(v.at(out_at, place), masks), v.zeros()))
                distance = v.subtract(v.load(v.at(x_at, place), masks), centre)
                v.set(some, v.add(v.get(some), v.get(value)))
                v.set(others, v.multiply_add(v.get(value), distance, v.get(others)))
            v.store(v.get(total), v.at(totals_at, at), masks)
            v.store(v.get(product), v.at(products_at, at), masks)

        v.either(columns, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def map_rows(typingctx, x, relu, start, step, rows, columns, maps, at, out):
    """Write ``(x - centre) * scale + shift`` of ``rows`` rows that lie ``step`` apart, with ``relu`` its positive part.

    The block has ``columns`` columns; ``maps`` are centre, scale and shift, for its columns from ``at``.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(x, flag, *[integer] * 4, maps, integer, out)

    def generate(context, builder, signature, arguments):
        x_at, relu, start, step, rows, columns, maps_at, at, out_at = pointers(context, builder, signature, arguments)
        maps_at = each_pointer(context, builder, maps, maps_at)
        v = Vectors(context, builder, x.dtype, VECTORS)
        floor = v.floor(relu)

        def write(masks):
            centre, scale, shift = (v.load(v.at(map_at, at), masks) for map_at in maps_at)
            with _rows(builder, start, step, rows) as place:
                distance = v.subtract(v.load(v.at(x_at, place), masks), centre)
                v.store(v.at_least(v.multiply_add(distance, scale, shift), floor), v.at(out_at, place), masks)

        v.whole_or_part(columns, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gradient_rows(typingctx, dy, x, out, relu, follows_x, start, step, rows, columns, maps, at, dx):
    """Write ``dy * scale``, of ``rows`` rows that lie ``step`` apart, and what comes through the batch's statistics.

    That is ``(x - centre) * slope + shift``, added if ``follows_x``; ``maps`` are centre, scale, slope and shift. With
    ``relu``, dy counts as zero where ``out`` is zero or less.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(dy, x, out, flag, flag, *[integer] * 4, maps, integer, dx)

    def generate(context, builder, signature, arguments):
        dy_at, x_at, out_at, relu, follows_x, start, step, rows, columns, maps_at, at, dx_at = pointers(
            context, builder, signature, arguments
        )
        maps_at = each_pointer(context, builder, maps, maps_at)
        v = Vectors(context, builder, dy.dtype, VECTORS)

        def write(masks):
            centre, scale, slope, shift = (v.load(v.at(map_at, at), masks) for map_at in maps_at)
            with _rows(builder, start, step, rows) as place:
                value = v.variables(v.load(v.at(dy_at, place), masks))
                with builder.if_then(relu):
                    gate = v.load(v.at(out_at, place), masks)
                    v.set(value, v.where_positive(v.get(value), gate, v.zeros()))
                with builder.if_else(follows_x) as (yes, no):
                    with yes:
                        distance = v.subtract(v.load(v.at(x_at, place), masks), centre)
                        through_statistics = v.multiply_add(distance, slope, shift)
                        v.set(value, v.multiply_add(v.get(value), scale, through_statistics))
                    with no:
                        v.set(value, v.multiply(v.get(value), scale))
                v.store(v.get(value), v.at(dx_at, place), masks)

        v.whole_or_part(columns, write)
        return context.get_dummy_value()

    return signature, generate


@helper
def map_stretches(x, start, size, block, maps, relu, out):
    """Write ``(x - centre) * scale + shift`` for ``size`` numbers from ``start``, where a pixel begins."""
    width = maps[0].size
    for i in range(stretch_count(size, width)):
        first, rows, end = stretch(i, size, width)
        for at in range(0, end, block):
            map_rows(x, relu, start + first + at, width, rows, min(block, end - at), maps, at, out)


@contextmanager
def _parts(v, rows, sums):
    """Yield shares of the rows (first, end); behind each, the sums of a share are added to those of all.

    ``sums`` are pairs of variables, for a row of sums in double precision and for one of a share's.
    """
    builder = v.builder
    with cgutils.for_range_slice(builder, v.integer(0), rows, v.integer(SHARE)) as (first, _):
        for _, part in sums:
            v.set(part, v.zeros())
        end = builder.add(first, v.integer(SHARE))
        yield first, builder.select(builder.icmp_signed("<", end, rows), end, rows)
        for total, part in sums:
            v.set(total, v.add(v.get(total), v.widen(v.get(part))))


@contextmanager
def _rows(builder, start, step, *bounds):
    """Yield where each row begins, of (first, end) or of (end,)."""
    first, end = bounds if len(bounds) == 2 else (None, *bounds)
    with cgutils.for_range(builder, end, start=first) as loop:
        yield builder.add(start, builder.mul(loop.index, step))
