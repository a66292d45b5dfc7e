"""Register tiles: the innermost loops of every convolution and matrix product, written as LLVM IR.

A tile is a small block of results (rows x columns) that stays in vector registers while products are added to it.
Lanes of a vector run over columns (channels, contiguous in memory); a row is a pixel, or one number of a filter. Each
step loads one or two vectors of columns and, per row, one number that goes to all lanes. Tiles come in three forms:

    wide      ROWS x 2 vectors    more columns than one vector holds
    narrow    ROWS x 1 vector     the last columns, or few channels
    channel   ROWS x 1 vector     depthwise: a row has its own number in each lane

An intrinsic looks at the dtype of its array arguments, so that one serves all. Compilers do not find this form by
themselves: they keep the results in memory, and on some processors use half the width of the vectors.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector import HAS_FMA, VECTOR_BITS, lanes

_ARM = platform.machine() in ("arm64", "aarch64")
_REGISTERS = 32 if VECTOR_BITS == 512 or _ARM else 16
_VECTOR_REGISTER = "w" if _ARM else "v" if VECTOR_BITS == 512 else "x"
"""What the compiler's assembly syntax calls a register that holds a vector."""

ROWS = (_REGISTERS - 4) // 2
"""Rows of a tile: with two vectors of sums each they leave registers for two vectors of columns and a number."""

CHAIN = 128
"""Products that are added one after the other. Sums of more are sums of such sums: rounding errors grow with both."""


@intrinsic
def wide_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of two vectors of columns; see ``_product_tile``."""
    return _product_tile(ROWS, 2, False, source, rows, offsets, packed, out)


@intrinsic
def narrow_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of one vector of columns; see ``_product_tile``."""
    return _product_tile(ROWS, 1, False, source, rows, offsets, packed, out)


