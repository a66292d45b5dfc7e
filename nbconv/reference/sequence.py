"""Convolution and pooling of sequences (N, L, C), as of images of height 1."""

from . import conv, pool


def conv1d(op, x, weight, bias, *, out, argmax, scratch):
    x, weight, out, argmax = tall(x), weight[None], tall(out), tall(argmax)
    return conv.conv2d(op.as_2d, x, weight, bias, out=out, argmax=argmax, scratch=scratch)


def conv1d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    dy, x, out, argmax, dx = map(tall, (dy, x, out, argmax, dx))
    dweight = None if dweight is None else dweight[None]
    gradients = {"dx": dx, "dweight": dweight, "dbias": dbias}
    return conv.conv2d_backward(op.as_2d, dy, x, weight[None], out, argmax, **gradients, scratch=scratch)


def max_pool1d(op, x, *, out, argmax):
    return pool.max_pool2d(op.as_2d, tall(x), out=tall(out), argmax=tall(argmax))


def max_pool1d_backward(op, dy, argmax, *, dx):
    return pool.max_pool2d_backward(op.as_2d, tall(dy), tall(argmax), dx=tall(dx))


def avg_pool1d(op, x, *, out):
    return pool.avg_pool2d(op.as_2d, tall(x), out=tall(out))


def avg_pool1d_backward(op, dy, *, dx):
    return pool.avg_pool2d_backward(op.as_2d, tall(dy), dx=tall(dx))


def global_avg_pool1d(op, x, *, out):
    return pool.global_avg_pool2d(op.as_2d, tall(x), out=out)


def global_avg_pool1d_backward(op, dy, *, dx):
    return pool.global_avg_pool2d_backward(op.as_2d, dy, dx=tall(dx))


def tall(array):
    """View (N, L, C) as (N, 1, L, C)."""
    return None if array is None else array[:, None]
