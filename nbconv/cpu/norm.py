"""Batch normalisation on the CPU. Arrays are flat, and taken as lines of some pixels each (``channel_lines.py``).

Forward, one pass sums the distances of all values from a pivot, and their squares (``moments.py``), unless the
convolution before has done so; ``_settle`` turns such sums into statistics and into a map per channel; a second pass
applies that map, rectifies, and pools if a pool is fused.

What is applied per element is an affine map of x - centre, where the centre is the mean rounded to the plan's dtype.
The difference is exact where it matters, around the mean; what rounding took from the mean is in the shift.

Behind a fused pool, backward sums over the winners alone, which forward has kept.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .channel_lines import (
    add_products,
    block_columns,
    fold_line,
    gradient_rows,
    line_width,
    map_stretches,
    repeat_pixel,
    stretch,
    stretch_count,
)
from .chunks import build, flat
from .compile import helper, kernel, sequential
from .fused_pool import pool_record, taps_inside, whole_windows
from .moments import is_finite, join_strips, sum_moments
from .pool_tiles import find_normalized_winner
from .unpool import bind_return
from .vector import lanes

PIECES = 64
"""Into how many pieces a large array is cut; each is summed by itself."""

LEAST = 4096
"""The fewest numbers of a piece that are worth it."""


@kernel
def sum_gradients(dy, x, out, relu, piece, block, mean, centre, sums):
    """Sums over each piece, by channel: of dy, and of dy * (x - centre); dy counts where the ReLU let it pass."""
    channels = mean.size
    for c in range(centre.size):
        centre[c] = mean[c % channels]
    for p in prange(len(sums)):
        start = p * piece
        size = min(piece, x.size - start)
        sum_gradient_piece(dy, x, out, relu, start, size, block, channels, centre, sums[p, 0], sums[p, 1])


@helper
def sum_gradient_piece(dy, x, out, relu, start, size, block, channels, centre, totals, products):
    """The sums over ``size`` numbers from ``start``, where a pixel begins."""
    width = centre.size
    for c in range(width):
        totals[c], products[c] = 0, 0
    for i in range(stretch_count(size, width)):
        first, rows, end = stretch(i, size, width)
        for at in range(0, end, block):
            columns, place = min(block, end - at), start + first + at
            add_products(dy, x, out, relu, place, width, rows, columns, centre, at, totals, products)
    fold_line(totals, channels)
    fold_line(products, channels)


@kernel
def map_pieces(x, piece, block, maps, relu, out):
    for p in prange((x.size + piece - 1) // piece):
        size = min(piece, x.size - p * piece)
        map_stretches(x, p * piece, size, block, maps, relu, out)


@kernel
def _normalize_and_pool(x, pool, images, lanes, maps, relu, out, argmax, winners):
    """Pool what normalising gives, and keep the position and the value of each window's winner; by rows of windows."""
    for row in prange(images * pool[0].height):
        p = pool[0]
        n, i, size, kernel_w, width = row // p.height, row % p.height, p.channels, p.kernel_w, p.width
        line, step, (first_whole, end_whole) = p.image_width * size, p.step_w * size, whole_windows(p)
        top = i * p.step_h - p.pad_top
        r = taps_inside(top, p.kernel_h, 1, p.image_height)
        first, place = (n * p.image_height + top) * line - p.pad_left * size, row * width * size
        for c in range(0, size, lanes):
            count = min(lanes, size - c)
            for j in range(width):
                start, at, s = first + j * step + c, place + j * size + c, (0, kernel_w)
                if j < first_whole or j >= end_whole:
                    s = taps_inside(j * p.step_w - p.pad_left, kernel_w, 1, p.image_width)
                find_normalized_winner(
                    x, start, r, s, (line, size), kernel_w, count, maps, c, relu, out, argmax, winners, at
                )


