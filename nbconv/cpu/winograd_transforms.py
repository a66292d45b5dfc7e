"""Winograd's transforms: convolutions of small tiles as element-wise products, written as LLVM IR.

A tile of ``outputs`` results of a filter of ``taps`` needs ``points`` = outputs + taps - 1 products instead of
outputs * taps. Data, taps and results are polynomials: their values at the points 0, +-p (for p of ``PAIRS``) and
infinity are multiplied, and the product is read off its values (Toom & Cook; Winograd, "Arithmetic complexity of
computations", 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016). In two dimensions each
transform is applied to the columns of a tile and then to its rows.

Even and odd powers are summed apart, and give the values at +p and -p by one addition and one subtraction. The points
+-3/4 and +-3/2 lie evenly around 1, which halves the rounding errors of the usual +-1 and +-2 (Barabasz et al., "Error
analysis and improving the accuracy of Winograd convolution for deep neural networks", 2020); all are exact in binary.

Lanes of a vector run over channels. Everything here is done for one vector.
"""

from __future__ import annotations

from functools import partial
from math import prod

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import Vectors, pointers

PAIRS = {4: (1.0,), 6: (0.75, 1.5)}
"""The points p, both +p and -p, of transforms of so many points."""


def transform_data(v, values):
    """Return the values at the points of the data polynomial, one number for each of ``len(values)`` pixels."""
    pairs = PAIRS[len(values)]
    even, odd = values[0::2], values[1::2]
    at_pairs = []
    for p in pairs:
        others = _polynomial(q for q in pairs if q != p)
        sums, differences = _combine(v, others, even[1:]), _combine(v, [p * c for c in others], odd[:-1])
        at_pairs += [v.builder.fadd(sums, differences), v.builder.fsub(sums, differences)]
    every = _polynomial(pairs)
    return [_combine(v, every, even), *at_pairs, _combine(v, every, odd)]


def transform_taps(v, points, values):
    """Return the values of the filter's polynomial at the points, each over what the interpolation divides by."""
    pairs = PAIRS[points]
    at_pairs = []
    for p in pairs:
        divisor = 2 * p * p * prod(p * p - q * q for q in pairs if q != p)
        powers = [p**k / divisor for k in range(len(values))]
        sums, differences = _combine(v, powers[0::2], values[0::2]), _combine(v, powers[1::2], values[1::2])
        at_pairs += [v.builder.fadd(sums, differences), v.builder.fsub(sums, differences)]
    return [_combine(v, [1 / prod(-p * p for p in pairs)], values[:1]), *at_pairs, values[-1]]


def transform_results(v, outputs, values):
    """Return ``outputs`` results from the products at the points."""
    pairs = PAIRS[len(values)]
    first, *at_pairs, last = values
    sums = [v.builder.fadd(plus, minus) for plus, minus in zip(at_pairs[0::2], at_pairs[1::2], strict=True)]
    differences = [v.builder.fsub(plus, minus) for plus, minus in zip(at_pairs[0::2], at_pairs[1::2], strict=True)]
    results = []
    for i in range(outputs):
        factors, terms = [p**i for p in pairs], list(differences if i % 2 else sums)
        if i == 0:
            factors, terms = [1.0, *factors], [first, *terms]
        if i == outputs - 1:
            factors, terms = [1.0, *factors], [last, *terms]
        results.append(_combine(v, factors, terms))
    return results


def _polynomial(roots):
    """Return the coefficients, by rising power of z, of the product of (z - root * root)."""
    coefficients = [1.0]
    for root in roots:
        shifted, scaled = [0.0, *coefficients], [*(-root * root * c for c in coefficients), 0.0]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _combine(v, factors, vectors):
    """Return the sum of products of constants and vectors."""
    plain = [vector for factor, vector in zip(factors, vectors, strict=True) if factor == 1.0]
    total = plain[0] if plain else None
    for vector in plain[1:]:
        total = v.builder.fadd(total, vector)
    for factor, vector in zip(factors, vectors, strict=True):
        if factor != 1.0:
            total = v.product(v.all_lanes(factor), vector, total)
    return total


