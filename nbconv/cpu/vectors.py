"""A writer of vector instructions in LLVM's intermediate language, for the intrinsics of this package."""

from __future__ import annotations

import platform
from functools import reduce

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .vector import HAS_FMA, VECTOR_BITS, lanes

INTEGER = ir.IntType(64)

_ARM = platform.machine() in ("arm64", "aarch64")
REGISTERS = 32 if VECTOR_BITS == 512 or _ARM else 16
"""How many vectors the processor has room for."""

_REGISTER = "w" if _ARM else "v" if VECTOR_BITS == 512 else "x"
"""What the compiler's assembly syntax calls a register that holds a vector."""


def pointers(context, builder, signature, arguments):
    """Return the arguments of an intrinsic with each array replaced by the address of its first element."""
    return [
        context.make_array(kind)(context, builder, argument).data if isinstance(kind, types.Array) else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]


class Vectors:
    """Writes instructions on *rows*: ``count`` vectors of floating-point numbers that lie side by side in memory.

    A row is a list of vectors. Masks are a list too, and tell which lanes of each vector count.
    """

    def __init__(self, context, builder, dtype, count=1, *, parts=1):
        self.builder = builder
        self.lanes = lanes(str(dtype)) // parts
        self.count = count
        self.columns = self.lanes * count
        self.type = ir.VectorType(context.get_value_type(dtype), self.lanes)
        self._fma = f"llvm.{'fma' if HAS_FMA else 'fmuladd'}.v{self.lanes}f{dtype.bitwidth}"

    # Addresses and numbers

    def integer(self, value):
        """Return a number as an integer constant."""
        return ir.Constant(INTEGER, value)

    def at(self, pointer, offset):
        """Return the address of the element at ``offset``."""
        return self.builder.gep(pointer, [self.integer(offset) if isinstance(offset, int) else offset])

    def steps(self, start, step, count):
        """Return the offset ``start + count * step``."""
        offset = self.builder.mul(step, self.integer(count))
        return offset if start is None else self.builder.add(start, offset)

    def element(self, pointer, offset):
        """Return the element at ``offset``."""
        return self.builder.load(self.at(pointer, offset))

    def all_lanes(self, number, element=None):
        """Return a vector with a number in every lane: a Python number, or a value and its type."""
        if element is None:
            return ir.Constant(self.type, [number] * self.lanes)
        b, kind = self.builder, ir.VectorType(element, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = b.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    # Memory

    def masks(self, columns):
        """Return which lanes of a row lie before ``columns``."""
        integer = INTEGER if isinstance(self.type.element, ir.DoubleType) else ir.IntType(32)
        numbers = ir.VectorType(integer, self.lanes)
        limit = self.all_lanes(columns if integer == INTEGER else self.builder.trunc(columns, integer), integer)
        starts = range(0, self.columns, self.lanes)
        return [
            self.builder.icmp_signed("<", ir.Constant(numbers, list(range(start, start + self.lanes))), limit)
            for start in starts
        ]

    def either(self, columns, write_code):
        """Write code that reads with masks for ``columns`` of a row, and again without them for a whole row.

        Where masks have registers of their own, reading with them costs nothing, and one version will do.
        """
        if VECTOR_BITS == 512:
            write_code(self.masks(columns))
        else:
            self.whole_or_part(columns, write_code)

    def whole_or_part(self, columns, write_code):
        """Write both versions on every processor, of code that is short and writes much."""
        masks = self.masks(columns)
        whole_row = self.builder.icmp_signed("==", columns, self.integer(self.columns))
        with self.builder.if_else(whole_row) as (whole, partial):
            with whole:
                write_code(None)
            with partial:
                write_code(masks)

    def load(self, pointer, masks=None):
        """Read a row; lanes outside of the masks are not read, and are zero."""
        addresses = [self.at(pointer, j * self.lanes) for j in range(self.count)]
        masks = masks or [None] * self.count
        return [self._load(address, self.type, mask) for address, mask in zip(addresses, masks, strict=True)]

    def store(self, row, pointer, masks=None):
        """Write a row; lanes outside of the masks are left alone."""
        for j, (vector, mask) in enumerate(zip(row, masks or [None] * self.count, strict=True)):
            self._store(vector, self.at(pointer, j * self.lanes), mask)

    def load_integers(self, pointer, masks=None):
        """Read a vector of unsigned integers, whatever their width, as 32 bits."""
        kind = ir.VectorType(pointer.type.pointee, self.lanes)
        return self._resize(self._load(pointer, kind, masks[0] if masks else None), 32)

    def store_integers(self, vector, pointer, masks=None):
        """Write a vector of integers in the width of those that are there."""
        self._store(self._resize(vector, pointer.type.pointee.width), pointer, masks[0] if masks else None)

    def broadcast(self, pointer):
        """Read one number into all lanes of a row."""
        return [self.all_lanes(self.builder.load(pointer), self.type.element)] * self.count

    def prefetch(self, pointer):
        """Ask for what lies at an address, which need not exist, to be brought into the first cache."""
        kind, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = self._declare("llvm.prefetch.p0", ir.VoidType(), [kind, flag, flag, flag])
        read, often, data = (ir.Constant(flag, number) for number in (0, 3, 1))
        self.builder.call(prefetch, [self.builder.bitcast(pointer, kind), read, often, data])

    # Variables

    def variables(self, row=None):
        """Return variables for a row, with values or without; the compiler keeps them in registers."""
        if row is None:
            return [cgutils.alloca_once(self.builder, self.type) for _ in range(self.count)]
        return [cgutils.alloca_once_value(self.builder, vector) for vector in row]

    def get(self, variables):
        """Return the present values."""
        return [self.builder.load(variable) for variable in variables]

    def set(self, variables, row):
        """Give new values."""
        for variable, vector in zip(variables, row, strict=True):
            self.builder.store(vector, variable)

    # Arithmetic

    def zeros(self):
        return [self.all_lanes(0.0)] * self.count

    def add(self, left, right):
        return [self.builder.fadd(a, b) for a, b in zip(left, right, strict=True)]

    def product(self, left, right, addend=None):
        """Return ``left * right``, or ``left * right + addend``, of vectors."""
        if addend is None:
            return self.builder.fmul(left, right)
        fma = self._declare(self._fma, self.type, [self.type] * 3)
        return self.builder.call(fma, [left, right, addend])

    def all_finite(self, vectors, masks):
        """Return whether no number in any of the vectors is infinite or NaN: each times zero is zero.

        Lanes outside of the masks do not count.
        """
        zero = self.all_lanes(0.0)
        totals = [zero] * min(4, len(vectors))
        for i, vector in enumerate(vectors):
            totals[i % len(totals)] = self.product(vector, zero, totals[i % len(totals)])
        total = reduce(self.builder.fadd, totals)
        is_zero = self.builder.fcmp_ordered("==", self.builder.select(masks[0], total, zero), zero)
        everywhere = self.builder.bitcast(is_zero, ir.IntType(self.lanes))
        return self.builder.icmp_signed("==", everywhere, ir.Constant(everywhere.type, -1))

    def choose(self, condition, yes, no):
        return [self.builder.select(condition, a, b) for a, b in zip(yes, no, strict=True)]

    def at_least(self, row, floor):
        """Replace what is below the vector ``floor``; NaN is not."""
        b = self.builder
        return [b.select(b.fcmp_ordered("<", vector, floor), floor, vector) for vector in row]

    def add_product(self, variables, left, right):
        """Add ``left * right`` to variables, in one rounding where the processor can.

        Behind it comes an empty piece of assembly that no load and no sum may be moved over. Compilers like to load
        early; in a tile every register holds a sum, and what is loaded early evicts one.
        """
        b, same = self.builder, ir.FunctionType(self.type, [self.type])
        fma = self._declare(self._fma, self.type, [self.type] * 3)
        for variable, x, y in zip(variables, left, right, strict=True):
            value = b.call(fma, [x, y, b.load(variable)])
            b.store(b.asm(same, "", f"={_REGISTER},0,~{{memory}}", [value], side_effect=True), variable)

    def barrier(self):
        """Write an empty piece of assembly that nothing may be read or written across: see ``add_product``."""
        nothing = ir.FunctionType(ir.VoidType(), [])
        self.builder.asm(nothing, "", "~{memory}", [], side_effect=True)

    def _load(self, pointer, kind, mask):
        pointer, size = self.builder.bitcast(pointer, kind.as_pointer()), _bytes(kind)
        if mask is None:
            return self.builder.load(pointer, align=size)
        name = f"llvm.masked.load.{_name(kind)}.p0"
        load = self._declare(name, kind, [pointer.type, ir.IntType(32), mask.type, kind])
        return self.builder.call(load, [pointer, ir.Constant(ir.IntType(32), size), mask, ir.Constant(kind, None)])

    def _store(self, vector, pointer, mask):
        kind = vector.type
        pointer, size = self.builder.bitcast(pointer, kind.as_pointer()), _bytes(kind)
        if mask is None:
            self.builder.store(vector, pointer, align=size)
            return
        name = f"llvm.masked.store.{_name(kind)}.p0"
        store = self._declare(name, ir.VoidType(), [kind, pointer.type, ir.IntType(32), mask.type])
        self.builder.call(store, [vector, pointer, ir.Constant(ir.IntType(32), size), mask])

    def _resize(self, vector, width):
        kind = ir.VectorType(ir.IntType(width), self.lanes)
        if vector.type.element.width == width:
            return vector
        return (
            self.builder.zext(vector, kind) if vector.type.element.width < width else self.builder.trunc(vector, kind)
        )

    def _declare(self, name, returns, arguments):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(returns, arguments), name)

    # Rows that are mapped or summed, where no tile needs its registers guarded

    def load_any(self, pointer, masks=None):
        """Read a row of numbers of the type that is there."""
        kind = ir.VectorType(pointer.type.pointee, self.lanes)
        addresses = [self.at(pointer, j * self.lanes) for j in range(self.count)]
        return [self._load(a, kind, m) for a, m in zip(addresses, masks or [None] * self.count, strict=True)]

    def widen(self, row):
        """Return a row in double precision."""
        wide = ir.VectorType(ir.DoubleType(), self.lanes)
        return [vector if vector.type == wide else self.builder.fpext(vector, wide) for vector in row]

    def equal_integers(self, pointer, number, masks=None):
        """Return which of a vector of integers, whatever their width, equal a 32-bit one."""
        element = pointer.type.pointee
        row = self._load(pointer, ir.VectorType(element, self.lanes), masks[0] if masks else None)
        number = number if element.width == 32 else self.builder.trunc(number, element)
        return self.builder.icmp_unsigned("==", row, self.all_lanes(number, element))

    def sum_all(self, row):
        """Return the sum of all numbers of a row."""
        total = row[0]
        for vector in row[1:]:
            total = self.builder.fadd(total, vector)
        kind = f"llvm.vector.reduce.fadd.{_name(self.type)}"
        reduce = self._declare(kind, self.type.element, [self.type.element, self.type])
        return self.builder.call(reduce, [ir.Constant(self.type.element, 0.0), total], fastmath=("reassoc",))

    def subtract(self, left, right):
        return [self.builder.fsub(a, b) for a, b in zip(left, right, strict=True)]

    def multiply(self, left, right):
        return [self.builder.fmul(a, b) for a, b in zip(left, right, strict=True)]

    def multiply_add(self, left, right, addend):
        """Return ``left * right + addend``, in one rounding where the processor can."""
        return [self.product(*three) for three in zip(left, right, addend, strict=True)]

    def fold(self, vector, combine):
        """Return what is left of a vector when its halves are combined until there is one number."""
        b, size = self.builder, vector.type.count
        while size > 1:
            size //= 2
            halves = (
                b.shuffle_vector(
                    vector,
                    ir.Constant(vector.type, ir.Undefined),
                    ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(start, start + size))),
                )
                for start in (0, size)
            )
            vector = combine(*halves)
        return b.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    def floor(self, relu):
        """Return what nothing may be less than: zero with ``relu``, a truth value, and minus infinity without."""
        return self.builder.select(relu, self.all_lanes(0.0), self.all_lanes(float("-inf")))

    def where_positive(self, row, gate, otherwise):
        """Return ``row``, and ``otherwise`` where ``gate`` is zero or less; where it is NaN, ``row``."""
        b, zero = self.builder, self.all_lanes(0.0)
        return [
            b.select(b.fcmp_ordered("<=", g, zero), o, vector)
            for vector, g, o in zip(row, gate, otherwise, strict=True)
        ]


def _bytes(kind):
    """Return the size of a vector's elements: they need not be aligned to more."""
    element = kind.element
    return element.width // 8 if isinstance(element, ir.IntType) else 4 if isinstance(element, ir.FloatType) else 8


def _name(kind):
    """Return what intrinsics are called for a type: ``v16f32``, ``v16i8``."""
    return f"v{kind.count}{'i' if isinstance(kind.element, ir.IntType) else 'f'}{8 * _bytes(kind)}"


def each_pointer(context, builder, kind, arrays):
    """Return the address of the first element of each array of a tuple, whose type is ``kind``."""
    return [
        context.make_array(kind.dtype)(context, builder, array).data for array in cgutils.unpack_tuple(builder, arrays)
    ]


def like(kind, element):
    """Return the type of as many elements of another type: one, or a vector."""
    return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element


def constant(kind, number):
    """Return a number as a constant of a type: in every lane, of a vector."""
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)
