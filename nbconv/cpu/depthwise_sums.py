"""Sums over a row of pixels for the weight gradient of depthwise convolution, written as LLVM IR.

Lanes are channels. A group of neighbouring taps is summed together, for some pixels side by side: their sums stay in
registers along the row. Windows that share pixels (stride 1, no dilation) load each once.
"""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .depthwise_tiles import GROUP, next_pixel
from .vectors import INTEGER, Vectors, pointers

TOGETHER = 4
"""Pixels side by side: with the taps of a group enough sums to hide how long one addition takes."""

_PAIR = types.UniTuple(types.intp, 2)


@intrinsic
def shared_sums(
    typingctx, x, x_start, dy, dy_start, sums, slot, rows, inside, size, pixel, steps, bounds, sum_steps, new, taps
):
    """Add to the sums of windows that lie one pixel apart and have no gaps; see ``_sums``."""
    return _sums(True, x, dy, sums)


@intrinsic
def spaced_sums(
    typingctx, x, x_start, dy, dy_start, sums, slot, rows, inside, size, pixel, steps, bounds, sum_steps, new, taps
):
    """Add to the sums of any windows; see ``_sums``."""
    return _sums(False, x, dy, sums)


def _sums(shared, x, dy, sums):
    """Return signature and code; r runs from ``rows[0]`` to ``rows[1]``, s over ``taps``, c over ``size[1]`` channels::

        sums[slot + r * sum_steps[0] + s * sum_steps[1] + c] += sum over pixels p < size[0] that see the image of
            x[x_start + r * steps[0] + place + c] * dy[dy_start + p * pixel[1] + c],
            where place = p * pixel[0] + s * steps[1]

    A pixel sees the image if bounds[0] <= place < bounds[1]. Those from ``inside[0]`` to ``inside[1]`` do through
    ``GROUP`` taps, and these are the most that ``taps`` can be. Sums have room for whole vectors.
    """
    integer = types.intp
    signature = types.void(x, integer, dy, integer, sums, integer, *[_PAIR] * 8, integer)

    def generate(context, builder, signature, arguments):
        x_at, x_start, dy_at, dy_start, sums_at, slot, *pairs, taps = pointers(context, builder, signature, arguments)
        rows, inside, size, pixel, steps, bounds, sum_steps, new = (
            [builder.extract_value(pair, i) for i in range(2)] for pair in pairs
        )
        v = Vectors(context, builder, x.dtype)
        x_at, dy_at, sums_at = v.at(x_at, x_start), v.at(dy_at, dy_start), v.at(sums_at, slot)
        values = [[v.variables() for _ in range(GROUP)] for _ in range(TOGETHER)]
        together, last_row = v.integer(TOGETHER), builder.sub(rows[1], v.integer(1))
        count = builder.sub(inside[1], inside[0])
        end = builder.sub(inside[1], builder.srem(count, together))

        def whole(line_at, gradient_at, masks):
            """Add the products of pixels side by side, of all taps."""
            gradients = []
            for _ in range(TOGETHER):
                gradients.append(v.load(gradient_at, masks))
                gradient_at = next_pixel(v, gradient_at, pixel[1])
            if shared:
                for position in range(TOGETHER + GROUP - 1):
                    seen = v.load(line_at, masks)
                    for s in range(GROUP):
                        if 0 <= position - s < TOGETHER:
                            v.add_product(values[position - s][s], seen, gradients[position - s])
                    line_at = next_pixel(v, line_at, pixel[0])
                return
            for gradient, sums_of in zip(gradients, values, strict=True):
                tap_at = line_at
                for value in sums_of:
                    v.add_product(value, v.load(tap_at, masks), gradient)
                    tap_at = next_pixel(v, tap_at, steps[1])
                line_at = next_pixel(v, line_at, pixel[0])

        def fetch(line_at, gradient_at):
            """Ask for what the next row of windows will read."""
            line_at, gradient_at = v.at(line_at, new[0]), v.at(gradient_at, new[1])
            for _ in range(TOGETHER):
                for at in (line_at, gradient_at) if shared else (line_at, v.at(line_at, steps[1]), gradient_at):
                    v.prefetch(at)
                line_at, gradient_at = next_pixel(v, line_at, pixel[0]), next_pixel(v, gradient_at, pixel[1])

        def partial(line_at, first, last, masks):
            """Add the products of single pixels, of the taps that see the image."""
            with cgutils.for_range(builder, last, start=first) as p:
                gradient = v.load(v.at(dy_at_channel, builder.mul(p.index, pixel[1])), masks)
                for s in range(GROUP):
                    place = builder.add(builder.mul(p.index, pixel[0]), builder.mul(steps[1], v.integer(s)))
                    sees = [
                        builder.icmp_signed(">=", place, bounds[0]),
                        builder.icmp_signed("<", place, bounds[1]),
                        builder.icmp_signed(">", taps, v.integer(s)),
                    ]
                    with builder.if_then(builder.and_(builder.and_(*sees[:2]), sees[2])):
                        v.add_product(values[0][s], v.load(v.at(line_at, place), masks), gradient)

        def sum_row(r, line_at, masks):
            for sums_of in values:
                for value in sums_of:
                    v.set(value, v.zeros())
            with cgutils.for_range_slice(builder, inside[0], end, together, INTEGER) as (p, _):
                pixel_at = v.at(line_at, builder.mul(p, pixel[0])), v.at(dy_at_channel, builder.mul(p, pixel[1]))
                with builder.if_then(builder.icmp_signed("==", r, last_row)):
                    fetch(*pixel_at)
                whole(*pixel_at, masks)
            partial(line_at, v.integer(0), inside[0], masks)
            partial(line_at, end, size[0], masks)
            for s in range(GROUP):
                total = v.get(values[0][s])
                for sums_of in values[1:]:
                    total = v.add(total, v.get(sums_of[s]))
                place = builder.add(builder.mul(r, sum_steps[0]), builder.mul(sum_steps[1], v.integer(s)))
                at = v.at(sums_at_channel, place)
                with builder.if_then(builder.icmp_signed(">", taps, v.integer(s))):
                    v.store(v.add(v.load(at), total), at)

        all_channels = v.integer(0), size[1], v.integer(v.lanes)
        with cgutils.for_range_slice(builder, *all_channels, INTEGER) as (channel, _):
            x_at_channel, dy_at_channel, sums_at_channel = (v.at(at, channel) for at in (x_at, dy_at, sums_at))

            def sum_rows(masks):
                with cgutils.for_range(builder, rows[1], start=rows[0]) as row:
                    sum_row(row.index, v.at(x_at_channel, builder.mul(row.index, steps[0])), masks)

            left, vector = builder.sub(size[1], channel), v.integer(v.lanes)
            v.either(builder.select(builder.icmp_signed("<", left, vector), left, vector), sum_rows)
        return context.get_dummy_value()

    return signature, generate
