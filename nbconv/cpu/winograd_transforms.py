"""Winograd's transforms: convolutions of small tiles as element-wise products, written as LLVM IR.

A tile of ``outputs`` results of a filter of ``taps`` needs ``points`` = outputs + taps - 1 products instead of
outputs * taps. Data, taps and results are polynomials: their values at the points 0, +-p (for p of ``PAIRS``) and
infinity are multiplied, and the product is read off its values (Toom & Cook; Winograd, "Arithmetic complexity of
computations", 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016). In two dimensions each
transform is applied to the columns of a tile and then to its rows.

Even and odd powers are summed apart, and give the values at +p and -p by one addition and one subtraction. The points
+-3/4 and +-3/2 lie evenly around 1, which halves the rounding errors of the usual +-1 and +-2 (Barabasz et al., "Error
analysis and improving the accuracy of Winograd convolution for deep neural networks", 2020); all are exact in binary.

Lanes of a vector run over channels. Everything here is done for one vector. A transform is a list of *parts*, one for
zero, each pair and infinity, each of which needs only some of the numbers.
"""

from __future__ import annotations

from functools import partial
from math import prod

from numba import types
from numba.extending import intrinsic

from .vectors import Vectors, pointers

PAIRS = {4: (1.0,), 6: (0.75, 1.5)}
"""The points p, both +p and -p, of transforms of so many points."""


def data_parts(v, points):
    """Return the transform of the data: functions from a reader of pixels to values at some of the points.

    One after the other they give all values, in the order of the points. So does each function below.
    """
    pairs = PAIRS[points]
    every, even, odd = _polynomial(pairs), range(0, points, 2), range(1, points, 2)

    def at_pair(p, read):
        others = _polynomial(q for q in pairs if q != p)
        sums = _combine(v, others, map(read, even[1:]))
        differences = _combine(v, [p * c for c in others], map(read, odd[:-1]))
        return _plus_minus(v, sums, differences)

    return [
        lambda read: [_combine(v, every, map(read, even))],
        *(partial(at_pair, p) for p in pairs),
        lambda read: [_combine(v, every, map(read, odd))],
    ]


def taps_parts(v, points, taps):
    """Return the transform of a filter of so many taps, each value over what the interpolation divides by."""
    pairs = PAIRS[points]

    def at_pair(p, read):
        divisor = 2 * p * p * prod(p * p - q * q for q in pairs if q != p)
        powers, values = [p**k / divisor for k in range(taps)], [read(k) for k in range(taps)]
        sums, differences = (_combine(v, powers[i::2], values[i::2]) for i in range(2))
        return _plus_minus(v, sums, differences)

    return [
        lambda read: [_combine(v, [1 / prod(-p * p for p in pairs)], [read(0)])],
        *(partial(at_pair, p) for p in pairs),
        lambda read: [read(taps - 1)],
    ]


def result_parts(v, points, outputs):
    """Return the transform to ``outputs`` results: pairs of some points, and of a function that adds their products.

    That takes the results so far, ``None`` at first, and the products at these points.
    """

    def at_pair(p, totals, products):
        sums, differences = _plus_minus(v, *products)
        return [_combine(v, [p**i], [differences if i % 2 else sums], total) for i, total in enumerate(totals)]

    def at_end(end, totals, products):
        return [_combine(v, [1.0], products, total) if i == end else total for i, total in enumerate(totals)]

    return [
        ((0,), partial(at_end, 0)),
        *(((2 * i + 1, 2 * i + 2), partial(at_pair, p)) for i, p in enumerate(PAIRS[points])),
        ((points - 1,), partial(at_end, outputs - 1)),
    ]


def _plus_minus(v, left, right):
    """Return the values at +p and at -p from the even and the odd powers, or the other way round."""
    return [v.builder.fadd(left, right), v.builder.fsub(left, right)]


def _polynomial(roots):
    """Return the coefficients, by rising power of z, of the product of (z - root * root)."""
    coefficients = [1.0]
    for root in roots:
        shifted, scaled = [0.0, *coefficients], [*(-root * root * c for c in coefficients), 0.0]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _combine(v, factors, vectors, total=None):
    """Return the sum of products of constants and vectors, and of ``total``."""
    terms = sorted(zip(factors, vectors, strict=True), key=lambda term: term[0] != 1.0)
    for factor, vector in terms:
        if factor != 1.0:
            total = v.product(v.all_lanes(factor), vector, total)
        else:
            total = vector if total is None else v.builder.fadd(total, vector)
    return total


