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

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INTEGER, REGISTERS, Vectors, pointers

ROWS = (REGISTERS - 4) // 2
"""Rows of a tile: with two vectors of sums each they leave registers for two vectors of columns and a number."""

NARROW_ROWS = 9
"""Rows of a tile of sums of one vector: filters of 3 x 3 taps leave none empty, and each keeps its address at hand."""

RUN_ROWS = 24 if REGISTERS >= 32 else 12
"""Rows of a tile of sums of one vector that lie side by side in x, as 3 taps x 8 channels do: one address will do."""

AHEAD = 32
"""Pixels ahead of the sums that dy is asked for: pixels of many channels lie too far apart to be foreseen."""

CHAIN = 128
"""Products that are added one after the other. Sums of more are sums of such sums: rounding errors grow with both."""


@intrinsic
def wide_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of two vectors of columns; see ``_product_tile``."""
    return _product_tile(2, False, source, rows, offsets, packed, out)


@intrinsic
def narrow_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of one vector of columns; see ``_product_tile``."""
    return _product_tile(1, False, source, rows, offsets, packed, out)


@intrinsic
def channel_tile(typingctx, source, source_start, rows, first, offsets, packed, panel, out, out_start, columns, relu):
    """Compute ROWS results of one vector of channels, depthwise; see ``_product_tile``."""
    return _product_tile(1, True, source, rows, offsets, packed, out)


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
    """Add to NARROW_ROWS sums of one vector of columns; see ``_sum_tile``."""
    return _sum_tile(NARROW_ROWS, 1, False, x, offsets, dy, runs, sums)


@intrinsic
def run_sum(
    typingctx, x, x_start, offsets, first, dy, dy_start, runs, count, pixels, x_step, dy_step, columns, sums, slot
):
    """Add to RUN_ROWS sums of one vector of columns, whose numbers of x lie side by side; see ``_sum_tile``."""
    return _sum_tile(RUN_ROWS, 1, False, x, offsets, dy, runs, sums, adjoining=True)


@intrinsic
def channel_sum(
    typingctx, x, x_start, offsets, first, dy, dy_start, runs, count, pixels, x_step, dy_step, columns, sums, slot
):
    """Add to NARROW_ROWS sums of one vector of channels, depthwise; see ``_sum_tile``."""
    return _sum_tile(NARROW_ROWS, 1, True, x, offsets, dy, runs, sums)


def _product_tile(vectors, depthwise, source, rows, offsets, packed, out):
    """Return signature and code of a tile of products; j runs over columns, m over rows of the tile::

        value[m, j] = panel[0, j]
                    + sum over k of source[source_start + rows[first + m, 0] + offsets[k]] * panel[1 + k, j]
        out[out_start + rows[first + m, 1] + j] = value[m, j], or its ReLU

    ``panel`` is where a block of columns begins in ``packed``; its rows are whole vectors. Only ``columns`` results of
    a row are written. Rows that are not needed repeat another: they write the same value to the same place. Depthwise,
    lane j reads ``source[... + j]``, and only where j < columns.
    """
    integer, flag = types.intp, types.boolean
    signature = types.void(source, integer, rows, integer, offsets, packed, integer, out, integer, integer, flag)

    def generate(context, builder, signature, arguments):
        products = context.make_array(offsets)(context, builder, arguments[4]).nitems
        source_at, source_start, rows_at, first, offsets_at, packed_at, panel, out_at, out_start, columns, relu = (
            pointers(context, builder, signature, arguments)
        )
        v = Vectors(context, builder, source.dtype, vectors)
        first_entry = v.at(rows_at, builder.mul(first, v.integer(2)))
        source_at, out_at, panel_at = v.at(source_at, source_start), v.at(out_at, out_start), v.at(packed_at, panel)
        origins = [v.at(source_at, v.element(first_entry, 2 * m)) for m in range(ROWS)]
        values = [v.variables(v.load(panel_at)) for _ in range(ROWS)]
        totals = [v.variables() for _ in range(ROWS)]

        def accumulate(read):
            with cgutils.for_range_slice(builder, v.integer(0), products, v.integer(CHAIN), INTEGER) as (start, _):
                with builder.if_then(builder.icmp_signed(">", start, v.integer(0))):
                    begin_chain(builder.icmp_signed("==", start, v.integer(CHAIN)))
                rest = builder.sub(products, start)
                length = builder.select(builder.icmp_signed("<", rest, v.integer(CHAIN)), rest, v.integer(CHAIN))
                with cgutils.for_range(builder, length) as product:
                    k = builder.add(start, product.index)
                    offset = builder.sext(v.element(offsets_at, k), INTEGER)
                    panel_row = builder.mul(builder.add(k, v.integer(1)), v.integer(v.columns))
                    weights = v.load(v.at(panel_at, panel_row))
                    for origin, value in zip(origins, values, strict=True):
                        v.add_product(value, read(v.at(origin, offset)), weights)
            with builder.if_then(builder.icmp_signed(">", products, v.integer(CHAIN))):
                for total, value in zip(totals, values, strict=True):
                    v.set(value, v.add(v.get(total), v.get(value)))

        def begin_chain(is_second):
            for total, value in zip(totals, values, strict=True):
                before = v.choose(is_second, v.zeros(), v.get(total))
                v.set(total, v.add(before, v.get(value)))
                v.set(value, v.zeros())

        if depthwise:
            v.either(columns, lambda masks: accumulate(lambda pointer: v.load(pointer, masks)))
        else:
            accumulate(v.broadcast)

        floor = builder.select(relu, v.all_lanes(0.0), v.all_lanes(float("-inf")))
        results = [v.at_least(v.get(value), floor) for value in values]

        def write(masks):
            for m, result in enumerate(results):
                v.store(result, v.at(out_at, v.element(first_entry, 2 * m + 1)), masks)

        v.whole_or_part(columns, write)
        return context.get_dummy_value()

    return signature, generate


