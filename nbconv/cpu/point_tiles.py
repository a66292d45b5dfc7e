"""Winograd's algorithm between its transforms: where values at the points lie, and matrix products of them.

At each point, values lie in vectors of channels, group by group, and the vectors of all tiles side by side: value
(t, c), of tile t and channel c of a group, at ``(c // lanes * filled(tiles) + t) * lanes + c % lanes``. So the numbers
that a register tile needs are known distances apart, and have one address together. The tiles are written as LLVM IR.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import helper
from .memory import clear, odd_lines
from .microkernel import ROWS
from .vectors import INTEGER, REGISTERS, Vectors, pointers

WIDE_SIZES = ROWS, ROWS // 2
"""Rows of tiles of products of two vectors: as many as there are registers for, and half of it for the last tiles."""

NARROW_SIZES = 2 * ROWS, ROWS
"""The same of one vector."""

SUM_ROWS = 8 if REGISTERS == 32 else 4
"""Rows of a tile of sums of two vectors: channels, of which there often is a power of two."""

NARROW_SUM_ROWS = 2 * SUM_ROWS
"""Rows of a tile of sums of one vector."""

_PAIR = types.UniTuple(types.intp, 2)


@helper
def filled(tiles):
    """Return how many tiles have room side by side: register tiles of products read whole ``ROWS``."""
    return (tiles + ROWS - 1) // ROWS * ROWS


@helper
def point_step(tiles, vectors, lanes):
    """Return the step from the values at one point to those at the next."""
    return odd_lines(vectors * filled(tiles) * lanes)


def values_size(points: int, tiles: int, vectors: int, lanes: int) -> int:
    """Return the elements of the values at all points: ``point_step`` for each, as Python computes it."""
    return points * odd_lines.py_func(vectors * filled.py_func(tiles) * lanes)


@helper
def clear_tails(values, tiles, vectors, lanes, points):
    """Set to zero what register tiles read behind the last tile: numbers of old would be slow, if they are tiny."""
    step, used = filled(tiles) * lanes, tiles * lanes
    for point in range(points):
        for vector in range(vectors):
            clear(values, point * point_step(tiles, vectors, lanes) + vector * step + used, step - used)


@intrinsic(prefer_literal=True)
def product_tile(
    typingctx, rows, vectors, data, start, vector_step, some, packed, panel, products, place, place_step, onto
):
    """Multiply the values of ``rows`` tiles with ``vectors`` vectors of filters, both literal numbers.

    With m over the tiles and j over the filters::

        value[m, j] = sum over channels k from some[0] to some[1] of data(m, k) * packed[panel + k * columns + j]

    where ``columns`` is that of the register tile. The channels begin with the first of a vector. Vector v of the
    results of tile m is written to ``place + v * place_step + m * lanes``; ``onto`` what is there it is added.
    """
    count, integer, flag = rows.literal_value, types.intp, types.boolean
    signature = types.void(
        *(rows, vectors, data, integer, integer, _PAIR, packed, integer, products, integer, integer, flag)
    )

    def generate(context, builder, signature, arguments):
        data_at, start, vector_step, some, packed_at, panel, products_at, place, place_step, onto = pointers(
            context, builder, signature, arguments
        )[2:]
        first, end = cgutils.unpack_tuple(builder, some)
        v, one = Vectors(context, builder, data.dtype, vectors.literal_value), Vectors(context, builder, data.dtype)
        values = [v.variables(v.zeros()) for _ in range(count)]
        data_at, lanes, width = v.at(data_at, start), v.integer(v.lanes), v.integer(v.columns)
        panel_at = v.at(packed_at, panel)
        with cgutils.for_range_slice(builder, first, end, lanes, INTEGER) as (channel, _):
            vector_at = v.at(data_at, builder.mul(builder.udiv(channel, lanes), vector_step))
            filters_at = v.at(panel_at, builder.mul(channel, width))
            left = builder.sub(end, channel)
            here = builder.select(builder.icmp_signed("<", left, lanes), left, lanes)
            with cgutils.for_range(builder, here) as lane:
                filters = v.load(v.at(filters_at, builder.mul(lane.index, width)))
                numbers_at = v.at(vector_at, lane.index)
                for m, value in enumerate(values):
                    v.add_product(value, v.broadcast(v.at(numbers_at, m * v.lanes)), filters)
        targets = [
            [
                v.at(vector_at, m * v.lanes)
                for vector_at in (v.at(products_at, v.steps(place, place_step, i)) for i in range(v.count))
            ]
            for m in range(len(values))
        ]
        with builder.if_then(onto):
            for value, places in zip(values, targets, strict=True):
                v.set(value, v.add([one.load(at)[0] for at in places], v.get(value)))
        for value, places in zip(values, targets, strict=True):
            for vector, at in zip(v.get(value), places, strict=True):
                one.store([vector], at)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def sum_tile(typingctx, rows, vectors, x, x_start, x_step, dy, dy_start, dy_step, tiles, sums, slot):
    """Add products of ``rows`` channels and ``vectors`` vectors of filters, both literal numbers, summed over tiles.

    With m over the channels and j over the filters::

        sums[slot + m * columns + j] += sum over t < tiles of x(t, m) * dy(t, j)

    where ``columns`` is that of the register tile; the steps lead to the next vector.
    """
    count, integer = rows.literal_value, types.intp
    signature = types.void(
        *(rows, vectors, x, integer, integer, dy, integer, integer, integer, sums, integer),
    )

    def generate(context, builder, signature, arguments):
        x_at, x_start, x_step, dy_at, dy_start, dy_step, tiles, sums_at, slot = pointers(
            context, builder, signature, arguments
        )[2:]
        v, one = Vectors(context, builder, x.dtype, vectors.literal_value), Vectors(context, builder, x.dtype)
        values = [v.variables(v.zeros()) for _ in range(count)]
        channels = [v.at(v.at(x_at, v.steps(x_start, x_step, m // v.lanes)), m % v.lanes) for m in range(len(values))]
        filters = [v.at(dy_at, v.steps(dy_start, dy_step, i)) for i in range(v.count)]
        with cgutils.for_range(builder, tiles) as tile:
            offset = builder.mul(tile.index, v.integer(v.lanes))
            gradients = [one.load(v.at(at, offset))[0] for at in filters]
            for channel, value in zip(channels, values, strict=True):
                v.add_product(value, v.broadcast(v.at(channel, offset)), gradients)
        target = v.at(sums_at, slot)
        for m, value in enumerate(values):
            place = v.at(target, m * v.columns)
            v.store(v.add(v.load(place), v.get(value)), place)
        return context.get_dummy_value()

    return signature, generate