@kernel
def input_gradient(dy, x, out, relu, follows_x, piece, block, maps, dx):
    for p in prange((dx.size + piece - 1) // piece):
        start = p * piece
        spread_piece(dy, x, out, relu, follows_x, start, min(piece, dx.size - start), block, maps, dx)


@helper
def spread_piece(dy, x, out, relu, follows_x, start, size, block, maps, dx):
    """The input gradient of ``size`` numbers from ``start``, where a pixel begins."""
    width = maps[0].size
    for i in range(stretch_count(size, width)):
        first, rows, end = stretch(i, size, width)
        for at in range(0, end, block):
            columns, place = min(block, end - at), start + first + at
            gradient_rows(dy, x, out, relu, follows_x, place, width, rows, columns, maps, at, dx)


@sequential
def _settle(sums, pivots, n, momentum, running_mean, running_var, mean, variance):
    """Mean and (biased) variance of each channel from the sums over pieces; the running values move towards them."""
    total_of_pieces(sums, mean, variance)
    for c in range(mean.size):
        offset = mean[c] / n
        spread = variance[c] / n - offset * offset
        mean[c] = pivots[c] + offset
        variance[c] = 0 if spread < 0 else spread
    _learn(mean, variance, n, momentum, running_mean, running_var)


@helper
def total_of_pieces(sums, first, second):
    """Add up the sums over pieces, in order."""
    for c in range(first.size):
        first[c], second[c] = 0, 0
    for p in range(len(sums)):
        for c in range(first.size):
            first[c] += sums[p, 0, c]
            second[c] += sums[p, 1, c]


@helper
def _learn(mean, variance, n, momentum, running_mean, running_var):
    """Move the running values towards this batch's, where that is finite; the variance learnt is the unbiased one."""
    number = running_mean.dtype.type
    for c in range(mean.size):
        new_mean = number((1 - momentum) * running_mean[c] + momentum * mean[c])
        new_var = number((1 - momentum) * running_var[c] + momentum * variance[c] * n / (n - 1))
        if is_finite(new_mean) and is_finite(new_var):
            running_mean[c], running_var[c] = new_mean, new_var


@sequential
def _recall(running_mean, running_var, mean, variance):
    """Take the running values for the statistics."""
    for c in range(mean.size):
        mean[c], variance[c] = running_mean[c], running_var[c]


@sequential
def _forward_map(mean, variance, eps, weight, bias, inv_std, maps):
    """out = (x - centre) * scale + shift."""
    centre, scale, shift = maps
    for c in range(mean.size):
        inv_std[c] = 1 / np.sqrt(variance[c] + eps)
        centre[c] = mean[c]
        scale[c] = inv_std[c] * weight[c]
        rest = (mean[c] - centre[c]) * inv_std[c] * weight[c]
        shift[c] = bias[c] - (rest if is_finite(rest) else 0)
    repeat_pixel(maps, mean.size)


@sequential
def _backward_map(sums, mean, inv_std, weight, n, totals, maps, dweight, dbias):
    """dx = dy * scale + (x - centre) * slope + shift: the batch's mean and variance depend on x too.

    Returns whether all factors are finite. One that is not would make infinities of both signs of the three terms: it
    is left out, and ``_scale_by_infinities`` multiplies their sum by it.
    """
    centre, scale, slope, shift = maps
    total, product = totals
    total_of_pieces(sums, total, product)
    finite = True
    for c in range(mean.size):
        rest = total[c] * (mean[c] - centre[c])
        product[c] -= rest if is_finite(rest) else 0
        dweight[c], dbias[c] = product[c] * inv_std[c], total[c]
        factor = inv_std[c] * weight[c]
        if not is_finite(factor):
            factor, finite = 1.0, False
        along = inv_std[c] * inv_std[c] * product[c] / n
        scale[c] = factor
        slope[c] = -along * factor
        rest = (mean[c] - centre[c]) * along
        shift[c] = ((rest if is_finite(rest) else 0) - total[c] / n) * factor
    repeat_pixel((scale, slope, shift), mean.size)
    return finite


@sequential
def _scale_by_infinities(inv_std, weight, dx):
    """Multiply by the factors that ``_backward_map`` has left out."""
    for c in range(weight.size):
        factor = inv_std[c] * weight[c]
        if not is_finite(factor):
            for i in range(c, dx.size, weight.size):
                dx[i] *= factor


def batch_norm(op, x, weight, bias, running_mean, running_var, *, out, mean, inv_std, argmax, winners, scratch):
    measure = _bind_measure(op, x, running_mean, running_var, mean, scratch)
    weight, bias = or_constant(weight, 1, x), or_constant(bias, 0, x)
    variance, maps, eps = scratch["variance"], tuple(scratch["maps"]), float(op.eps)
    apply = _bind_map(op, x, maps, out, argmax, winners)

    def run():
        measure()
        _forward_map(mean, variance, eps, weight, bias, inv_std, maps)
        apply()

    return run


def _bind_map(op, x, maps, out, argmax, winners):
    """Return the call that computes the output from x and the maps, pooled where a pool is fused."""
    relu = op.activation == "relu"
    if not op.pool:
        normalize, piece, block = (
            build(map_pieces, 2 * x.size),
            piece_size(x.size, maps[0].size),
            block_columns(x.dtype),
        )
        x, out = flat(x), flat(out)
        return lambda: normalize(x, piece, block, maps, relu, out)
    call, record = build(_normalize_and_pool, 4 * x.size), pool_record(op.pool, x.shape)
    operands = flat(x), record, len(x), lanes(x.dtype), maps, relu, flat(out), flat(argmax), flat(winners)
    return lambda: call(*operands)


def _bind_measure(op, x, running_mean, running_var, mean, scratch):
    """Return the call that computes the mean and the variance that forward uses."""
    variance = scratch["variance"]
    if not op.training:
        return lambda: _recall(running_mean, running_var, mean, variance)
    n, momentum, pivots = x.size // x.shape[-1], float(op.momentum), scratch["pivots"]
    sums, sum_up = _bind_sums(x, pivots, scratch)

    def measure():
        sum_up()
        _settle(sums, pivots, n, momentum, running_mean, running_var, mean, variance)

    return measure


def _bind_sums(x, pivots, scratch):
    """Return the sums over pieces and the call that computes them, or takes what a convolution has left of them."""
    sums, channels = scratch["sums"], x.shape[-1]
    if "moments" in scratch:
        moments, joined = scratch["moments"], sums[:1]
        return joined, lambda: join_strips(moments, channels, pivots, joined)
    call, block = build(sum_moments, 2 * x.size), block_columns(x.dtype)
    piece, x = piece_size(x.size, pivots.size), flat(x)
    return sums, lambda: call(x, piece, block, channels, pivots, sums)


def batch_norm_backward(op, dy, x, weight, out, mean, inv_std, argmax, winners, *, dx, dweight, dbias, scratch):
    channels, n, relu = x.shape[-1], x.size // x.shape[-1], op.activation == "relu"
    dweight, dbias = (np.empty(channels, x.dtype) if gradient is None else gradient for gradient in (dweight, dbias))
    maps, totals, sums = tuple(scratch["maps"]), tuple(scratch["totals"]), scratch["sums"]
    seen, weight = winners if op.pool else x, or_constant(weight, 1, x)
    gate = out if relu else dy  # an array that is not looked at
    add_up, piece, block = (
        build(sum_gradients, 3 * seen.size),
        piece_size(seen.size, maps[0].size),
        block_columns(x.dtype),
    )
    operands = flat(dy), flat(seen), flat(gate), relu, piece, block, mean, maps[0], sums

    def sum_up():
        add_up(*operands)
        return _backward_map(sums, mean, inv_std, weight, n, totals, maps, dweight, dbias)

    if dx is None:
        return sum_up
    spread, dx = _bind_input_gradient(op, dy, x, gate, argmax, maps, dx), flat(dx)

    def run():
        finite = sum_up()
        spread()
        if not finite:
            _scale_by_infinities(inv_std, weight, dx)

    return run


def _bind_input_gradient(op, dy, x, gate, argmax, maps, dx):
    relu, (centre, scale, slope, shift) = op.activation == "relu", maps
    if op.pool:
        seen, below = (x, (centre, slope, shift)) if op.training else (None, None)
        return bind_return(op.pool, relu, dy, gate, argmax, scale, seen, below, dx)
    call, piece, block = build(input_gradient, 3 * x.size), piece_size(x.size, centre.size), block_columns(x.dtype)
    operands = flat(dy), flat(x), flat(gate), relu, op.training, piece, block, maps, flat(dx)
    return lambda: call(*operands)


def forward_scratch(op, dtype, x):
    width = line_width(x[-1], dtype)
    sums = {"pivots": Buffer((width,), "float64"), "sums": sum_buffer(prod(x), width)} if op.training else {}
    return {"variance": Buffer((x[-1],), "float64"), "maps": Buffer((3, width), dtype), **sums}


def backward_scratch(op, dtype, x):
    width = line_width(x[-1], dtype)
    sums = {"totals": Buffer((2, x[-1]), "float64"), "sums": sum_buffer(prod(op.out_shape(x)), width)}
    return {"maps": Buffer((4, width), dtype), **sums}


def piece_size(size, width):
    """Return the numbers of a piece: whole lines."""
    return -(-max(LEAST, size // PIECES) // width) * width


def sum_buffer(size, width):
    """Two sums for each piece and column."""
    return Buffer((-(-size // piece_size(size, width)), 2, width), "float64")


def or_constant(param, value, x):
    """The parameter, or what stands for it in an op that has none."""
    return np.full(x.shape[-1], value, x.dtype) if param is None else param
