"""Softmax of rows of numbers, its logarithm, and the gradients of both.

Each is written once, for two ways to lay vectors: *along* one row, a vector of neighbours at a time, or *across* as
many rows as a vector has lanes, a column at a time. Columns cost more to read and write; but sums and maxima of short
rows cost more along them, where whole vectors come down to one number.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import exact_helper
from .exponential import each_vector, exponential
from .logarithm import logarithm
from .vectors import Vectors, constant, like, pointers

FEW, VERY_FEW = 24, 6
"""The longest rows that are taken across, forward and backward, where there is less to compute for what is moved."""


@intrinsic
def softmax_row(typingctx, x, start, count, out):
    """Write exp(x) / sum(exp(x)) of ``count`` numbers from ``start``; return the largest, and sum(exp(x - largest)).

    With NaN or an infinite largest number among them, the sum and all results are NaN.
    """
    signature = types.UniTuple(types.float64, 2)(x, types.intp, types.intp, out)

    def generate(context, builder, signature, arguments):
        x_at, start, count, out_at = pointers(context, builder, signature, arguments)
        rows = _Along(Vectors(context, builder, x.dtype), start, count)
        peak, total = _write_softmax(rows, x_at, out_at)
        return context.make_tuple(builder, signature.return_type, [_in_format(builder, peak, ir.DoubleType()), total])

    return signature, generate


@intrinsic
def softmax_rows(typingctx, x, out, start, classes, rows):
    """Write exp(x) / sum(exp(x)) of each of ``rows`` rows that lie one behind the other from ``start``."""
    return types.void(x, out, *[types.intp] * 3), _by_rows(_write_softmax, FEW)


@exact_helper
def log_softmax_rows(x, out, start, classes, rows):
    """Write x - log(sum(exp(x))) of each row; the largest x is taken away before the logarithm is."""
    _log_softmax_rows(x, out, start, classes, rows)


@intrinsic
def _log_softmax_rows(typingctx, x, out, start, classes, rows):
    return types.void(x, out, *[types.intp] * 3), _by_rows(_write_log_softmax, FEW)


@intrinsic
def softmax_gradient_rows(typingctx, dy, p, dx, start, classes, rows):
    """Write p * (dy - sum(dy * p)) of each row."""
    return types.void(dy, p, dx, *[types.intp] * 3), _by_rows(_write_softmax_gradient, VERY_FEW)


@intrinsic
def log_softmax_gradient_rows(typingctx, dy, out, dx, start, classes, rows):
    """Write dy - exp(out) * sum(dy) of each row."""
    return types.void(dy, out, dx, *[types.intp] * 3), _by_rows(_write_log_softmax_gradient, VERY_FEW)


def _by_rows(write, few):
    """Return the code of an intrinsic that does ``write(rows, *arrays)``: across rows of up to ``few``, else along."""

    def generate(context, builder, signature, arguments):
        *arrays, start, classes, count = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, signature.args[0].dtype)
        are_few = builder.icmp_signed("<=", classes, v.integer(few))
        across = builder.select(are_few, builder.and_(count, v.integer(-v.lanes)), v.integer(0))
        for layout, first, end, step in (_Across, v.integer(0), across, v.lanes), (_Along, across, count, 1):
            with cgutils.for_range_slice(builder, first, end, v.integer(step)) as (row, _):
                write(layout(v, builder.add(start, builder.mul(row, classes)), classes), *arrays)
        return context.get_dummy_value()

    return generate


class _Along:
    """One row: vectors are neighbours in it, and what the row has in common is one number."""

    def __init__(self, v, start, count):
        self.v, self._start, self._count = v, start, count

    def each(self):
        """Write a loop over the row; give the place of each vector, and masks."""
        for index, masks in each_vector(self.v, self._count):
            yield self.v.builder.add(self._start, index), masks

    def fetch(self, pointer):
        """Return what ``load`` reads: the row is read where it lies."""
        return pointer

    def draft(self, fetched, pointer):
        """Return where ``keep`` may write: the row's place in the result."""
        return pointer

    def load(self, pointer, place, masks):
        return self.v.load(self.v.at(pointer, place), masks)[0]

    def keep(self, vector, pointer, place, masks):
        self.v.store([vector], self.v.at(pointer, place), masks)

    store = keep

    def fold(self, vector, combine):
        """Return what each row has in common: its largest number, or its sum."""
        return self.v.fold(vector, combine)

    def spread(self, number):
        """Return what each row has in common for every number of a vector."""
        element = self.v.type.element
        return self.v.all_lanes(_in_format(self.v.builder, number, element), element)


