"""One window of a max-pool, for as many channels as a vector holds: its winner, and the way back of its gradient.

Tap (r, s) of a window lies at ``start + r * steps[0] + s * steps[1]`` in flat images, and is position r * kernel_w + s.
Those with r from ``rows[0]`` to ``rows[1]`` and s from ``columns[0]`` to ``columns[1]`` are in the image.
"""

from __future__ import annotations

from contextlib import contextmanager

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import Vectors, pointers

_POSITION = ir.IntType(32)
_PAIR = types.UniTuple(types.intp, 2)


@intrinsic
def find_winner(typingctx, images, start, rows, columns, steps, kernel_w, channels, out, argmax, place):
    """Write the maximum of a window to ``out[place]`` and its position to ``argmax[place]``, for ``channels`` channels.

    The first of equal values wins, NaN wins over numbers; of no taps at all the maximum is -inf, at position 0.
    """
    integer = types.intp
    signature = types.void(images, integer, _PAIR, _PAIR, _PAIR, integer, integer, out, argmax, integer)

    def generate(context, builder, signature, arguments):
        images_at, start, *window, channels, out_at, argmax_at, place = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, images.dtype)
        best, winner = v.variables([v.all_lanes(float("-inf")), ir.Constant(_positions(v), None)])

        def find(masks):
            with _taps(builder, start, *window) as (offset, position, is_first):
                value, now = v.load(v.at(images_at, offset), masks)[0], builder.load(best)
                either_is_nan_or_larger = builder.fcmp_unordered(">", value, now)
                wins = builder.and_(either_is_nan_or_larger, builder.fcmp_ordered("ord", now, now))
                position = v.all_lanes(position, _POSITION)
                before = builder.select(is_first, position, builder.load(winner))
                builder.store(builder.select(wins, value, now), best)
                builder.store(builder.select(wins, position, before), winner)
            v.store([builder.load(best)], v.at(out_at, place), masks)
            v.store_integers(builder.load(winner), v.at(argmax_at, place), masks)

        v.either(channels, find)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def return_gradient(
    typingctx, dy, out, argmax, place, relu, start, rows, columns, steps, kernel_w, channels, gradient, overlap
):
    """Give ``dy[place]`` to the winner of the window and zero to the others, for ``channels`` channels.

    With ``relu``, only where ``out[place]`` is not zero or less. With ``overlap``, add to what ``gradient`` has.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(
        *(dy, out, argmax, integer, flag), *(integer, _PAIR, _PAIR, _PAIR, integer, integer), gradient, flag
    )

    def generate(context, builder, signature, arguments):
        dy_at, out_at, argmax_at, place, relu, start, *window, channels, gradient_at, overlap = pointers(
            context, builder, signature, arguments
        )
        v = Vectors(context, builder, dy.dtype)
        gated = v.all_lanes(relu, ir.IntType(1))

        def give_back(masks):
            value, result = (v.load(v.at(pointer, place), masks)[0] for pointer in (dy_at, out_at))
            stopped = builder.and_(gated, builder.fcmp_ordered("<=", result, v.all_lanes(0.0)))
            value = builder.select(stopped, v.all_lanes(0.0), value)
            winner = v.load_integers(v.at(argmax_at, place), masks)
            with _taps(builder, start, *window) as (offset, position, _):
                pixel, position = v.at(gradient_at, offset), v.all_lanes(position, _POSITION)
                share = v.variables(
                    [builder.select(builder.icmp_signed("==", winner, position), value, v.all_lanes(0.0))]
                )
                with builder.if_then(overlap):
                    v.set(share, v.add(v.load(pixel, masks), v.get(share)))
                v.store(v.get(share), pixel, masks)

        v.either(channels, give_back)
        return context.get_dummy_value()

    return signature, generate


@contextmanager
def _taps(builder, start, rows, columns, steps, kernel_w):
    """Yield offset and position of each tap in the image, and whether it is the first."""
    first_row, end_row, first_column, end_column, row_step, column_step = (
        builder.extract_value(pair, i) for pair in (rows, columns, steps) for i in range(2)
    )
    with (
        cgutils.for_range(builder, end_row, start=first_row) as row,
        cgutils.for_range(builder, end_column, start=first_column) as column,
    ):
        r, s = row.index, column.index
        offset = builder.add(start, builder.add(builder.mul(r, row_step), builder.mul(s, column_step)))
        position = builder.add(builder.mul(r, kernel_w), s)
        is_first = builder.and_(builder.icmp_signed("==", r, first_row), builder.icmp_signed("==", s, first_column))
        yield offset, builder.trunc(position, _POSITION), is_first


def _positions(v):
    return ir.VectorType(_POSITION, v.lanes)
