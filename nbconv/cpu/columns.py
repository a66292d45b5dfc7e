"""Some columns of a matrix, copied to those of another."""

from __future__ import annotations

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .exponential import each_vector
from .vectors import Vectors, pointers


@intrinsic
def copy_columns(typingctx, source, start, step, target, target_start, target_step, rows, columns):
    """Copy ``columns`` neighbours of each of ``rows`` rows, which begin at ``start`` and lie ``step`` apart."""
    signature = types.void(source, types.intp, types.intp, target, *[types.intp] * 4)

    def generate(context, builder, signature, arguments):
        source_at, start, step, target_at, target_start, target_step, rows, columns = pointers(
            context, builder, signature, arguments
        )
        v = Vectors(context, builder, source.dtype)
        with cgutils.for_range(builder, rows) as row:
            here = builder.add(start, builder.mul(row.index, step))
            there = builder.add(target_start, builder.mul(row.index, target_step))
            for index, masks in each_vector(v, columns):
                vector = v.load(v.at(source_at, builder.add(here, index)), masks)
                v.store(vector, v.at(target_at, builder.add(there, index)), masks)
        return context.get_dummy_value()

    return signature, generate
