"""Products of a matrix with a few rows, written as LLVM IR: the matrix is read once, where it lies.

To pack a matrix for tiles costs as much as a dozen rows of the product; with fewer, reading it bounds the speed. Lanes
run over its columns, which are contiguous in memory.
"""

from __future__ import annotations

from contextlib import contextmanager

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INTEGER, Vectors, pointers

VECTORS = 4
"""Vectors of columns side by side: they lie in few cache lines, and their sums hide how long one addition takes."""

_PAIR = types.UniTuple(types.intp, 2)


@intrinsic
def add_rows(typingctx, weights, start, matrix, first, steps, size, onto, sums, place):
    """Add rows of a matrix with weights to sums; see ``_add_rows``."""
    return _add_rows(VECTORS, weights, matrix, sums)


@intrinsic
def add_short_rows(typingctx, weights, start, matrix, first, steps, size, onto, sums, place):
    """The same for few columns, which are taken a vector at a time; see ``_add_rows``."""
    return _add_rows(1, weights, matrix, sums)


@intrinsic
def dot_rows(typingctx, weights, start, matrix, first, step, size, sums, place):
    """Add the product of each row of a matrix with weights to a sum; see ``_dot_rows``."""
    return _dot_rows(VECTORS, weights, matrix, sums)


@intrinsic
def dot_short_rows(typingctx, weights, start, matrix, first, step, size, sums, place):
    """The same for few columns, which are taken a vector at a time; see ``_dot_rows``."""
    return _dot_rows(1, weights, matrix, sums)


def _add_rows(vectors, weights, matrix, sums):
    """Return signature and code; k runs over size[0] rows, j over size[1] columns::

        sums[place + j] += sum over k of weights[start + k * steps[0]] * matrix[first + k * steps[1] + j]

    Where ``onto`` is false, sums are written and not read.
    """
    integer = types.intp
    signature = types.void(weights, integer, matrix, integer, _PAIR, _PAIR, types.boolean, sums, integer)

    def generate(context, builder, signature, arguments):
        weights_at, start, matrix_at, first, steps, size, onto, sums_at, place = pointers(
            context, builder, signature, arguments
        )
        (weight_step, row_step), (depth, columns) = (cgutils.unpack_tuple(builder, pair) for pair in (steps, size))
        v = Vectors(context, builder, matrix.dtype, vectors)
        weights_at, matrix_at, sums_at = v.at(weights_at, start), v.at(matrix_at, first), v.at(sums_at, place)
        with _blocks(v, columns) as (column, count):

            def add(masks):
                total, block_at = v.variables(v.zeros()), v.at(matrix_at, column)
                with cgutils.for_range(builder, depth, intp=INTEGER) as row:
                    weight = v.broadcast(v.at(weights_at, builder.mul(row.index, weight_step)))
                    values = v.load(v.at(block_at, builder.mul(row.index, row_step)), masks)
                    v.set(total, v.multiply_add(weight, values, v.get(total)))
                at = v.at(sums_at, column)
                with builder.if_then(onto):
                    v.set(total, v.add(v.load(at, masks), v.get(total)))
                v.store(v.get(total), at, masks)

            v.either(count, add)
        return context.get_dummy_value()

    return signature, generate


def _dot_rows(vectors, weights, matrix, sums):
    """Return signature and code; k runs over size[0] rows, j over size[1] columns::

    sums[place + k] += sum over j of weights[start + j] * matrix[first + k * step + j]
    """
    integer = types.intp
    signature = types.void(weights, integer, matrix, integer, integer, _PAIR, sums, integer)

    def generate(context, builder, signature, arguments):
        weights_at, start, matrix_at, first, step, size, sums_at, place = pointers(
            context, builder, signature, arguments
        )
        rows, columns = cgutils.unpack_tuple(builder, size)
        v = Vectors(context, builder, matrix.dtype, vectors)
        weights_at, matrix_at, sums_at = v.at(weights_at, start), v.at(matrix_at, first), v.at(sums_at, place)
        total = v.variables()
        with cgutils.for_range(builder, rows, intp=INTEGER) as row:
            row_at, sum_at = v.at(matrix_at, builder.mul(row.index, step)), v.at(sums_at, row.index)
            v.set(total, v.zeros())
            with _blocks(v, columns) as (column, count):

                def add(masks):
                    left, right = (v.load(v.at(at, column), masks) for at in (weights_at, row_at))
                    v.set(total, v.multiply_add(left, right, v.get(total)))

                v.either(count, add)
            builder.store(builder.fadd(builder.load(sum_at), v.sum_all(v.get(total))), sum_at)
        return context.get_dummy_value()

    return signature, generate


@contextmanager
def _blocks(v, columns):
    """Yield the first column of each block of vectors, and how many it has."""
    width = v.integer(v.columns)
    with cgutils.for_range_slice(v.builder, v.integer(0), columns, width, INTEGER) as (column, _):
        left = v.builder.sub(columns, column)
        yield column, v.builder.select(v.builder.icmp_signed("<", left, width), left, width)