def _values(parts, read):
    """Return the values at all points."""
    return [value for part in parts for value in part(read)]


@intrinsic(prefer_literal=True)
def tile_to_points(typingctx, points, source, start, line, pixel, target, place, step):
    """Transform ``points`` x ``points`` pixels (a literal number) to their values; see ``_to_points``."""
    return _to_points(points.literal_value, lambda v: data_parts(v, points.literal_value), [points], source, target)


@intrinsic(prefer_literal=True)
def filter_to_points(typingctx, points, taps, source, start, line, pixel, target, place, step):
    """Transform ``taps`` x ``taps`` numbers to ``points`` x ``points`` values (literal numbers); see ``_to_points``."""
    size = taps.literal_value
    return _to_points(size, lambda v: taps_parts(v, points.literal_value, size), [points, taps], source, target)


def _to_points(size, parts_of, literals, source, target):
    """Return signature and code of the transform of ``size`` x ``size`` numbers to values at the points.

    Number (i, j) is read at ``start + i * line + j * pixel``; value (i, j) is written to
    ``place + (i * points + j) * step``. Vectors are read and written whole.

    What is not finished stays in registers: the columns are transformed to one or two rows of values at a time, and
    those rows at once. To read some numbers again costs less than to keep all of them.
    """
    integer = types.intp
    signature = types.void(*literals, source, integer, integer, integer, target, integer, integer)

    def generate(context, builder, signature, arguments):
        source_at, start, line, pixel, target_at, place, step = pointers(context, builder, signature, arguments)[
            len(literals) :
        ]
        v = Vectors(context, builder, source.dtype)
        lines = [v.at(source_at, v.steps(start, line, i)) for i in range(size)]
        target, written = v.at(target_at, place), 0

        def read(j, i):
            return v.load(v.at(lines[i], v.steps(None, pixel, j)))[0]

        parts = parts_of(v)
        for part in parts:
            columns = [part(partial(read, j)) for j in range(size)]
            for row in zip(*columns, strict=True):
                for value in _values(parts, row.__getitem__):
                    v.store([value], v.at(target, v.steps(None, step, written)))
                    written += 1
            v.barrier()
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
    is written to ``place + i * line + j * pixel``. Only the first ``channels`` lanes count, and are written.
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
        products, masks = v.at(source_at, start), v.masks(channels)
        parts = result_parts(v, size, results_wanted)

        def row_of_results(i):
            totals = [None] * results_wanted
            for points, add in parts:
                totals = add(totals, [v.load(v.at(products, v.steps(None, step, i * size + j)))[0] for j in points])
            return totals

        columns = [[None] * results_wanted for _ in range(results_wanted)]
        for points, add in parts:
            rows = [row_of_results(i) for i in points]
            columns = [add(totals, [row[j] for row in rows]) for j, totals in enumerate(columns)]
            v.barrier()

        (added,) = v.load(v.at(bias_at, channel), masks)
        results = [[builder.fadd(value, added) for value in row] for row in zip(*columns, strict=True)]
        is_finite = v.all_finite([value for row in results for value in row], masks)
        floor = v.floor(relu)
        results = [v.at_least(row, floor) for row in results]
        lines = [v.at(out_at, v.steps(place, line, i)) for i in range(results_wanted)]

        def write(i, j, masks=None):
            v.store([results[i][j]], v.at(lines[i], v.steps(None, pixel, j)), masks)

        wanted = ((height, results_wanted), (width, results_wanted), (channels, v.lanes))
        is_whole = [builder.icmp_signed("==", number, v.integer(whole)) for number, whole in wanted]
        with builder.if_else(builder.and_(is_whole[0], builder.and_(*is_whole[1:]))) as (whole, partial_tile):
            with whole:
                for i in range(results_wanted):
                    for j in range(results_wanted):
                        write(i, j)
            with partial_tile:
                for i in range(results_wanted):
                    with builder.if_then(builder.icmp_signed("<", v.integer(i), height)):
                        for j in range(results_wanted):
                            with builder.if_then(builder.icmp_signed("<", v.integer(j), width)):
                                write(i, j, masks)
        return is_finite

    return signature, generate
