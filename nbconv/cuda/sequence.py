"""Convolution and pooling of sequences (N, L, C) on the GPU: no kernels of its own, but those of images of height 1."""

from __future__ import annotations

from ..ops.shapes import of_height_one
from . import conv, pool


def forward_scratch(op, dtype, x_shape):
    return conv.forward_scratch(op.as_2d, dtype, of_height_one(x_shape))


def backward_scratch(op, dtype, x_shape):
    return conv.backward_scratch(op.as_2d, dtype, of_height_one(x_shape))


def conv1d(op, x, weight, bias, *, out, argmax, scratch):
    conv.check_algorithm(op)
    x, weight, out, argmax = images(x), filters(weight), images(out), images(argmax)
    return conv.conv2d(op.as_2d, x, weight, bias, out=out, argmax=argmax, scratch=scratch)


def conv1d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    conv.check_algorithm(op)
    dy, x, out, argmax, dx = map(images, (dy, x, out, argmax, dx))
    gradients = {"dx": dx, "dweight": filters(dweight), "dbias": dbias}
    return conv.conv2d_backward(op.as_2d, dy, x, filters(weight), out, argmax, **gradients, scratch=scratch)


def max_pool1d(op, x, *, out, argmax):
    return pool.max_pool2d(op.as_2d, images(x), out=images(out), argmax=images(argmax))


def max_pool1d_backward(op, dy, argmax, *, dx):
    return pool.max_pool2d_backward(op.as_2d, images(dy), images(argmax), dx=images(dx))


def avg_pool1d(op, x, *, out):
    return pool.avg_pool2d(op.as_2d, images(x), out=images(out))


def avg_pool1d_backward(op, dy, *, dx):
    return pool.avg_pool2d_backward(op.as_2d, images(dy), dx=images(dx))


def global_avg_pool1d(op, x, *, out):
    return pool.global_avg_pool2d(op.as_2d, images(x), out=out)


def global_avg_pool1d_backward(op, dy, *, dx):
    return pool.global_avg_pool2d_backward(op.as_2d, dy, dx=images(dx))


def images(array):
    """View (N, L, C) as (N, 1, L, C)."""
    return None if array is None else array.reshape(of_height_one(array.shape))


def filters(weight):
    """View a weight (KW, C / groups, K) as (1, KW, C / groups, K)."""
    return None if weight is None else weight.reshape(1, *weight.shape)
