"""Register tiles for few columns of results, written as LLVM IR: lanes run over pixels, in planes of one channel each.

Where results have too few channels to fill a vector, vectors of pixels do: a step loads some vectors of neighbouring
pixels of one channel, and each weight that applies to them goes to all lanes.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INTEGER, REGISTERS, Vectors, pointers

MOST_VECTORS = 12
"""Vectors of pixels of a tile at most."""

SUM_ROWS = 9
"""Rows of a tile of sums: filters of 3 x 3 taps leave none empty."""

SUM_COLUMNS = REGISTERS // 16
"""Columns of a tile of sums: each has a register for every row. With more, few filters would leave some empty."""

_PAIR = types.UniTuple(types.intp, 2)


def tile_vectors(columns):
    """Return how many vectors of pixels a tile of so many columns has: their sums fill the registers, but for a few."""
    return min(MOST_VECTORS, max((REGISTERS - 2 - columns) // columns, (REGISTERS - 2) // (columns + 1)))


@intrinsic
def eight_columns(typingctx, planes, pixel, offsets, some, packed, weights, results, place, onto, relu):
    """Compute eight columns of results; see ``_tile``."""
    return _tile(8, planes, offsets, packed, results)


@intrinsic
def four_columns(typingctx, planes, pixel, offsets, some, packed, weights, results, place, onto, relu):
    """Compute four columns of results; see ``_tile``."""
    return _tile(4, planes, offsets, packed, results)


@intrinsic
def three_columns(typingctx, planes, pixel, offsets, some, packed, weights, results, place, onto, relu):
    """Compute three columns of results; see ``_tile``."""
    return _tile(3, planes, offsets, packed, results)


@intrinsic
def one_column(typingctx, planes, pixel, offsets, some, packed, weights, results, place, onto, relu):
    """Compute one column of results; see ``_tile``."""
    return _tile(1, planes, offsets, packed, results)


def _tile(columns, planes, offsets, packed, results):
    """Return signature and code of a tile; p runs over ``tile_vectors(columns)`` vectors of pixels, j over columns::

        value[j, p] = packed[weights[0] + j]
                    + sum over k from some[0] to some[1] of
                      planes[pixel + offsets[k] + p] * packed[weights[0] + (1 + k) * weights[1] + j]
        results[place[0] + j * place[1] + p] = value[j, p], or its ReLU

    ``onto`` what is in the results, and not the bias in row 0 of the packed panel, the sum is added where that is true.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(planes, integer, offsets, _PAIR, packed, _PAIR, results, _PAIR, flag, flag)

    def generate(context, builder, signature, arguments):
        planes_at, pixel, offsets_at, some, packed_at, weights, results_at, place, onto, relu = pointers(
            context, builder, signature, arguments
        )
        some, weights, place = (cgutils.unpack_tuple(builder, pair) for pair in (some, weights, place))
        v, one = Vectors(context, builder, planes.dtype, tile_vectors(columns)), Vectors(context, builder, planes.dtype)
        planes_at, packed_at = v.at(planes_at, pixel), v.at(packed_at, weights[0])
        targets = [v.at(results_at, v.steps(place[0], place[1], j)) for j in range(columns)]
        values = [v.variables(v.broadcast(v.at(packed_at, j))) for j in range(columns)]
        with builder.if_then(onto):
            for value in values:
                v.set(value, v.zeros())
        with cgutils.for_range(builder, some[1], start=some[0]) as product:
            k = product.index
            offset = builder.sext(v.element(offsets_at, k), INTEGER)
            row_at = v.at(packed_at, builder.mul(builder.add(k, v.integer(1)), weights[1]))
            at = v.at(planes_at, offset)
            if v.count < columns:  # of what is multiplied, the fewer stay in registers
                seen = v.load(at)
                for j, value in enumerate(values):
                    v.add_product(value, seen, v.broadcast(v.at(row_at, j)))
            else:
                numbers = [v.broadcast(v.at(row_at, j))[0] for j in range(columns)]
                for p in range(v.count):
                    seen = one.load(v.at(at, p * v.lanes))
                    for value, number in zip(values, numbers, strict=True):
                        v.add_product([value[p]], seen, [number])
        with builder.if_then(onto):
            for value, target in zip(values, targets, strict=True):
                v.set(value, v.add(v.load(target), v.get(value)))
        floor = v.floor(relu)
        for value, target in zip(values, targets, strict=True):
            v.store(v.at_least(v.get(value), floor), target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def sum_pixels(typingctx, planes, offsets, first, gradients, start, plane, count, sums, slot):
    """Add a tile of sums over ``count`` vectors of pixels to ``sums``::

        sums[slot + (m * SUM_COLUMNS + j) * lanes + lane] += sum over vectors p of
            planes[offsets[first + m] + p * lanes + lane] * gradients[start + j * plane + p * lanes + lane]

    One more row, behind the others, has sums of the gradients alone.
    """
    integer = types.intp
    signature = types.void(planes, offsets, integer, gradients, integer, integer, integer, sums, integer)

    def generate(context, builder, signature, arguments):
        planes_at, offsets_at, first, gradients_at, start, plane, count, sums_at, slot = pointers(
            context, builder, signature, arguments
        )
        v = Vectors(context, builder, planes.dtype)
        offsets_at, gradients_at, sums_at = v.at(offsets_at, first), v.at(gradients_at, start), v.at(sums_at, slot)
        origins = [v.at(planes_at, builder.sext(v.element(offsets_at, m), INTEGER)) for m in range(SUM_ROWS)]
        columns = [v.at(gradients_at, v.steps(None, plane, j)) for j in range(SUM_COLUMNS)]
        *values, alone = [[v.variables(v.zeros()) for _ in columns] for _ in range(SUM_ROWS + 1)]
        with cgutils.for_range(builder, count) as vector:
            at = builder.mul(vector.index, v.integer(v.lanes))
            numbers = [v.load(v.at(column, at)) for column in columns]
            for origin, row in zip(origins, values, strict=True):
                seen = v.load(v.at(origin, at))
                for value, number in zip(row, numbers, strict=True):
                    v.add_product(value, seen, number)
            for value, number in zip(alone, numbers, strict=True):
                v.set(value, v.add(v.get(value), number))
        totals = [v.get(value)[0] for row in (*values, alone) for value in row]
        for k, total in enumerate(totals):
            place = v.at(sums_at, k * v.lanes)
            v.store(v.add(v.load(place), [total]), place)
        return context.get_dummy_value()

    return signature, generate