class _Across:
    """As many rows as a vector has lanes: vectors are columns, and what the rows have in common fills a vector."""

    def __init__(self, v, start, count):
        self.v, self._start, self._count = v, start, count

    def each(self):
        """Write a loop over the columns; give the number of each."""
        with cgutils.for_range(self.v.builder, self._count) as loop:
            yield loop.index, None

    def fetch(self, pointer):
        """Return what ``load`` reads: a copy, column by column."""
        b = self.v.builder
        columns = b.bitcast(cgutils.alloca_once(b, ir.ArrayType(self.v.type, FEW)), self.v.type.as_pointer())
        for column, masks in self.each():
            vector = ir.Constant(self.v.type, ir.Undefined)
            for lane in range(self.v.lanes):
                vector = b.insert_element(vector, b.load(self._number(pointer, column, lane)), _lane(lane))
            self.keep(vector, columns, column, masks)
        return columns

    def draft(self, fetched, pointer):
        """Return where ``keep`` may write: over what was fetched."""
        return fetched

    def load(self, columns, column, masks):
        return self.v.builder.load(self.v.builder.gep(columns, [column]))

    def keep(self, vector, columns, column, masks):
        self.v.builder.store(vector, self.v.builder.gep(columns, [column]))

    def store(self, vector, pointer, column, masks):
        for lane in range(self.v.lanes):
            number = self.v.builder.extract_element(vector, _lane(lane))
            self.v.builder.store(number, self._number(pointer, column, lane))

    def fold(self, vector, combine):
        """Return what each row has in common, which is here already."""
        return vector

    def spread(self, numbers):
        """Return what each row has in common for every number of a vector."""
        return _in_format(self.v.builder, numbers, self.v.type.element)

    def _number(self, pointer, column, lane):
        return self.v.at(pointer, self.v.steps(self.v.builder.add(self._start, column), self._count, lane))


def _write_softmax(rows, x_at, out_at):
    """Return the largest number of each row, and the sum of its exponentials."""
    v, b = rows.v, rows.v.builder
    x = rows.fetch(x_at)
    powers = rows.draft(x, out_at)
    peak = _peak(rows, x)
    peaks = rows.spread(peak)

    def power(*place):
        value = exponential(v, b.fsub(rows.load(x, *place), peaks))
        rows.keep(value, powers, *place)
        return value

    total = _sum(rows, power)
    shares = rows.spread(b.fdiv(constant(total.type, 1.0), total))
    for place in rows.each():
        rows.store(b.fmul(rows.load(powers, *place), shares), out_at, *place)
    return peak, total


def _write_log_softmax(rows, x_at, out_at):
    v, b = rows.v, rows.v.builder
    x = rows.fetch(x_at)
    peaks = rows.spread(_peak(rows, x))
    total = _sum(rows, lambda *place: exponential(v, b.fsub(rows.load(x, *place), peaks)))
    logarithms = rows.spread(logarithm(b, total))
    for place in rows.each():
        rows.store(b.fsub(b.fsub(rows.load(x, *place), peaks), logarithms), out_at, *place)


def _write_softmax_gradient(rows, dy_at, p_at, dx_at):
    b = rows.v.builder
    dy, p = rows.fetch(dy_at), rows.fetch(p_at)
    totals = rows.spread(_sum(rows, lambda *place: b.fmul(rows.load(dy, *place), rows.load(p, *place))))
    for place in rows.each():
        difference = b.fsub(rows.load(dy, *place), totals)
        rows.store(b.fmul(rows.load(p, *place), difference), dx_at, *place)


def _write_log_softmax_gradient(rows, dy_at, out_at, dx_at):
    v, b = rows.v, rows.v.builder
    dy, out = rows.fetch(dy_at), rows.fetch(out_at)
    totals = rows.spread(_sum(rows, lambda *place: rows.load(dy, *place)))
    for place in rows.each():
        p = exponential(v, rows.load(out, *place))
        rows.store(b.fsub(rows.load(dy, *place), b.fmul(p, totals)), dx_at, *place)


def _peak(rows, x):
    """Return the largest number of each row; where one is NaN, any."""
    v, b = rows.v, rows.v.builder
    lowest = v.all_lanes(float("-inf"))
    (peak,) = v.variables([lowest])
    for place, masks in rows.each():
        value = _where(b, masks, rows.load(x, place, masks), lowest)
        b.store(_larger(b, value, b.load(peak)), peak)
    return rows.fold(b.load(peak), lambda left, right: _larger(b, left, right))


def _sum(rows, term):
    """Return the sum of each row in double precision, of ``term(place, masks)``."""
    v, b = rows.v, rows.v.builder
    zeros = constant(ir.VectorType(ir.DoubleType(), v.lanes), 0.0)
    total = cgutils.alloca_once_value(b, zeros)
    for place, masks in rows.each():
        (value,) = v.widen([term(place, masks)])
        b.store(b.fadd(b.load(total), _where(b, masks, value, zeros)), total)
    return rows.fold(b.load(total), b.fadd)


def _where(builder, masks, vector, otherwise):
    return builder.select(masks[0], vector, otherwise) if masks else vector


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _in_format(builder, number, element):
    """Return a number, or a vector, in single or double precision."""
    kind = like(number.type, element)
    if number.type == kind:
        return number
    return builder.fpext(number, kind) if element == ir.DoubleType() else builder.fptrunc(number, kind)


def _lane(number):
    return ir.Constant(ir.IntType(32), number)
