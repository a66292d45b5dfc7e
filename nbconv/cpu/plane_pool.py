"""Max-pools in planes of one channel each, written as LLVM IR: windows of 2x2 or 3x3 pixels that do not overlap.

Lanes are windows next to each other; a row of pixels is split into the taps of all of them (``plane_blocks.py``).
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .plane_blocks import join, split
from .pool_tiles import UNROLLED, wins
from .vectors import Vectors, pointers

_POSITION = ir.IntType(32)


def serves(pool, lanes) -> bool:
    """Tell whether a pool, of a record, can be computed in planes: all taps of all windows must be in the image."""
    p = pool[0]
    size = p["kernel_h"]
    is_tiling = size in UNROLLED and size == p["kernel_w"] == p["step_h"] == p["step_w"] and size <= lanes
    is_plain = p["pad_top"] == p["pad_left"] == 0 and p["dilation_h"] == p["dilation_w"] == 1
    return bool(
        is_tiling and is_plain and size * p["height"] <= p["image_height"] and size * p["width"] <= p["image_width"]
    )


@intrinsic
def pool_pixels(typingctx, plane, start, line, size, out, argmax, place):
    """Pool a vector of windows of ``size`` pixels on both axes, from ``start`` in a plane of lines ``line`` apart.

    Whole vectors of maxima and of positions are written to ``place``. As ``find_winner`` for what wins.
    """
    integer = types.intp
    signature = types.void(plane, integer, integer, integer, out, argmax, integer)

    def generate(context, builder, signature, arguments):
        plane_at, start, line, size, out_at, argmax_at, place = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, plane.dtype)
        plane_at = v.at(plane_at, start)

        def pool(count):
            row = Vectors(context, builder, plane.dtype, count)
            best, winner = None, ir.Constant(ir.VectorType(_POSITION, v.lanes), None)
            for r in range(count):
                for s, value in enumerate(split(v, row.load(v.at(plane_at, v.steps(None, line, r))))):
                    if best is None:
                        best = value
                        continue
                    larger = wins(builder, value, best)
                    position = v.all_lanes(ir.Constant(_POSITION, r * count + s), _POSITION)
                    best, winner = builder.select(larger, value, best), builder.select(larger, position, winner)
            v.store([best], v.at(out_at, place))
            v.store_integers(winner, v.at(argmax_at, place))

        _for_sizes(v, size, pool)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def unpool_pixels(typingctx, dy, argmax, place, windows, size, plane, start, line):
    """Return the gradients ``dy[place]`` of a vector of windows to their pixels, from ``start``, lines ``line`` apart.

    Whole vectors are written: winners get the gradient, all others and what is past the last of ``windows``, zero.
    """
    integer = types.intp
    signature = types.void(dy, argmax, integer, integer, integer, plane, integer, integer)

    def generate(context, builder, signature, arguments):
        dy_at, argmax_at, place, windows, size, plane_at, start, line = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, dy.dtype)
        (value,) = v.choose(v.masks(windows)[0], v.load(v.at(dy_at, place)), v.zeros())
        winner = v.load_integers(v.at(argmax_at, place))

        def unpool(count):
            for r in range(count):
                taps = []
                for s in range(count):
                    position = v.all_lanes(ir.Constant(_POSITION, r * count + s), _POSITION)
                    taps += v.choose(builder.icmp_signed("==", winner, position), [value], v.zeros())
                row_at = v.at(v.at(plane_at, start), v.steps(None, line, r))
                for k, vector in enumerate(join(v, taps)):
                    v.store([vector], v.at(row_at, k * v.lanes))

        _for_sizes(v, size, unpool)
        return context.get_dummy_value()

    return signature, generate


def _for_sizes(v, size, write_code):
    """Write code for windows of each size that is served."""
    for count in UNROLLED:
        if count <= v.lanes:
            with v.builder.if_then(v.builder.icmp_signed("==", size, v.integer(count))):
                write_code(count)
