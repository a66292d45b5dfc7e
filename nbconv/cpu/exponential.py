"""The exponential function of vectors, of a row of numbers, and the softmax of one.

exp(x) = 2^n * exp(r) with n the integer next to x / ln 2, so that |r| <= ln 2 / 2, where few terms of Taylor's series
do. ln 2 is the sum of two numbers, of which n times the first is exact.
"""

from __future__ import annotations

from decimal import Decimal
from math import factorial
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import Vectors, pointers

LN_2 = Decimal("0.69314718055994530941723212145817656807550013436026")


class Format(NamedTuple):
    """What the arithmetic depends on of a floating-point format."""

    digits: int
    """Binary digits of the mantissa that are stored."""
    bias: int
    terms: int
    """Degree of the polynomial, so that what it leaves out is less than a tenth of a unit in the last place."""
    least: float
    most: float
    """Numbers that are less or more have the exponential 0 or infinity."""


FORMATS = {32: Format(23, 127, 7, -150.0, 130.0), 64: Format(52, 1023, 13, -760.0, 720.0)}


def exponential(v: Vectors, vector):
    """Write code for exp of a vector; its error is less than one unit in the last place, a little more without fma.

    exp(-inf) is 0, exp(inf) is infinite, exp(NaN) is NaN; small results are rounded to subnormal numbers.
    """
    builder, width = v.builder, 64 if v.type.element == ir.DoubleType() else 32
    form, integers = FORMATS[width], ir.VectorType(ir.IntType(width), v.lanes)
    high, low = _ln_2(form, np.dtype(f"float{width}"))
    for limit, outside in (form.least, "<"), (form.most, ">"):
        limit = v.all_lanes(limit)
        vector = builder.select(builder.fcmp_ordered(outside, vector, limit), limit, vector)
    n = _nearest_integer(v, builder.fmul(vector, v.all_lanes(float(1 / LN_2))))
    multiple = [builder.sitofp(n, v.type)]
    rest = v.multiply_add(multiple, [v.all_lanes(-high)], [vector])
    rest = v.multiply_add(multiple, [v.all_lanes(-low)], rest)
    total = [v.all_lanes(1 / factorial(form.terms))]
    for power in reversed(range(form.terms)):
        total = v.multiply_add(total, rest, [v.all_lanes(1 / factorial(power))])
    n = n if n.type == integers else builder.sext(n, integers)
    # 2^n itself could be too small or too large: half of n is added to the exponent, a factor does the rest
    digits, half = ir.Constant(integers, [form.digits] * v.lanes), builder.ashr(n, ir.Constant(integers, [1] * v.lanes))
    total = builder.add(builder.bitcast(total[0], integers), builder.shl(half, digits))
    biased = builder.add(builder.sub(n, half), ir.Constant(integers, [form.bias] * v.lanes))
    return builder.fmul(builder.bitcast(total, v.type), builder.bitcast(builder.shl(biased, digits), v.type))


def _nearest_integer(v, vector):
    """Return the integers next to numbers, in 32 bits; of NaN, any.

    To add and subtract 2^23 would be quicker, but a compiler that may regroup sums takes it away.
    """
    builder, zero = v.builder, v.all_lanes(0.0)
    half = builder.select(builder.fcmp_ordered("<", vector, zero), v.all_lanes(-0.5), v.all_lanes(0.5))
    number = builder.select(builder.fcmp_ordered("ord", vector, vector), builder.fadd(vector, half), zero)
    return builder.fptosi(number, ir.VectorType(ir.IntType(32), v.lanes))


def _ln_2(form: Format, dtype):
    """Return ln 2 as the sum of a number with few digits and a rest."""
    kept = form.digits - 11
    high = int(LN_2 * 2**kept) / 2**kept
    return high, float(dtype.type(float(LN_2 - Decimal(high))))


@intrinsic
def softmax_row(typingctx, x, start, count, out):
    """Write exp(x) / sum(exp(x)) of ``count`` numbers from ``start``; return the largest, and sum(exp(x - largest)).

    With NaN or an infinite largest number among them, the sum and all results are NaN.
    """
    signature = types.UniTuple(types.float64, 2)(x, types.intp, types.intp, out)

    def generate(context, builder, signature, arguments):
        x_at, start, count, out_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, x.dtype)
        lowest, double = v.all_lanes(float("-inf")), ir.DoubleType()
        wide = ir.VectorType(double, v.lanes)

        def widened(vector):
            return vector if v.type == wide else builder.fpext(vector, wide)

        (largest,) = v.variables([lowest])
        for index, masks in _each_vector(v, count):
            value = v.load(v.at(x_at, builder.add(start, index)), masks)[0]
            value = builder.select(masks[0], value, lowest) if masks else value
            builder.store(_larger(builder, value, builder.load(largest)), largest)
        peak = v.fold(builder.load(largest), lambda a, b: _larger(builder, a, b))
        peaks = v.all_lanes(peak, v.type.element)

        total = cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * v.lanes))
        for index, masks in _each_vector(v, count):
            place = builder.add(start, index)
            power = exponential(v, builder.fsub(v.load(v.at(x_at, place), masks)[0], peaks))
            v.store([power], v.at(out_at, place), masks)
            power = builder.select(masks[0], power, v.all_lanes(0.0)) if masks else power
            builder.store(builder.fadd(builder.load(total), widened(power)), total)
        total = v.fold(builder.load(total), builder.fadd)

        share = builder.fdiv(ir.Constant(double, 1.0), total)
        shares = v.all_lanes(share if v.type == wide else builder.fptrunc(share, v.type.element), v.type.element)
        for index, masks in _each_vector(v, count):
            place = v.at(out_at, builder.add(start, index))
            v.store(v.multiply(v.load(place, masks), [shares]), place, masks)
        peak = peak if v.type == wide else builder.fpext(peak, double)
        return context.make_tuple(builder, signature.return_type, [peak, total])

    return signature, generate


@intrinsic
def decay_row(typingctx, x, start, count, out):
    """Write exp(-abs(x)) of ``count`` numbers from ``start``; return the sum of log(1 + exp(-abs(x)))."""
    signature = types.float64(x, types.intp, types.intp, out)

    def generate(context, builder, signature, arguments):
        x_at, start, count, out_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, x.dtype)
        wide = ir.VectorType(ir.DoubleType(), v.lanes)
        total = cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * v.lanes))
        for index, masks in _each_vector(v, count):
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


def _each_vector(v, count):
    """Write a loop over whole vectors, and once more for the rest; give the index of the first number, and masks."""
    builder = v.builder
    whole = builder.and_(count, v.integer(-v.lanes))
    with cgutils.for_range_slice(builder, v.integer(0), whole, v.integer(v.lanes)) as (index, _):
        yield index, None
    with builder.if_then(builder.icmp_signed("<", whole, count)):
        yield whole, v.masks(builder.sub(count, whole))


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)
