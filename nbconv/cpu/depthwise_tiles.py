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
def shared_row(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu):
    """Compute results, at least ``PIXELS``, of windows that lie one pixel apart and have no gaps; see ``_row``."""
    return _row(PIXELS, True, source, packed, out)


@intrinsic
def spaced_row(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu):
    """Compute results, at least ``PIXELS``, of any windows; see ``_row``."""
    return _row(PIXELS, False, source, packed, out)


@intrinsic
def single_row(typingctx, source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, size, relu):
    """Compute any number of results, one by one; see ``_row``."""
    return _row(1, False, source, packed, out)


def _row(pixels, shared, source, packed, out):
    """Return signature and code of a row of tiles; p runs over ``size[0]`` pixels, c over ``size[1]`` channels::

        value[p, c] = packed[panel[c]]
                    + sum over r from rows[0] to rows[1], s from columns[0] to columns[1] of
                      source[window + p * pixel[0] + r * steps[0] + s * steps[1] + c]
                      * packed[panel[c] + (1 + r * taps[1] + s) * lanes]
        out[place + p * pixel[1] + c] = value[p, c], or its ReLU

    ``taps`` are the height and width of the filter; ``panel`` is where that of the first vector of channels begins,
    and those of the others follow. With ``shared``, ``pixel[0] == steps[1]``. The last tile of a row repeats some results
    where it would not be full.
    """
    integer = types.intp
    signature = types.void(
        *(source, integer, packed, integer, out, integer, _PAIR, _PAIR, _PAIR, _PAIR, _PAIR, _PAIR, types.boolean)
    )

    def generate(context, builder, signature, arguments):
        source_at, window, packed_at, panel, out_at, place, *pairs, relu = pointers(
            context, builder, signature, arguments
        )
        taps, rows, columns, steps, pixel, size = (
            [builder.extract_value(pair, i) for i in range(2)] for pair in pairs
        )
        v = Vectors(context, builder, source.dtype)
        source_at, packed_at, out_at = v.at(source_at, window), v.at(packed_at, panel), v.at(out_at, place)
        floor = builder.select(relu, v.all_lanes(0.0), v.all_lanes(float("-inf")))
        panel_size = builder.mul(builder.add(builder.mul(*taps), v.integer(1)), v.integer(v.lanes))
        values = [v.variables() for _ in range(pixels)]
        end_of_groups, group = columns[0], v.integer(GROUP)
        if shared:
            count = builder.sub(columns[1], columns[0])
            end_of_groups = builder.sub(columns[1], builder.srem(count, group))

        def next_pixel(pointer, step):
            """Return a pointer one step on, of which the compiler knows nothing: it would keep one for each pixel."""
            pointer = v.at(pointer, step)
            same = ir.FunctionType(pointer.type, [pointer.type])
            return builder.asm(same, "", "=r,0", [pointer], side_effect=False)

        def add_taps(pixel_at, weights_at, count, masks):
            """Add the products of ``count`` neighbouring taps to all values, tap by tap."""
            weights = [v.load(v.at(weights_at, s * v.lanes)) for s in range(count)]
            for position in range(pixels + count - 1):
                seen = v.load(pixel_at, masks)
                for s in range(count):
                    if 0 <= position - s < pixels:
                        v.add_product(values[position - s], seen, weights[s])
                pixel_at = next_pixel(pixel_at, pixel[0])

        def tile(source_at, panel_at, out_at, masks):
            for value in values:
                v.set(value, v.load(panel_at))
            with cgutils.for_range(builder, rows[1], start=rows[0]) as row:
                line_at = v.at(source_at, builder.mul(row.index, steps[0]))
                first_tap = builder.add(builder.mul(row.index, taps[1]), v.integer(1))
                weights_at = v.at(panel_at, builder.mul(first_tap, v.integer(v.lanes)))

                def place_of(tap):
                    at = v.at(line_at, builder.mul(tap, steps[1]))
                    return at, v.at(weights_at, builder.mul(tap, v.integer(v.lanes)))

                if shared:
                    with cgutils.for_range_slice(builder, columns[0], end_of_groups, group, INTEGER) as (tap, _):
                        add_taps(*place_of(tap), GROUP, masks)
                with cgutils.for_range(builder, columns[1], start=end_of_groups) as column:
                    add_taps(*place_of(column.index), 1, masks)
            for value in values:
                v.store(v.at_least(v.get(value), floor), out_at, masks)
                out_at = next_pixel(out_at, pixel[1])

        last = builder.sub(size[0], v.integer(pixels))
        with cgutils.for_range_slice(builder, v.integer(0), size[1], v.integer(v.lanes), INTEGER) as (c, block):
            panel_at = v.at(packed_at, builder.mul(block, panel_size))
            channel_at, result_at = v.at(source_at, c), v.at(out_at, c)

            def tiles(masks):
                with cgutils.for_range_slice(builder, v.integer(0), size[0], v.integer(pixels), INTEGER) as (p, _):
                    p = builder.select(builder.icmp_signed("<", p, last), p, last)
                    at = v.at(channel_at, builder.mul(p, pixel[0])), v.at(result_at, builder.mul(p, pixel[1]))
                    tile(at[0], panel_at, at[1], masks)

            rest = builder.sub(size[1], c)
            whole = v.integer(v.lanes)
            v.either(builder.select(builder.icmp_signed("<", rest, whole), rest, whole), tiles)
        return context.get_dummy_value()

    return signature, generate
