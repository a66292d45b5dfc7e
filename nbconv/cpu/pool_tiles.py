"""One window of a max-pool, for as many channels as a vector holds: its winner, and the way back of its gradient.

Tap (r, s) of a window lies at ``start + r * steps[0] + s * steps[1]`` in flat images, and is position r * kernel_w + s.
Those with r from ``rows[0]`` to ``rows[1]`` and s from ``columns[0]`` to ``columns[1]`` are in the image.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import product

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import Vectors, each_pointer, pointers

UNROLLED = (2, 3)
"""Sizes of square windows, as most are, whose taps are written out where all are in the image."""

SEEN = (1, 1), (1, 2), (2, 1), (2, 2), (3, 3)
"""Rows and columns of windows that often see a pixel, as those of 3 pixels in steps of 2 or 1 do."""

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

        def find(v, masks):
            best, winner = _first_largest(v, (start, *window), lambda offset: v.load(v.at(images_at, offset), masks))
            v.store(v.get(best), v.at(out_at, place), masks)
            v.store_integers(builder.load(winner), v.at(argmax_at, place), masks)

        _for_channels(context, builder, out.dtype, channels, find)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def find_normalized_winner(
    typingctx, x, start, rows, columns, steps, kernel_w, channels, maps, at, relu, out, argmax, winners, place
):
    """Write the maximum of a window of ``(x - centre) * scale + shift``, with ``relu`` of its positive part.

    As ``find_winner``; ``maps`` are centre, scale and shift, for channels from ``at``, and the winner's x goes to
    ``winners[place]``. The window has at least one tap in the image.
    """
    integer = types.intp
    signature = types.void(
        *(x, integer, _PAIR, _PAIR, _PAIR, integer, integer),
        *(maps, integer, types.boolean, out, argmax, winners, integer),
    )

    def generate(context, builder, signature, arguments):
        x_at, start, *window, channels, maps_at, at, relu, out_at, argmax_at, winners_at, place = pointers(
            context, builder, signature, arguments
        )

        def find(v, masks):
            centre, scale, shift = (
                v.load(v.at(pointer, at), masks) for pointer in each_pointer(context, builder, maps, maps_at)
            )
            kept, floor = v.variables(v.zeros()), v.floor(relu)

            def normalized(offset):
                return v.at_least(v.multiply_add(v.subtract(raw(offset), centre), scale, shift), floor)

            def raw(offset):
                return v.load(v.at(x_at, offset), masks)

            def keep(offset, is_best):
                v.set(kept, v.choose(is_best, raw(offset), v.get(kept)))

            best, winner = _first_largest(v, (start, *window), normalized, keep)
            v.store(v.get(best), v.at(out_at, place), masks)
            v.store(v.get(kept), v.at(winners_at, place), masks)
            v.store_integers(builder.load(winner), v.at(argmax_at, place), masks)

        _for_channels(context, builder, out.dtype, channels, find)
        return context.get_dummy_value()

    return signature, generate


def _first_largest(v, window, read, on_win=None):
    """Return variables with the first largest of ``read(offset)`` over the taps of a window, and its position."""
    builder = v.builder
    best = v.variables([v.all_lanes(float("-inf"))])
    (winner,) = v.variables([ir.Constant(ir.VectorType(_POSITION, v.lanes), None)])

    def visit(offset, position, is_first):
        (value,), (now,) = read(offset), v.get(best)
        is_best = builder.or_(wins(builder, value, now), v.all_lanes(is_first, ir.IntType(1)))
        builder.store(builder.select(is_best, v.all_lanes(position, _POSITION), builder.load(winner)), winner)
        v.set(best, [builder.select(is_best, value, now)])
        if on_win:
            on_win(offset, is_best)

    _visit_taps(builder, window, visit)
    return best, winner


def wins(builder, value, best):
    """Return where a vector of values wins over the best before it: the larger, or the first NaN."""
    is_larger_or_nan = builder.fcmp_unordered(">", value, best)
    return builder.and_(is_larger_or_nan, builder.fcmp_ordered("ord", best, best))


@intrinsic
def return_gradient(
    typingctx, dy, out, argmax, place, relu, scale, at, start, rows, columns, steps, kernel_w, channels, gradient, add
):
    """Give ``dy[place] * scale[at]`` to the winner of the window and zero to the others, for ``channels`` channels.

    With ``relu``, only where ``out[place]`` is not zero or less. With ``add``, add to what ``gradient`` has.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(
        *(dy, out, argmax, integer, flag, scale, integer),
        *(integer, _PAIR, _PAIR, _PAIR, integer, integer, gradient, flag),
    )

    def generate(context, builder, signature, arguments):
        dy_at, out_at, argmax_at, place, relu, scale_at, at, start, *window, channels, gradient_at, add = pointers(
            context, builder, signature, arguments
        )

        def give_back(v, masks):
            gated = v.all_lanes(relu, ir.IntType(1))
            value, result = (v.load(v.at(pointer, place), masks)[0] for pointer in (dy_at, out_at))
            stopped = builder.and_(gated, builder.fcmp_ordered("<=", result, v.all_lanes(0.0)))
            value = builder.select(stopped, v.all_lanes(0.0), value)
            value = builder.fmul(value, v.load(v.at(scale_at, at), masks)[0])
            winner = v.load_integers(v.at(argmax_at, place), masks)

            def visit(offset, position, _):
                pixel, position = v.at(gradient_at, offset), v.all_lanes(position, _POSITION)
                share = v.variables(
                    [builder.select(builder.icmp_signed("==", winner, position), value, v.all_lanes(0.0))]
                )
                with builder.if_then(add):
                    v.set(share, v.add(v.load(pixel, masks), v.get(share)))
                v.store(v.get(share), pixel, masks)

            _visit_taps(builder, (start, *window), visit)

        _for_channels(context, builder, dy.dtype, channels, give_back)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gather_patch(
    typingctx, dy, out, argmax, relu, scale, at, place, count, place_steps, tap, tap_steps, channels,
    gradient, first, pixels, pixel_steps, next_place, add,
):  # fmt: skip
    """Write what comes back to a patch of pixels from all windows that see them, for ``channels`` channels.

    The patch has ``pixels`` (rows, columns), from ``first`` on in steps ``pixel_steps``. Its first pixel is seen by
    ``count`` (rows, columns) of windows, from ``place`` on in steps ``place_steps``: with their ``tap``, less
    ``tap_steps`` at each step. From pixel to pixel, the windows move on by ``next_place``. As ``return_gradient`` for
    ``relu``, ``scale[at]`` and ``add``.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(
        *(dy, out, argmax, flag, scale, integer, integer, _PAIR, _PAIR, integer, _PAIR, integer),
        *(gradient, integer, _PAIR, _PAIR, _PAIR, flag),
    )

    def generate(context, builder, signature, arguments):
        values = pointers(context, builder, signature, arguments)
        dy_at, out_at, argmax_at, relu, scale_at, at, place, count, place_steps, tap, tap_steps, channels = values[:12]
        gradient_at, first, pixels, pixel_steps, next_place, add = values[12:]

        def gather(v, masks):
            factor = v.load(v.at(scale_at, at), masks)

            def gather_pixel(point, visit_windows, gated):
                windows, pixel = _move(builder, place, point, next_place), _move(builder, first, point, pixel_steps)
                total = v.variables(v.zeros())

                def visit(*step):
                    window = _move(builder, windows, step, place_steps)
                    position = builder.sub(tap, _move(builder, ir.Constant(tap.type, 0), step, tap_steps))
                    value = v.load(v.at(dy_at, window), masks)
                    won = v.equal_integers(v.at(argmax_at, window), builder.trunc(position, _POSITION), masks)
                    if gated:
                        value = v.where_positive(value, v.load(v.at(out_at, window), masks), v.zeros())
                    v.set(total, v.add(v.get(total), v.choose(won, value, v.zeros())))

                visit_windows(visit)
                v.set(total, v.multiply(v.get(total), factor))
                with builder.if_then(add):
                    v.set(total, v.add(v.get(total), v.load(v.at(gradient_at, pixel), masks)))
                v.store(v.get(total), v.at(gradient_at, pixel), masks)

            with builder.if_else(relu) as (yes, no):
                for branch, gated in (yes, True), (no, False):
                    with branch:
                        _for_counts(builder, count, pixels, partial(gather_pixel, gated=gated))

        _for_channels(context, builder, dy.dtype, channels, gather)
        return context.get_dummy_value()

    return signature, generate


def _move(builder, start, point, steps):
    """Return ``start + point[0] * steps[0] + point[1] * steps[1]``."""
    for number, step in zip(point, _both(builder, steps), strict=True):
        start = builder.add(start, builder.mul(number, step))
    return start


def _for_counts(builder, count, pixels, write_pixel):
    """Write loops over pixels, ``write_pixel(point, visit_windows)``, for the usual numbers of windows, and for any."""
    rows, columns = _both(builder, count)

    def loop(visit_windows):
        with _grid(builder, *_both(builder, pixels)) as point:
            write_pixel(point, visit_windows)

    def some(height, width):
        points = product(*([ir.Constant(rows.type, i) for i in range(n)] for n in (height, width)))
        return lambda visit: [visit(*point) for point in list(points)]

    def any_number(visit):
        with _grid(builder, rows, columns) as point:
            visit(*point)

    def choose(counts):
        if not counts:
            loop(any_number)
            return
        equal = [
            builder.icmp_signed("==", value, ir.Constant(value.type, number))
            for value, number in zip((rows, columns), counts[0], strict=True)
        ]
        with builder.if_else(builder.and_(*equal)) as (yes, no):
            with yes:
                loop(some(*counts[0]))
            with no:
                choose(counts[1:])

    choose(SEEN)


@contextmanager
def _grid(builder, rows, columns):
    """Yield each point of a grid."""
    with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, columns) as column:
        yield row.index, column.index


def _for_channels(context, builder, dtype, channels, write_code):
    """Write code, ``write_code(vectors, masks)``, for a vector, half and a quarter of one, and for any part.

    Where pixels lie closer than a vector is long, one that is masked would have to wait for the store before it.
    """
    whole = Vectors(context, builder, dtype)

    def choose(parts):
        if not parts:
            write_code(whole, whole.masks(channels))
            return
        v = Vectors(context, builder, dtype, parts=parts[0])
        with builder.if_else(builder.icmp_signed("==", channels, v.integer(v.lanes))) as (yes, no):
            with yes:
                write_code(v, None)
            with no:
                choose(parts[1:])

    choose([parts for parts in (1, 2, 4) if parts <= whole.lanes])


def _both(builder, pair):
    return [builder.extract_value(pair, i) for i in range(2)]


def _visit_taps(builder, window, visit):
    """Write ``visit(offset, position, is_first)`` for each tap in the image, in scan order."""
    start, rows, columns, steps, kernel_w = window
    (first_row, end_row), (first_column, end_column), (row_step, column_step) = (
        _both(builder, pair) for pair in (rows, columns, steps)
    )

    def offset_of(r, s):
        return builder.add(start, builder.add(builder.mul(r, row_step), builder.mul(s, column_step)))

    def is_whole(size):
        wanted = ((first_row, 0), (end_row, size), (first_column, 0), (end_column, size), (kernel_w, size))
        equal = [builder.icmp_signed("==", value, ir.Constant(value.type, number)) for value, number in wanted]
        while len(equal) > 1:
            equal.append(builder.and_(equal.pop(0), equal.pop(0)))
        return equal[0]

    def unroll(size):
        for r, s in product(range(size), range(size)):
            offset = offset_of(*(ir.Constant(start.type, tap) for tap in (r, s)))
            visit(offset, ir.Constant(_POSITION, r * size + s), ir.Constant(ir.IntType(1), r == s == 0))

    def loop():
        with (
            cgutils.for_range(builder, end_row, start=first_row) as row,
            cgutils.for_range(builder, end_column, start=first_column) as column,
        ):
            r, s = row.index, column.index
            position = builder.add(builder.mul(r, kernel_w), s)
            is_first = builder.and_(builder.icmp_signed("==", r, first_row), builder.icmp_signed("==", s, first_column))
            visit(offset_of(r, s), builder.trunc(position, _POSITION), is_first)

    def choose(sizes):
        if not sizes:
            loop()
            return
        with builder.if_else(is_whole(sizes[0])) as (whole, other):
            with whole:
                unroll(sizes[0])
            with other:
                choose(sizes[1:])

    choose(UNROLLED)
