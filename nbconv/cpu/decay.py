"""What the binary cross entropy needs of exp(-abs(x)): itself, and log(1 + exp(-abs(x)))."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .exponential import each_vector, exponential
from .vectors import Vectors, pointers


@intrinsic
def decay_row(typingctx, x, start, count, out):
    """Write exp(-abs(x)) of ``count`` numbers from ``start``; return the sum of log(1 + exp(-abs(x)))."""
    signature = types.float64(x, types.intp, types.intp, out)

    def generate(context, builder, signature, arguments):
        x_at, start, count, out_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, x.dtype)
        wide = ir.VectorType(ir.DoubleType(), v.lanes)
        total = cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * v.lanes))
        for index, masks in each_vector(v, count):
            place = builder.add(start, index)
            value = v.load(v.at(x_at, place), masks)[0]
            negative = builder.fcmp_ordered("<", value, v.all_lanes(0.0))
            power = exponential(v, builder.select(negative, value, builder.fneg(value)))
            v.store([power], v.at(out_at, place), masks)
            power = builder.select(masks[0], power, v.all_lanes(0.0)) if masks else power
            power = power if v.type == wide else builder.fpext(power, wide)
            builder.store(builder.fadd(builder.load(total), _log_1_plus(builder, power)), total)
        return v.fold(builder.load(total), builder.fadd)

    return signature, generate


def _log_1_plus(builder, e):
    """Write code for log(1 + e) of a vector of numbers from 0 to 1 in 64 bits, exact to the last digits for small ones.

    It is twice the inverse hyperbolic tangent of s = e / (2 + e), the series s + s^3 / 3 + s^5 / 5 ...; s is at most a
    third, so that behind the 33rd power there is nothing to add.
    """
    lanes = e.type.count

    def constant(number):
        return ir.Constant(e.type, [number] * lanes)

    s = builder.fdiv(e, builder.fadd(e, constant(2.0)))
    square, total = builder.fmul(s, s), constant(2 / 33)
    for power in range(31, 0, -2):
        total = builder.fadd(builder.fmul(total, square), constant(2 / power))
    return builder.fmul(total, s)
