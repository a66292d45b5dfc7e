"""Register tiles of depthwise convolution, written as LLVM IR: pixels side by side, one vector of their channels.

Every lane has its own filter, so that a product needs a vector of the source: loads bound the speed. Windows are read
where they lie in the images, without a copy that has a border; a tile at the edge is told which taps are inside.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import Vectors, pointers

PIXELS = 8
"""Pixels of a tile: as many sums as are needed to hide how long one addition takes."""

_PAIR = types.UniTuple(types.intp, 2)


@intrinsic
def pixels_tile(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, channels, relu):
    """Compute ``PIXELS`` results; see ``_tile``."""
    return _tile(PIXELS, source, packed, out)


@intrinsic
def half_tile(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, channels, relu):
    """Compute half as many; see ``_tile``."""
    return _tile(PIXELS // 2, source, packed, out)


@intrinsic
def pixel_tile(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, channels, relu):
    """Compute one result; see ``_tile``."""
    return _tile(1, source, packed, out)


def _tile(pixels, source, packed, out):
    """Return signature and code of a tile; p runs over its pixels, c over channels, which are the lanes::

        value[p, c] = packed[panel + c]
                    + sum over r from rows[0] to rows[1], s from columns[0] to columns[1] of
                      source[window + p * pixel[0] + r * steps[0] + s * steps[1] + c]
                      * packed[panel + (1 + r * taps + s) * lanes + c]
        out[place + p * pixel[1] + c] = value[p, c], or its ReLU, for c < channels

    ``taps`` is the width of the filter.
    """
    integer = types.intp
    signature = types.void(
        *(source, integer, packed, integer, out, integer, integer, _PAIR, _PAIR, _PAIR, _PAIR, integer, types.boolean)
    )

    def generate(context, builder, signature, arguments):
        source_at, window, packed_at, panel, out_at, place, taps, *pairs, channels, relu = pointers(
            context, builder, signature, arguments
        )
        rows, columns, steps, pixel = ([builder.extract_value(pair, i) for i in range(2)] for pair in pairs)
        v = Vectors(context, builder, source.dtype)
        window_at, panel_at = v.at(source_at, window), v.at(packed_at, panel)
        windows = [v.at(window_at, builder.mul(pixel[0], v.integer(p))) for p in range(pixels)]
        values = [v.variables(v.load(panel_at)) for _ in range(pixels)]
        floor = builder.select(relu, v.all_lanes(0.0), v.all_lanes(float("-inf")))

        def compute(masks):
            with cgutils.for_range(builder, rows[1], start=rows[0]) as row:
                first_tap = builder.add(builder.mul(row.index, taps), v.integer(1))
                line = builder.mul(row.index, steps[0])
                with cgutils.for_range(builder, columns[1], start=columns[0]) as column:
                    offset = builder.add(line, builder.mul(column.index, steps[1]))
                    tap = builder.mul(builder.add(first_tap, column.index), v.integer(v.lanes))
                    weights = v.load(v.at(panel_at, tap))
                    for at, value in zip(windows, values, strict=True):
                        v.add_product(value, v.load(v.at(at, offset), masks), weights)
            for p, value in enumerate(values):
                at = v.at(out_at, builder.add(place, builder.mul(pixel[1], v.integer(p))))
                v.store(v.at_least(v.get(value), floor), at, masks)

        v.either(channels, compute)
        return context.get_dummy_value()

    return signature, generate
