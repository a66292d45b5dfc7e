"""The fully connected layer on the GPU: three products of matrices."""

from __future__ import annotations

from numba import cuda

from ..ops.base import Buffer
from .activation import relu_backward
from .kernel import device_function, kernel
from .sums import partial_sums, sum_rows

TILE = 16


def linear(op, x, weight, bias, *, out, scratch):
    return matmul(x, weight, out, bias=bias, relu=op.activation == "relu")


def backward_scratch(op, dtype, x_shape):
    shape = op.out_shape(x_shape)
    buffers = {}
    if op.bias:
        buffers["partial_bias"] = partial_sums(*shape[:1], shape[1:])
    if op.activation:
        buffers["gated"] = Buffer(shape, dtype)
    return buffers


def linear_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    launches = []
    if op.activation:
        launches.append(relu_backward(None, dy, out, dx=scratch["gated"]))
        dy = scratch["gated"]
    if dbias is not None:
        launches.append(sum_rows(dy, scratch["partial_bias"], dbias))
    if dweight is not None:
        launches.append(matmul(x, dy, dweight, turn_a=True))
    if dx is not None:
        launches.append(matmul(dy, weight, dx, turn_b=True))
    return launches


def matmul(a, b, out, *, bias=None, turn_a=False, turn_b=False, relu=False):
    """out = a @ b + bias, with ``a.T`` or ``b.T`` in their places if they are to be turned."""
    rows, columns = (-(-size // TILE) for size in out.shape)
    return _matmul[rows * columns, (TILE, TILE)](a, b, bias, turn_a, turn_b, relu, out)


@kernel
def _matmul(a, b, bias, turn_a, turn_b, relu, out):
    """A block computes a tile of out, from tiles of a and b that its threads read together: each number once per block."""
    a_tile = cuda.shared.array((TILE, TILE), a.dtype)
    b_tile = cuda.shared.array((TILE, TILE), b.dtype)
    y, x = cuda.threadIdx.y, cuda.threadIdx.x
    tiles = (out.shape[1] + TILE - 1) // TILE
    row, column = cuda.blockIdx.x // tiles * TILE + y, cuda.blockIdx.x % tiles * TILE + x
    inside = row < out.shape[0] and column < out.shape[1]
    zero = a.dtype.type(0)
    total = zero
    for first in range(0, a.shape[0 if turn_a else 1], TILE):
        a_tile[y, x] = _element(a, row, first + x, turn_a)
        b_tile[y, x] = _element(b, first + y, column, turn_b)
        cuda.syncthreads()  # the tiles are whole
        if inside:
            part = zero
            for k in range(TILE):
                part += a_tile[y, k] * b_tile[k, x]
            total += part
        cuda.syncthreads()  # the tiles have been used
    if inside:
        if bias is not None:
            total += bias[column]
        out[row, column] = zero if relu and total <= 0 else total


@device_function
def _element(matrix, row, column, turned):
    """Return an element of the matrix, or of the turned one; 0 beyond its edge."""
    if turned:
        row, column = column, row
    inside = row < matrix.shape[0] and column < matrix.shape[1]
    return matrix[row, column] if inside else matrix.dtype.type(0)