@intrinsic
def channel_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of one vector of channels, depthwise; see ``_product_tile``."""
    return _product_tile(ROWS, 1, True, source, rows, offsets, packed, out)


@intrinsic
def wide_sum(
    typingctx, x, x_start, offsets, first, dy, dy_start, runs, count, pixels, x_step, dy_step, columns, sums, slot
):
    """Add to ROWS sums of two vectors of columns; see ``_sum_tile``."""
    return _sum_tile(ROWS, 2, False, x, offsets, dy, runs, sums)


@intrinsic
def narrow_sum(
    typingctx, x, x_start, offsets, first, dy, dy_start, runs, count, pixels, x_step, dy_step, columns, sums, slot
):
    """Add to ROWS sums of one vector of columns; see ``_sum_tile``."""
    return _sum_tile(ROWS, 1, False, x, offsets, dy, runs, sums)


@intrinsic
def channel_sum(
    typingctx, x, x_start, offsets, first, dy, dy_start, runs, count, pixels, x_step, dy_step, columns, sums, slot
):
    """Add to ROWS sums of one vector of channels, depthwise; see ``_sum_tile``."""
    return _sum_tile(ROWS, 1, True, x, offsets, dy, runs, sums)


def _product_tile(tile_rows, vectors, depthwise, source, rows, offsets, packed, out):
    """Return signature and code of a tile of products; j runs over columns, m over rows of the tile::

        value[m, j] = panel[0, j]
                    + sum over k of source[source_start + rows[first + m, 0] + offsets[k]] * panel[1 + k, j]
        out[out_start + rows[first + m, 1] + j] = value[m, j], or its ReLU

    ``panel`` is where a block of columns begins in ``packed``; its rows are whole vectors. Only ``columns`` results of
    a row are written. Rows that are not needed repeat another: they write the same value to the same place. Depthwise,
    lane j reads ``source[... + j]``, and only where j < columns.
    """
    signature = types.void(
        source, types.intp, rows, types.intp, offsets, packed, types.intp, out, types.intp, types.intp, types.boolean
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        products = context.make_array(offsets)(context, builder, arguments[4]).nitems
        source_at, source_start, rows_at, first, offsets_at, packed_at, panel, out_at, out_start, columns, relu = (
            _pointers(context, builder, signature, arguments)
        )
        v = _Vectors(context, builder, source.dtype, vectors)
        entries = [_at(builder, rows_at, builder.mul(builder.add(first, _int(m)), _int(2))) for m in range(tile_rows)]
        source_at, out_at = _at(builder, source_at, source_start), _at(builder, out_at, out_start)
        origins = [_at(builder, source_at, builder.load(entry)) for entry in entries]
        panel_at = _at(builder, packed_at, panel)
        bias = v.load(panel_at)
        values = [v.variables(bias) for _ in range(tile_rows)]

        totals = [v.unset() for _ in range(tile_rows)]

        def accumulate(read):
            with cgutils.for_range_slice(builder, _int(0), products, _int(CHAIN), _INT, inc=True) as (start, _):
                with builder.if_then(builder.icmp_signed(">", start, _int(0))):
                    first = builder.icmp_signed("==", start, _int(CHAIN))
                    for total, value in zip(totals, values, strict=True):
                        before = v.choose(first, v.zeros(), v.get(total))
                        v.set(total, v.sums(before, v.get(value)))
                        v.set(value, v.zeros())
                rest = builder.sub(products, start)
                length = builder.select(builder.icmp_signed("<", rest, _int(CHAIN)), rest, _int(CHAIN))
                with cgutils.for_range(builder, length) as product:
                    k = builder.add(start, product.index)
                    offset = builder.sext(builder.load(_at(builder, offsets_at, k)), _INT)
                    weights = v.load(_at(builder, panel_at, builder.mul(builder.add(k, _int(1)), _int(v.columns))))
                    for origin, value in zip(origins, values, strict=True):
                        v.add_product(value, read(_at(builder, origin, offset)), weights)
            with builder.if_then(builder.icmp_signed(">", products, _int(CHAIN))):
                for total, value in zip(totals, values, strict=True):
                    v.set(value, v.sums(v.get(total), v.get(value)))

        whole_row = builder.icmp_signed("==", columns, _int(v.columns))
        masks = v.masks(columns)
        if depthwise:
            v.either(whole_row, masks, lambda masks: accumulate(lambda pointer: v.load(pointer, masks)))
        else:
            accumulate(v.broadcast)

        floor = builder.select(relu, v.constant(0.0), v.constant(float("-inf")))
        results = [v.at_least(v.get(value), floor) for value in values]
        targets = [_at(builder, out_at, builder.load(_at(builder, entry, _int(1)))) for entry in entries]

        def write(masks):
            for result, target in zip(results, targets, strict=True):
                v.store(result, target, masks)

        v.either(whole_row, masks, write)
        return context.get_dummy_value()

    return signature, generate


def _sum_tile(tile_rows, vectors, depthwise, x, offsets, dy, runs, sums):
    """Return signature and code of a tile of sums over pixels; j runs over columns, m over rows of the tile::

        sums[slot + m * width + j] += sum over runs r < count and i < pixels of
            x[x_start + offsets[first + m] + runs[r, 0] + i * x_step] * dy[dy_start + runs[r, 1] + i * dy_step + j]

    ``width`` is the whole tile's, ``sums`` has room for it; columns from ``columns`` on are not read and add zero.
    Depthwise, lane j reads ``x[... + j]``.
    """
    signature = types.void(
        x, types.intp, offsets, types.intp, dy, types.intp, runs, types.intp, types.intp, types.intp, types.intp,
        types.intp, sums, types.intp,
    )  # fmt: skip

    def generate(context, builder, signature, arguments):
        arguments = _pointers(context, builder, signature, arguments)
        x_at, x_start, offsets_at, first, dy_at, dy_start, runs_at, count, pixels, x_step, dy_step, columns, *to = (
            arguments
        )
        v = _Vectors(context, builder, x.dtype, vectors)
        x_at, dy_at, offsets_at = (
            _at(builder, x_at, x_start),
            _at(builder, dy_at, dy_start),
            _at(builder, offsets_at, first),
        )
        origins = [_at(builder, x_at, builder.load(_at(builder, offsets_at, _int(m)))) for m in range(tile_rows)]
        values = [v.variables(v.zeros()) for _ in range(tile_rows)]

        def accumulate(masks):
            with cgutils.for_range(builder, count) as run:
                entry = _at(builder, runs_at, builder.mul(run.index, _int(2)))
                x_offset = cgutils.alloca_once_value(builder, builder.load(entry))
                dy_offset = cgutils.alloca_once_value(builder, builder.load(_at(builder, entry, _int(1))))
                with cgutils.for_range(builder, pixels):
                    x_now, dy_now = builder.load(x_offset), builder.load(dy_offset)
                    gradients = v.load(_at(builder, dy_at, dy_now), masks)
                    for origin, value in zip(origins, values, strict=True):
                        pointer = _at(builder, origin, x_now)
                        v.add_product(value, v.load(pointer, masks) if depthwise else v.broadcast(pointer), gradients)
                    builder.store(builder.add(x_now, x_step), x_offset)
                    builder.store(builder.add(dy_now, dy_step), dy_offset)

        v.either(builder.icmp_signed("==", columns, _int(v.columns)), v.masks(columns), accumulate)
        target = _at(builder, *to)
        for m, value in enumerate(values):
            place = _at(builder, target, _int(m * v.columns))
            v.store(v.sums(v.load(place), v.get(value)), place)
        return context.get_dummy_value()

    return signature, generate


class _Vectors:
    """Writes the vector instructions of one dtype: a row of a tile is a list of ``count`` vectors."""

    def __init__(self, context, builder, dtype, count):
        self.builder = builder
        self.lanes = lanes(str(dtype))
        self.count = count
        self.columns = self.lanes * count
        self.bytes = dtype.bitwidth // 8
        self.type = ir.VectorType(context.get_value_type(dtype), self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        kind = f"v{self.lanes}f{dtype.bitwidth}"
        self._fma = self._declare(f"llvm.{'fma' if HAS_FMA else 'fmuladd'}.{kind}", self.type, [self.type] * 3)
        pointer = self.type.as_pointer()
        alignment = ir.IntType(32)
        self._load = self._declare(
            f"llvm.masked.load.{kind}.p0", self.type, [pointer, alignment, self.mask_type, self.type]
        )
        self._store = self._declare(
            f"llvm.masked.store.{kind}.p0", ir.VoidType(), [self.type, pointer, alignment, self.mask_type]
        )

    def constant(self, value):
        """Return a vector with ``value`` in every lane."""
        return ir.Constant(self.type, [value] * self.lanes)

    def variables(self, vectors):
        """Return variables that begin as ``vectors``; the compiler keeps them in registers."""
        return [cgutils.alloca_once_value(self.builder, vector) for vector in vectors]

    def unset(self):
        """Return variables for a row of vectors."""
        return [cgutils.alloca_once(self.builder, self.type) for _ in range(self.count)]

    def get(self, variables):
        """Return the present value of each variable."""
        return [self.builder.load(variable) for variable in variables]

    def masks(self, columns):
        """Return which lanes of each vector lie before ``columns``."""
        b = self.builder
        index = ir.VectorType(_INT, self.lanes)
        limit = self._splat(columns, index)
        return [
            b.icmp_signed("<", ir.Constant(index, [j * self.lanes + lane for lane in range(self.lanes)]), limit)
            for j in range(self.count)
        ]

    def either(self, whole_row, masks, write_code):
        """Write code that reads or writes rows: with masks, and without for whole rows, where masks cost time."""
        if VECTOR_BITS == 512:  # masks have registers of their own
            write_code(masks)
            return
        with self.builder.if_else(whole_row) as (whole, partial):
            with whole:
                write_code(None)
            with partial:
                write_code(masks)

    def load(self, pointer, masks=None):
        """Read a row of vectors; lanes outside the masks are not read, and are zero."""
        pointers = self._pointers(pointer)
        if masks is None:
            return [self._unaligned(self.builder.load(p)) for p in pointers]
        size = ir.Constant(ir.IntType(32), self.bytes)
        return [
            self.builder.call(self._load, [p, size, mask, self.constant(0.0)])
            for p, mask in zip(pointers, masks, strict=True)
        ]

    def store(self, vectors, pointer, masks=None):
        """Write a row of vectors; lanes outside the masks are left alone."""
        size = ir.Constant(ir.IntType(32), self.bytes)
        for j, (vector, p) in enumerate(zip(vectors, self._pointers(pointer), strict=True)):
            if masks is None:
                self._unaligned(self.builder.store(vector, p))
            else:
                self.builder.call(self._store, [vector, p, size, masks[j]])

    def broadcast(self, pointer):
        """Read one number into all lanes of all vectors."""
        return [self._splat(self.builder.load(pointer), self.type)] * self.count

    def set(self, variables, vectors):
        """Give each variable a new value."""
        for variable, vector in zip(variables, vectors, strict=True):
            self.builder.store(vector, variable)

    def zeros(self):
        """Return a row of zeros."""
        return [self.constant(0.0)] * self.count

    def choose(self, condition, yes, no):
        """Return one of two rows."""
        return [self.builder.select(condition, a, b) for a, b in zip(yes, no, strict=True)]

    def sums(self, left, right):
        """Return the sums of two rows."""
        return [self.builder.fadd(a, b) for a, b in zip(left, right, strict=True)]

    def add_product(self, variables, left, right):
        """``variables += left * right``, in one rounding where the processor can.

        Behind it comes an empty piece of assembly that no load and no sum may be moved over. Compilers like to load
        early; here every register holds a sum, and what is loaded early evicts one.
        """
        b, kind = self.builder, ir.FunctionType(self.type, [self.type])
        for variable, x, y in zip(variables, left, right, strict=True):
            value = b.call(self._fma, [x, y, b.load(variable)])
            b.store(b.asm(kind, "", f"={_VECTOR_REGISTER},0,~{{memory}}", [value], side_effect=True), variable)

    def at_least(self, vectors, floor):
        """Replace what is below ``floor``; NaN is not."""
        b = self.builder
        return [b.select(b.fcmp_ordered("<", vector, floor), floor, vector) for vector in vectors]

    def _pointers(self, pointer):
        b = self.builder
        return [b.bitcast(_at(b, pointer, _int(j * self.lanes)), self.type.as_pointer()) for j in range(self.count)]

    def _unaligned(self, instruction):
        instruction.align = self.bytes
        return instruction

    def _splat(self, value, vector_type):
        b = self.builder
        undefined = ir.Constant(vector_type, ir.Undefined)
        lane0 = b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), [0] * vector_type.count)
        return b.shuffle_vector(lane0, undefined, zeros)

    def _declare(self, name, returns, arguments):
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(returns, arguments), name)


_INT = ir.IntType(64)


def _int(value):
    return ir.Constant(_INT, value)


def _at(builder, pointer, offset):
    """Return the address of element ``offset``."""
    return builder.gep(pointer, [offset])


def _pointers(context, builder, signature, arguments):
    """Return the arguments with each array replaced by the address of its first element."""
    return [
        context.make_array(kind)(context, builder, argument).data if isinstance(kind, types.Array) else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]
