"""Blocks of images on their way to planes of one channel each, and back, written as LLVM IR.

In images, the channels of a pixel lie together; in a plane, pixels do. Where pixels have no gaps, a block is a row of
whole vectors, and is split into planes by taking numbers from two vectors at a time.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector import lanes
from .vectors import Vectors, pointers

DENSE = 1, 2, 3, 4, 8
"""Numbers of channels, less than a vector, whose pixels are split and joined as whole vectors if they have no gaps."""

BYTES = 16
"""Bytes that are joined together: shuffles of more would have to cross the parts of a register."""

_PAIR = types.UniTuple(types.intp, 2)
_NUMBER = ir.IntType(32)


@intrinsic
def split_pixels(typingctx, source, start, step, size, target, place, plane):
    """Copy a block of size[0] pixels and size[1] channels, each at most a vector, to planes.

    Pixels lie ``step`` elements apart, planes ``plane``. Whole vectors are written: zeros follow the last pixel.
    """
    integer = types.intp
    signature = types.void(source, integer, integer, _PAIR, target, integer, integer)

    def generate(context, builder, signature, arguments):
        source_at, start, step, size, target_at, place, plane = pointers(context, builder, signature, arguments)
        pixels, channels = cgutils.unpack_tuple(builder, size)
        v = Vectors(context, builder, source.dtype)
        source_at, target_at = v.at(source_at, start), v.at(target_at, place)

        def split_dense(count):
            row = Vectors(context, builder, source.dtype, count)

            def split_row(masks):
                for j, vector in enumerate(split(v, row.load(source_at, masks))):
                    v.store([vector], v.at(target_at, v.steps(None, plane, j)))

            row.either(builder.mul(pixels, v.integer(count)), split_row)

        def split_any():
            (inside,) = v.masks(pixels)
            for j, vector in enumerate(_transposed(v, _load_rows(v, source_at, step, pixels, v.masks(channels)))):
                with builder.if_then(builder.icmp_signed("<", v.integer(j), channels)):
                    v.store(v.choose(inside, [vector], v.zeros()), v.at(target_at, v.steps(None, plane, j)))

        _for_pixels(v, step, channels, split_dense, split_any)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def join_planes(typingctx, source, start, plane, size, target, place, step):
    """Copy size[0] pixels of size[1] planes, each at most a vector, to an image; nothing else of it is touched.

    Planes lie ``plane`` elements apart, pixels of the image ``step``; behind those of a plane there is room to read a
    vector.
    """
    integer = types.intp
    signature = types.void(source, integer, integer, _PAIR, target, integer, integer)

    def generate(context, builder, signature, arguments):
        source_at, start, plane, size, target_at, place, step = pointers(context, builder, signature, arguments)
        pixels, channels = cgutils.unpack_tuple(builder, size)
        v = Vectors(context, builder, source.dtype)
        source_at, target_at = v.at(source_at, start), v.at(target_at, place)

        def join_dense(count):
            planes = [v.load(v.at(source_at, v.steps(None, plane, j)))[0] for j in range(count)]
            store_first(v, join(v, planes), target_at, builder.mul(pixels, v.integer(count)))

        def join_any():
            write = v.masks(channels)
            for i, vector in enumerate(_transposed(v, _load_rows(v, source_at, plane, channels))):
                with builder.if_then(builder.icmp_signed("<", v.integer(i), pixels)):
                    v.store([vector], v.at(target_at, v.steps(None, step, i)), write)

        _for_pixels(v, step, channels, join_dense, join_any)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def join_bytes(typingctx, source, start, plane, channels, target, place):
    """Copy 16 pixels of planes of bytes, ``plane`` apart, to pixels without gaps, of ``DENSE`` or 16 channels."""
    integer = types.intp
    signature = types.void(source, integer, integer, integer, target, integer)

    def move(v, source_at, plane, target_at, count):
        planes = [v.load(v.at(source_at, v.steps(None, plane, j)))[0] for j in range(count)]
        for k, vector in enumerate(join(v, planes)):
            v.store([vector], v.at(target_at, k * v.lanes))

    return signature, _for_bytes(move)


@intrinsic
def split_bytes(typingctx, source, start, plane, channels, target, place):
    """Copy 16 pixels of channels without gaps, ``DENSE`` or 16, to planes of bytes, ``plane`` apart."""
    integer = types.intp
    signature = types.void(source, integer, integer, integer, target, integer)

    def move(v, source_at, plane, target_at, count):
        row = [v.load(v.at(source_at, k * v.lanes))[0] for k in range(count)]
        for j, vector in enumerate(split(v, row)):
            v.store([vector], v.at(target_at, v.steps(None, plane, j)))

    return signature, _for_bytes(move)


def _for_bytes(move):
    """Return code that moves bytes, ``move(vectors, source, plane, target, count)``, for ``DENSE`` channels or 16."""

    def generate(context, builder, signature, arguments):
        source_at, start, plane, channels, target_at, place = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, signature.args[0].dtype, parts=lanes("uint8") // BYTES)
        for count in (*DENSE, BYTES):
            with builder.if_then(builder.icmp_signed("==", channels, v.integer(count))):
                move(v, v.at(source_at, start), plane, v.at(target_at, place), count)
        return context.get_dummy_value()

    return generate


def store_first(v, vectors, pointer, count):
    """Write the first ``count`` numbers of vectors that lie side by side: under masks, only what is not whole."""
    builder = v.builder
    for k, vector in enumerate(vectors):
        at, rest = v.at(pointer, k * v.lanes), builder.sub(count, v.integer(k * v.lanes))
        with builder.if_else(builder.icmp_signed(">=", rest, v.integer(v.lanes))) as (whole, part):
            with whole:
                v.store([vector], at)
            with part, builder.if_then(builder.icmp_signed(">", rest, v.integer(0))):
                v.store([vector], at, v.masks(rest))


def split(v, vectors):
    """Return every n-th number of n vectors side by side: first those from 0 on, then those from 1 on."""
    count = len(vectors)
    if count & (count - 1):
        return [_pick(v, vectors, [c + i * count for i in range(v.lanes)]) for c in range(count)]
    even, odd = (range(start, 2 * v.lanes, 2) for start in (0, 1))
    for _ in range(count.bit_length() - 1):
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
        vectors = [_shuffle(v, *pair, order) for order in (even, odd) for pair in pairs]
    return vectors


def join(v, vectors):
    """Return the numbers of n vectors in turn, one of each: the reverse of ``split``."""
    count = len(vectors)
    if count & (count - 1):
        places = [divmod(k, count) for k in range(count * v.lanes)]
        orders = [[c * v.lanes + i for i, c in places[k : k + v.lanes]] for k in range(0, count * v.lanes, v.lanes)]
        return [_pick(v, vectors, order) for order in orders]
    for _ in range(count.bit_length() - 1):
        vectors = _interleaved(v, vectors)
    return vectors


def _transposed(v, block):
    """Return the transpose of a square of vectors."""
    for _ in range(v.lanes.bit_length() - 1):
        block = _interleaved(v, block)
    return block


def _interleaved(v, block):
    """Return vectors side by side with the numbers of the upper half and of the lower in turn."""
    half, width = len(block) // 2, v.lanes
    pairs = zip(block[:half], block[half:], strict=True)
    orders = [[first + i // 2 + i % 2 * width for i in range(width)] for first in (0, width // 2)]
    return [_shuffle(v, upper, lower, order) for upper, lower in pairs for order in orders]


def _pick(v, vectors, places):
    """Return a vector of the numbers at ``places`` in vectors side by side."""
    width = v.lanes
    picked = vectors[0]
    order = [place if place < width else 0 for place in places]
    for k, vector in enumerate(vectors[1:], 1):
        order = [
            place - (k - 1) * width if place // width == k else old for place, old in zip(places, order, strict=True)
        ]
        picked = _shuffle(v, picked, vector, order)
        order = list(range(width))
    return picked


def _shuffle(v, first, second, order):
    return v.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_NUMBER, v.lanes), list(order)))


def _load_rows(v, pointer, step, rows, masks=None):
    """Read a square of vectors, ``step`` elements apart; past the last row, the first again."""
    builder, block = v.builder, []
    for i in range(v.lanes):
        row = builder.select(builder.icmp_signed("<", v.integer(i), rows), v.integer(i), v.integer(0))
        block += v.load(v.at(pointer, builder.mul(row, step)), masks)
    return block


def _for_pixels(v, step, channels, write_dense, write_any):
    """Write code for pixels of few channels without gaps, ``write_dense(channels)``, and for any, ``write_any()``."""
    builder = v.builder

    def choose(counts):
        if not counts:
            write_any()
            return
        count = v.integer(counts[0])
        is_dense = builder.and_(builder.icmp_signed("==", channels, count), builder.icmp_signed("==", step, count))
        with builder.if_else(is_dense) as (yes, no):
            with yes:
                write_dense(counts[0])
            with no:
                choose(counts[1:])

    choose([count for count in DENSE if count < v.lanes])
