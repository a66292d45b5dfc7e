"""Sigmoid and tanh: functions that go from one limit to another, by exponentials of numbers that are not positive.

With e = exp(-|x|), sigmoid(x) is 1 / (1 + e) or e / (1 + e), by the sign of x. With m = exp(-2 |x|) - 1, tanh(|x|) is
-m / (2 + m): no digit is lost where x is small.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .compile import exact_helper
from .exponential import each_vector, exponential, exponential_minus_one, format_of
from .vectors import Vectors, constant, pointers


@exact_helper
def write_sigmoid(x, start, count, out):
    """Write the sigmoid of ``count`` numbers from ``start``."""
    _sigmoid(x, start, count, out)


@exact_helper
def write_tanh(x, start, count, out):
    """Write the hyperbolic tangent of ``count`` numbers from ``start``."""
    _tanh(x, start, count, out)


@intrinsic
def _sigmoid(typingctx, x, start, count, out):
    def sigmoid(v, vector):
        b, one = v.builder, v.all_lanes(1.0)
        power = exponential(v, _minus_absolute(v, vector))
        above = b.select(b.fcmp_ordered(">=", vector, v.all_lanes(0.0)), one, power)
        return b.fdiv(above, b.fadd(one, power))

    return types.void(x, types.intp, types.intp, out), _mapping(sigmoid)


@intrinsic
def _tanh(typingctx, x, start, count, out):
    def tanh(v, vector):
        b, two = v.builder, v.all_lanes(2.0)
        minus = exponential_minus_one(v, b.fmul(_minus_absolute(v, vector), two))
        return _with_sign(v, b.fdiv(minus, b.fadd(two, minus)), vector)

    return types.void(x, types.intp, types.intp, out), _mapping(tanh)


def _mapping(function):
    """Return the code of an intrinsic that writes ``function(v, vector)`` of ``count`` numbers from ``start``."""

    def generate(context, builder, signature, arguments):
        x_at, start, count, out_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, signature.args[0].dtype)
        for index, masks in each_vector(v, count):
            place = builder.add(start, index)
            result = function(v, v.load(v.at(x_at, place), masks)[0])
            v.store([result], v.at(out_at, place), masks)
        return context.get_dummy_value()

    return generate


def _sign_bits(v):
    """Return the bits that hold the signs of a vector."""
    _, integers = format_of(v)
    return constant(integers, 1 << (integers.element.width - 1))


def _minus_absolute(v, vector):
    signs = _sign_bits(v)
    return v.builder.bitcast(v.builder.or_(v.builder.bitcast(vector, signs.type), signs), v.type)


def _with_sign(v, vector, signed):
    """Return a vector with the signs of another."""
    b, signs = v.builder, _sign_bits(v)
    size = b.and_(b.bitcast(vector, signs.type), b.not_(signs))
    return b.bitcast(b.or_(size, b.and_(b.bitcast(signed, signs.type), signs)), v.type)
