"""The natural logarithm of numbers in double precision, one or a vector of them.

log(2^e * m) = e * ln 2 + log(m) with m between sqrt(1/2) and sqrt(2). There log(m) = 2 * artanh(s), where s is
(m - 1) / (m + 1), and few terms of the series s + s^3 / 3 + s^5 / 5 + ... do.
"""

from __future__ import annotations

from llvmlite import ir

from .exponential import LN_2
from .vectors import constant, like

DIGITS = 52
TERMS = 11
"""So many that what is left out is less than a tenth of a unit in the last place: |s| is less than 0.172."""

LN_2_HIGH = int(LN_2 * 2**40) / 2**40
LN_2_LOW = float(LN_2) - LN_2_HIGH
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


def logarithm(builder, x):
    """Write code for log x of positive normal numbers, which may be NaN too; its error is about one unit.

    The caller must be compiled as an ``exact_helper``, so that no sum is regrouped.
    """
    b, kind = builder, x.type
    integers, small = like(kind, ir.IntType(64)), like(kind, ir.IntType(32))
    bits, digits, least = b.bitcast(x, integers), constant(integers, DIGITS), constant(integers, SQRT_HALF_BITS)
    exponent = b.ashr(b.sub(bits, least), digits)
    m = b.bitcast(b.sub(bits, b.shl(exponent, digits)), kind)
    e = b.sitofp(b.trunc(exponent, small), kind)
    f = b.fsub(m, constant(kind, 1.0))
    s = b.fdiv(f, b.fadd(f, constant(kind, 2.0)))
    squared = b.fmul(s, s)
    series = constant(kind, 2 / (2 * TERMS - 1))
    for k in reversed(range(1, TERMS - 1)):
        series = b.fadd(b.fmul(series, squared), constant(kind, 2 / (2 * k + 1)))
    rest = b.fadd(b.fmul(b.fmul(series, squared), s), b.fmul(e, constant(kind, LN_2_LOW)))
    result = b.fadd(b.fmul(e, constant(kind, LN_2_HIGH)), b.fadd(b.fadd(s, s), rest))
    return b.select(b.fcmp_ordered("ord", x, x), result, x)
