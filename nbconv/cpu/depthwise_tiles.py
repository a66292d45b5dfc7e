"""Register tiles of depthwise convolution, written as LLVM IR: pixels side by side, one vector of their channels.

Every lane has its own filter, so that a product needs a vector of the source: loads bound the speed. Windows are read
where they lie in the images, without a copy that has a border; results at the edge are told which taps are inside.
Where neighbouring windows share pixels (stride 1, no dilation), what is loaded serves all taps of a group.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INTEGER, Vectors, pointers

PIXELS = 8
"""Pixels of a tile: as many sums as are needed to hide how long one addition takes."""

GROUP = 3
"""Neighbouring taps whose weights stay in registers."""

_PAIR = types.UniTuple(types.intp, 2)


@intrinsic
def shared_row(
    typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu, new
):
    """Compute results, at least ``PIXELS``, of windows that lie one pixel apart and have no gaps; see ``_row``."""
    return _row(PIXELS, GROUP, source, packed, out, new)


@intrinsic
def spaced_row(
    typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu, new
):
    """Compute results, at least ``PIXELS``, of any windows; see ``_row``."""
    return _row(PIXELS, 1, source, packed, out, new)


@intrinsic
def single_row(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu):
    """Compute any number of results, one by one; see ``_row``."""
    return _row(1, 1, source, packed, out)


def next_pixel(v, pointer, step):
    """Return a pointer one step on, of which the compiler knows nothing: it would keep one for each pixel."""
    pointer = v.at(pointer, step)
    same = ir.FunctionType(pointer.type, [pointer.type])
    return v.builder.asm(same, "", "=r,0", [pointer], side_effect=False)


def _row(pixels, group, source, packed, out, new=None):
    """Return signature and code of a row of tiles; p runs over ``size[0]`` pixels, c over ``size[1]`` channels::

        value[p, c] = bias[c]
                    + sum over r from rows[0] to rows[1], s from columns[0] to columns[1] of
                      source[window + p * pixel[0] + r * steps[0] + s * steps[1] + c] * weight[r, s, c]
        out[place + p * pixel[1] + c] = value[p, c], or its ReLU

    ``taps`` are the height and width of the filter. At ``panel`` in ``packed`` begins the panel of the first vector of
    channels: a vector of biases, then one for each tap; those of the others follow. A ``group`` of more than one tap
    needs ``pixel[0] == steps[1]``. The last tile repeats some results where it would not be full.

    ``new``, a pair, tells where below the window, and how many lines apart, lies what the next row will read.
    """
    integer = types.intp
    signature = types.void(
        *(source, integer, packed, integer, out, integer, _PAIR, _PAIR, _PAIR, _PAIR, _PAIR, _PAIR, types.boolean),
        *((_PAIR,) if new else ()),
    )

    def generate(context, builder, signature, arguments):
        source_at, window, packed_at, panel, out_at, place, *pairs = pointers(context, builder, signature, arguments)
        relu = pairs.pop(6)
        taps, rows, columns, steps, pixel, size, *new = (
            [builder.extract_value(pair, i) for i in range(2)] for pair in pairs
        )
        v = Vectors(context, builder, source.dtype)
        source_at, packed_at, out_at = v.at(source_at, window), v.at(packed_at, panel), v.at(out_at, place)
        floor = builder.select(relu, v.all_lanes(0.0), v.all_lanes(float("-inf")))
        panel_size = builder.mul(builder.add(builder.mul(*taps), v.integer(1)), v.integer(v.lanes))
        rest = builder.srem(builder.sub(columns[1], columns[0]), v.integer(group))
        end_of_groups = builder.sub(columns[1], rest)
        values = [v.variables() for _ in range(pixels)]

        def add_taps(line_at, weights_at, tap, count, masks):
            """Add the products of ``count`` neighbouring taps to all values, tap by tap."""
            pixel_at = v.at(line_at, builder.mul(tap, steps[1]))
            weights_at = v.at(weights_at, builder.mul(tap, v.integer(v.lanes)))
            weights = [v.load(v.at(weights_at, s * v.lanes)) for s in range(count)]
            for position in range(pixels + count - 1):
                seen = v.load(pixel_at, masks)
                for s in range(count):
                    if 0 <= position - s < pixels:
                        v.add_product(values[position - s], seen, weights[s])
                pixel_at = next_pixel(v, pixel_at, pixel[0])

        def fetch(window_at):
            """Ask for the pixels that only the next row will read: it comes when they have arrived."""
            for _ in range(pixels):
                v.prefetch(window_at)
                if group == 1:
                    v.prefetch(v.at(window_at, steps[1]))
                window_at = next_pixel(v, window_at, pixel[0])

        def tile(window_at, panel_at, out_at, masks):
            for value in values:
                v.set(value, v.load(panel_at))
            with cgutils.for_range(builder, rows[1], start=rows[0]) as row:
                line_at = v.at(window_at, builder.mul(row.index, steps[0]))
                first_tap = builder.add(builder.mul(row.index, taps[1]), v.integer(1))
                weights_at = v.at(panel_at, builder.mul(first_tap, v.integer(v.lanes)))
                whole_groups = columns[0], end_of_groups, v.integer(group)
                with cgutils.for_range_slice(builder, *whole_groups, INTEGER) as (tap, _):
                    add_taps(line_at, weights_at, tap, group, masks)
                for count in range(1, group):
                    with builder.if_then(builder.icmp_signed("==", rest, v.integer(count))):
                        add_taps(line_at, weights_at, end_of_groups, count, masks)
            for value in values:
                v.store(v.at_least(v.get(value), floor), out_at, masks)
                out_at = next_pixel(v, out_at, pixel[1])
            if new:
                fetch(v.at(window_at, new[0][0]))
                if group == 1:
                    fetch(v.at(window_at, builder.add(*new[0])))

        last = builder.sub(size[0], v.integer(pixels))
        all_channels = v.integer(0), size[1], v.integer(v.lanes)
        with cgutils.for_range_slice(builder, *all_channels, INTEGER) as (channel, block):
            panel_at = v.at(packed_at, builder.mul(block, panel_size))
            channel_at, result_at = v.at(source_at, channel), v.at(out_at, channel)

            def tiles(masks):
                all_pixels = v.integer(0), size[0], v.integer(pixels)
                with cgutils.for_range_slice(builder, *all_pixels, INTEGER) as (p, _):
                    p = builder.select(builder.icmp_signed("<", p, last), p, last)
                    window_at, place_at = (
                        v.at(at, builder.mul(p, step)) for at, step in zip((channel_at, result_at), pixel, strict=True)
                    )
                    tile(window_at, panel_at, place_at, masks)

            left = builder.sub(size[1], channel)
            vector = v.integer(v.lanes)
            v.either(builder.select(builder.icmp_signed("<", left, vector), left, vector), tiles)
        return context.get_dummy_value()

    return signature, generate
