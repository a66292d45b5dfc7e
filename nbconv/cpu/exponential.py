"""The exponential function of vectors.

exp(x) = 2^n * exp(r) with n the integer next to x / ln 2, so that |r| <= ln 2 / 2, where few terms of Taylor's series
do. ln 2 is the sum of two numbers, of which n times the first is exact.
"""

from __future__ import annotations

from decimal import Decimal
from math import factorial
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .vectors import Vectors

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
    builder, (form, integers) = v.builder, format_of(v)
    n, rest = _reduced(v, vector, form.least, form.most)
    total = _taylor(v, rest, 0)
    # 2^n itself could be too small or too large: half of n is added to the exponent, a factor does the rest
    digits, half = ir.Constant(integers, [form.digits] * v.lanes), builder.ashr(n, ir.Constant(integers, [1] * v.lanes))
    total = builder.add(builder.bitcast(total[0], integers), builder.shl(half, digits))
    biased = builder.add(builder.sub(n, half), ir.Constant(integers, [form.bias] * v.lanes))
    return builder.fmul(builder.bitcast(total, v.type), builder.bitcast(builder.shl(biased, digits), v.type))


def exponential_minus_one(v: Vectors, vector):
    """Write code for exp(x) - 1 of a vector of numbers that are not positive; small x keep all their digits.

    It is 2^n * (exp(r) - 1) + (2^n - 1). The caller must be compiled as an ``exact_helper``: regrouped, these sums lose
    what they are for.
    """
    builder, (form, integers) = v.builder, format_of(v)
    n, rest = _reduced(v, vector, -2.0 * form.digits, 0.0)
    less_one = v.multiply_add(_taylor(v, rest, 2), v.multiply(rest, rest), rest)
    bias, digits = (ir.Constant(integers, [number] * v.lanes) for number in (form.bias, form.digits))
    power = builder.bitcast(builder.shl(builder.add(n, bias), digits), v.type)
    return v.multiply_add([power], less_one, [builder.fsub(power, v.all_lanes(1.0))])[0]


def format_of(v):
    """Return the format of a vector's numbers, and the vector of integers of their width."""
    width = 64 if v.type.element == ir.DoubleType() else 32
    return FORMATS[width], ir.VectorType(ir.IntType(width), v.lanes)


def _reduced(v, vector, least, most):
    """Return n and [r] of x = n * ln 2 + r, for x brought between ``least`` and ``most``; NaN is in r."""
    builder, (form, integers) = v.builder, format_of(v)
    high, low = _ln_2(form, np.dtype(f"float{integers.element.width}"))
    for limit, outside in (least, "<"), (most, ">"):
        limit = v.all_lanes(limit)
        vector = builder.select(builder.fcmp_ordered(outside, vector, limit), limit, vector)
    n = _nearest_integer(v, builder.fmul(vector, v.all_lanes(float(1 / LN_2))))
    multiple = [builder.sitofp(n, v.type)]
    rest = v.multiply_add(multiple, [v.all_lanes(-high)], [vector])
    rest = v.multiply_add(multiple, [v.all_lanes(-low)], rest)
    return n if n.type == integers else builder.sext(n, integers), rest


def _taylor(v, rest, first):
    """Return what the terms of Taylor's series from ``first`` on add up to, divided by r to the power ``first``."""
    terms = format_of(v)[0].terms
    total = [v.all_lanes(1 / factorial(terms))]
    for power in reversed(range(first, terms)):
        total = v.multiply_add(total, rest, [v.all_lanes(1 / factorial(power))])
    return total


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


def each_vector(v, count):
    """Write a loop over whole vectors, and once more for the rest; give the index of the first number, and masks."""
    builder = v.builder
    whole = builder.and_(count, v.integer(-v.lanes))
    with cgutils.for_range_slice(builder, v.integer(0), whole, v.integer(v.lanes)) as (index, _):
        yield index, None
    with builder.if_then(builder.icmp_signed("<", whole, count)):
        yield whole, v.masks(builder.sub(count, whole))
