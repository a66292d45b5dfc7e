"""Copying and clearing stretches of arrays, as single instructions of the compiler's intermediate language."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import helper


@intrinsic
def copy(typingctx, source, start, target, at, count):
    """Copy ``count`` elements of a flat array, from ``start``, to ``at`` in another of the same dtype."""
    signature = types.void(source, types.intp, target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        source, start, target, at, count = arguments
        kinds = signature.args[0], signature.args[2]
        pointers = [
            builder.gep(context.make_array(kind)(context, builder, array).data, [offset])
            for kind, array, offset in zip(kinds, (source, target), (start, at), strict=True)
        ]
        size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(kinds[0].dtype)))
        cgutils.raw_memcpy(builder, *reversed(pointers), count, size)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def clear(typingctx, target, at, count):
    """Set ``count`` elements of a flat array to zero, from ``at``."""
    signature = types.void(target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        target, at, count = arguments
        kind = signature.args[0]
        pointer = builder.gep(context.make_array(kind)(context, builder, target).data, [at])
        size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        cgutils.memset(builder, pointer, builder.mul(count, size), 0)
        return context.get_dummy_value()

    return signature, generate


@helper
def odd_lines(elements):
    """Fill up to an odd number of cache lines: arrays that begin so far apart do not evict one another.

    Addresses a multiple of 4096 bytes apart share a few places of the first cache. ``odd_lines(64) == 80``.
    """
    return 16 * ((elements + 15) // 16 | 1)