def _both_axes(transform, tile):
    """Apply a transform to the columns of a tile (a list of rows), then to its rows."""
    columns = [transform(list(column)) for column in zip(*tile, strict=True)]
    return [transform(list(row)) for row in zip(*columns, strict=True)]


@intrinsic(prefer_literal=True)
def tile_to_points(typingctx, points, source, start, line, pixel, target, place, step, channels):
    """Transform ``points`` x ``points`` pixels (a literal number) to their values; see ``_to_points``."""
    return _to_points(points.literal_value, transform_data, [points], source, target)


@intrinsic(prefer_literal=True)
def filter_to_points(typingctx, points, taps, source, start, line, pixel, target, place, step, channels):
    """Transform ``taps`` x ``taps`` numbers to ``points`` x ``points`` values (literal numbers); see ``_to_points``."""

    def transform(v, values):
        return transform_taps(v, points.literal_value, values)

    return _to_points(taps.literal_value, transform, [points, taps], source, target)


def _to_points(size, transform, literals, source, target):
    """Return signature and code of the transform of ``size`` x ``size`` numbers to values at the points.

    Number (i, j) is read at ``start + i * line + j * pixel``; value (i, j) is written to
    ``place + (i * points + j) * step``. Only the first ``channels`` lanes are read and written.
    """
    integer = types.intp
    signature = types.void(*literals, source, integer, integer, integer, target, integer, integer, integer)

    def generate(context, builder, signature, arguments):
        source_at, start, line, pixel, target_at, place, step, channels = pointers(
            context, builder, signature, arguments
        )[len(literals) :]
        v = Vectors(context, builder, source.dtype)

        def write(masks):
            rows = [v.at(source_at, v.steps(start, line, i)) for i in range(size)]
            tile = [[v.load(v.at(row, v.steps(None, pixel, j)), masks)[0] for j in range(size)] for row in rows]
            target = v.at(target_at, place)
            values = [value for row in _both_axes(partial(transform, v), tile) for value in row]
            for k, value in enumerate(values):
                v.store([value], v.at(target, v.steps(None, step, k)), masks)

        v.either(channels, write)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def points_to_results(
    typingctx,
    points,
    outputs,
    source,
    start,
    step,
    bias,
    channel,
    out,
    place,
    line,
    pixel,
    height,
    width,
    channels,
    relu,
):
    """Transform products at ``points`` x ``points`` to ``outputs`` x ``outputs`` results (literal numbers).

    Return whether all results are finite. Product (i, j) is read at ``start + (i * points + j) * step``; to each result
    ``bias[channel]`` and so on is added, and its ReLU taken if ``relu``. Result (i, j), where i < height and j < width,
    is written to ``place + i * line + j * pixel``. Only the first ``channels`` lanes are read and written.
    """
    integer, flag = types.intp, types.boolean
    signature = flag(
        *(points, outputs, source, integer, integer, bias, integer, out, integer, integer, integer),
        *(integer, integer, integer, flag),
    )
    size, results_wanted = points.literal_value, outputs.literal_value

    def generate(context, builder, signature, arguments):
        source_at, start, step, bias_at, channel, out_at, place, line, pixel, height, width, channels, relu = pointers(
            context, builder, signature, arguments
        )[2:]
        v = Vectors(context, builder, source.dtype)
        is_finite = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 1))
        floor = v.floor(relu)

        def write(masks):
            products = v.at(source_at, start)
            tile = [
                [v.load(v.at(products, v.steps(None, step, i * size + j)), masks)[0] for j in range(size)]
                for i in range(size)
            ]
            results = _both_axes(partial(transform_results, v, results_wanted), tile)
            (added,) = v.load(v.at(bias_at, channel), masks)
            results = [[builder.fadd(value, added) for value in row] for row in results]
            builder.store(v.all_finite([value for row in results for value in row]), is_finite)
            for i, row in enumerate(results):
                with builder.if_then(builder.icmp_signed("<", v.integer(i), height)):
                    line_at = v.at(out_at, v.steps(place, line, i))
                    for j, value in enumerate(v.at_least(row, floor)):
                        with builder.if_then(builder.icmp_signed("<", v.integer(j), width)):
                            v.store([value], v.at(line_at, v.steps(None, pixel, j)), masks)

        v.either(channels, write)
        return builder.load(is_finite)

    return signature, generate
