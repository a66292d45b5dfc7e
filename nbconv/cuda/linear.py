"""The fully connected layer on the GPU: three products of matrices."""

from __future__ import annotations

from numba import cuda

from . import epilogue
from .epilogue import finish
from .kernel import device_function, kernel

TILE = 16


def linear(op, x, weight, bias, *, out, scratch):
    return matmul(x, weight, out, bias=bias, relu=op.activation == "relu")


def backward_scratch(op, dtype, x_shape):
    return epilogue.backward_scratch(op, dtype, op.out_shape(x_shape))


def linear_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    dy, launches = epilogue.gate(op, dy, out, scratch)
    launches += epilogue.bias_gradient(dy, dbias, scratch)
    if dweight is not None:
        launches.append(matmul(x, dy, dweight, turn_a=True))
    if dx is not None:
        launches.append(matmul(dy, weight, dx, turn_b=True))
    return launches


def matmul(a, b, out, *, turn_a=False, turn_b=False, bias=None, relu=False):
    """out = a @ b + bias; ``a.T`` or ``b.T`` takes its place if it is to be turned."""
    rows, columns = (-(-size // TILE) for size in out.shape)
    return _matmul[rows * columns, (TILE, TILE, 1)](a, b, turn_a, turn_b, bias, relu, out)


@kernel
def _matmul(a, b, turn_a, turn_b, bias, relu, out):
    """A block makes a tile of out from tiles of a and b, which its threads read together: a number each."""
    a_tile = cuda.shared.array((TILE, TILE), a.dtype)
    b_tile = cuda.shared.array((TILE, TILE), b.dtype)
    y, x = cuda.threadIdx.y, cuda.threadIdx.x
    across = (out.shape[1] + TILE - 1) // TILE
    row, column = cuda.blockIdx.x // across * TILE + y, cuda.blockIdx.x % across * TILE + x
    inside = row < out.shape[0] and column < out.shape[1]
    total = zero = a.dtype.type(0)
    for first in range(0, a.shape[0 if turn_a else 1], TILE):
        a_tile[y, x] = _element(a, row, first + x, turn_a)
        b_tile[y, x] = _element(b, first + y, column, turn_b)
        cuda.syncthreads()  # all of the tiles is there
        if inside:
            part = zero
            for k in range(TILE):
                part += a_tile[y, k] * b_tile[k, x]
            total += part
        cuda.syncthreads()  # nobody needs them any more
    if inside:
        out[row, column] = finish(total, bias, column, relu)


@device_function
def _element(matrix, row, column, turned):
    """Return an element of a matrix, or of the turned one; 0 beyond its edge."""
    if turned:
        row, column = column, row
    inside = row < matrix.shape[0] and column < matrix.shape[1]
    return matrix[row, column] if inside else matrix.dtype.type(0)