def _sum_tile(rows, vectors, depthwise, x, offsets, dy, runs, sums, *, adjoining=False):
    """Return signature and code of a tile of sums over pixels; j runs over columns, m over rows of the tile::

        sums[slot + m * width + j] += sum over runs r < count and i < pixels of
            x[x_start + offsets[first + m] + runs[r, 0] + i * x_step] * dy[dy_start + runs[r, 1] + i * dy_step + j]

    ``width`` is the whole tile's, ``sums`` has room for it; columns from ``columns`` on are not read and add zero.
    Depthwise, lane j reads ``x[... + j]``. ``adjoining``, ``offsets`` rise by one from row to row.
    """
    integer = types.intp
    signature = types.void(
        *(x, integer, offsets, integer, dy, integer, runs),
        *(integer, integer, integer, integer, integer, sums, integer),
    )

    def generate(context, builder, signature, arguments):
        x_at, x_start, offsets_at, first, dy_at, dy_start, runs_at, count, pixels, x_step, dy_step, columns, *to = (
            pointers(context, builder, signature, arguments)
        )
        v = Vectors(context, builder, x.dtype, vectors)
        x_at, dy_at, offsets_at = v.at(x_at, x_start), v.at(dy_at, dy_start), v.at(offsets_at, first)
        origins = [v.at(x_at, v.element(offsets_at, m)) for m in range(1 if adjoining else rows)]
        values = [v.variables(v.zeros()) for _ in range(rows)]

        def accumulate(masks):
            with cgutils.for_range(builder, count) as run:
                entry = v.at(runs_at, builder.mul(run.index, v.integer(2)))
                x_offset = cgutils.alloca_once_value(builder, v.element(entry, 0))
                dy_offset = cgutils.alloca_once_value(builder, v.element(entry, 1))
                with cgutils.for_range(builder, pixels):
                    x_now, dy_now = builder.load(x_offset), builder.load(dy_offset)
                    gradients = v.load(v.at(dy_at, dy_now), masks)
                    if vectors > 1:
                        ahead = builder.add(dy_now, builder.mul(dy_step, v.integer(AHEAD)))
                        for j in range(0, v.columns, v.lanes):
                            v.prefetch(v.at(dy_at, builder.add(ahead, v.integer(j))))
                    places = [v.at(origin, x_now) for origin in origins]
                    if adjoining:
                        places = [v.at(places[0], m) for m in range(rows)]
                    for pixel, value in zip(places, values, strict=True):
                        v.add_product(value, v.load(pixel, masks) if depthwise else v.broadcast(pixel), gradients)
                    builder.store(builder.add(x_now, x_step), x_offset)
                    builder.store(builder.add(dy_now, dy_step), dy_offset)

        v.either(columns, accumulate)
        target = v.at(*to)
        for m, value in enumerate(values):
            place = v.at(target, m * v.columns)
            v.store(v.add(v.load(place), v.get(value)), place)
        return context.get_dummy_value()

    return signature, generate
