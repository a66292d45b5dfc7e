"""Normalisation of groups of channels of images: group norm, and instance norm with a channel per group.

Arrays are flat, and each sample is taken as lines of some pixels (``channel_lines.py``). Sums are by channel, as in
batch norm (``norm.py``), and are joined by group: what a channel's values vary by, and what its mean is away from that
of the group. A sample is summed and mapped in one go, while the cache has it. Where samples are few and large, each is
shared by all threads, in batch norm's kernels.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange, uint64

from ..ops.base import Buffer
from .channel_lines import (
    block_columns,
    line_width,
    map_stretches,
    repeat_pixel,
)
from .chunks import build, flat
from .compile import helper, kernel, sequential
from .moments import choose_pivots, sum_moments, sum_piece
from .norm import (
    input_gradient,
    map_pieces,
    or_constant,
    piece_size,
    spread_piece,
    sum_buffer,
    sum_gradient_piece,
    sum_gradients,
    total_of_pieces,
)
from .row_norm import bind_parameter_gradients

CHUNKS = 32
"""Into how many chunks samples are dealt at most; each has sums and maps of its own."""

FEW, LARGE = 8, 65536
"""Fewer samples than ``FEW``, of more than ``LARGE`` numbers, are shared by all threads one by one."""


SAMPLED = 512
"""Numbers at the beginning of a sample whose means, by channel, are the pivots of its sums."""


@kernel
def _normalize(x, channels, block, eps, weight, bias, sums, centre, scale, shift, mean, inv_std, out):
    samples = len(mean)
    size, share, width = x.size // samples, (samples + len(sums) - 1) // len(sums), sums.shape[2]
    first = min(size, max(1, SAMPLED // width) * width)
    for chunk in prange(len(sums)):
        pivots, totals, squares = sums[chunk, 0], sums[chunk, 1], sums[chunk, 2]
        maps = centre[chunk], scale[chunk], shift[chunk]
        for n in range(chunk * share, min(samples, (chunk + 1) * share)):
            choose_pivots(x, n * size, first, block, channels, pivots, totals, squares)
            sum_piece(x, n * size, size, block, channels, pivots, totals, squares)
            _join_channels(pivots, totals, squares, size // channels, channels, eps, mean[n], inv_std[n])
            _forward_map(mean[n], inv_std[n], weight, bias, maps)
            map_stretches(x, n * size, size, block, maps, False, out)


@helper
def _join_channels(pivots, totals, squares, pixels, channels, eps, mean, inv_std):
    """Statistics of a sample's groups from its channels' sums (Chan, Golub & LeVeque, 1983), which are used up."""
    means, variances, share = totals, squares, 1 / np.float64(pixels)
    for c in range(uint64(channels)):
        offset = totals[c] * share
        variance = squares[c] * share - offset * offset
        means[c] = pivots[c] + offset
        variances[c] = 0.0 if variance < 0 else variance
    groups, size = uint64(mean.size), uint64(channels // mean.size)
    for g in range(groups):
        total, spread = 0.0, 0.0
        for c in range(g * size, (g + uint64(1)) * size):
            total += means[c]
        mean[g] = total / size
        for c in range(g * size, (g + uint64(1)) * size):
            away = means[c] - mean[g]
            spread += away * away + variances[c]
        inv_std[g] = 1 / np.sqrt(spread / size + eps)


@helper
def _forward_map(mean, inv_std, weight, bias, maps):
    """out = (x - centre) * scale + shift."""
    centre, scale, shift = maps
    groups, size = uint64(mean.size), uint64(weight.size // mean.size)
    for g in range(groups):
        for c in range(g * size, (g + uint64(1)) * size):
            centre[c] = mean[g]
            scale[c] = inv_std[g] * weight[c]
            shift[c] = bias[c] - (mean[g] - centre[c]) * inv_std[g] * weight[c]
    repeat_pixel(maps, weight.size)


@kernel
def _spread(
    dy, x, is_wanted, block, weight, mean, inv_std, sums, centre, scale, slope, shift, parameter_sums, dx
):  # fmt: skip
    """Write dx, if wanted, and the sums over each chunk of samples that dbias and dweight are made of."""
    samples, channels = len(mean), weight.size
    size, share = x.size // samples, (samples + len(sums) - 1) // len(sums)
    for chunk in prange(len(sums)):
        totals, products = sums[chunk, 0], sums[chunk, 1]
        maps = centre[chunk], scale[chunk], slope[chunk], shift[chunk]
        _clear(parameter_sums[chunk])
        for n in range(chunk * share, min(samples, (chunk + 1) * share)):
            _take_centres(mean[n], channels, maps[0])
            sum_gradient_piece(dy, x, x, False, n * size, size, block, channels, maps[0], totals, products)
            _backward_map(totals, products, mean[n], inv_std[n], size // channels, weight, parameter_sums[chunk], maps)
            if is_wanted:
                spread_piece(dy, x, x, False, True, n * size, size, block, maps, dx)


@helper
def _clear(sums):
    for c in range(sums.shape[1]):
        sums[0, c], sums[1, c] = 0, 0


@helper
def _take_centres(mean, channels, centre):
    groups, size = uint64(mean.size), uint64(channels // mean.size)
    for g in range(groups):
        for c in range(g * size, (g + uint64(1)) * size):
            centre[c] = mean[g]
    repeat_pixel((centre,), channels)


@helper
def _backward_map(totals, products, mean, inv_std, pixels, weight, sums, maps):
    """dx = dy * scale + (x - centre) * slope + shift; what dbias and dweight get from this sample is added to sums."""
    centre, scale, slope, shift = maps
    groups, size = uint64(mean.size), uint64(weight.size // mean.size)
    for g in range(groups):
        rest, factor = mean[g] - centre[g * size], inv_std[g]
        total, product = 0.0, 0.0
        for c in range(g * size, (g + uint64(1)) * size):
            along_x = products[c] - totals[c] * rest
            sums[0, c] += totals[c]
            sums[1, c] += along_x * factor
            total += totals[c] * weight[c]
            product += along_x * weight[c]
        total, along = total / (pixels * size), factor * factor * product / (pixels * size)
        for c in range(g * size, (g + uint64(1)) * size):
            scale[c] = factor * weight[c]
            slope[c] = -along * factor
            shift[c] = (rest * along - total) * factor
    repeat_pixel((scale, slope, shift), weight.size)


@sequential
def _settle(sums, pivots, pixels, eps, weight, bias, totals, mean, inv_std, maps):
    """Statistics and maps of one sample from sums over its pieces."""
    total_of_pieces(sums, totals[0], totals[1])
    _join_channels(pivots, totals[0], totals[1], pixels, weight.size, eps, mean, inv_std)
    _forward_map(mean, inv_std, weight, bias, maps)


@sequential
def _take_means(mean, means):
    _take_centres(mean, means.size, means)


@sequential
def _settle_gradients(sums, totals, mean, inv_std, pixels, weight, is_first, parameter_sums, maps):
    """Maps of one sample from sums over its pieces, and what dbias and dweight get from it."""
    total_of_pieces(sums, totals[0], totals[1])
    if is_first:
        _clear(parameter_sums)
    _backward_map(totals[0], totals[1], mean, inv_std, pixels, weight, parameter_sums, maps)


def bind_forward(op, x, weight, bias, mean, inv_std, out, scratch):
    weight, bias = or_constant(weight, 1, x), or_constant(bias, 0, x)
    if is_split(x.shape):
        samples = zip(x, mean, inv_std, out, strict=True)
        return _in_turn([_bind_sample(op, *sample, weight, bias, scratch) for sample in samples])
    call, block, eps = build(_normalize, 3 * x.size), block_columns(x.dtype), float(op.eps)
    operands = (
        flat(x),
        x.shape[-1],
        block,
        eps,
        weight,
        bias,
        scratch["sums"],
        *scratch["maps"],
        mean,
        inv_std,
        flat(out),
    )
    return lambda: call(*operands)


def _bind_sample(op, x, mean, inv_std, out, weight, bias, scratch):
    channels, eps, x, out = x.shape[-1], float(op.eps), flat(x), flat(out)
    sums, pivots, totals, maps = scratch["sums"], scratch["pivots"], tuple(scratch["totals"]), tuple(scratch["maps"])
    piece, block, pixels = piece_size(x.size, pivots.size), block_columns(x.dtype), x.size // channels

    def run():
        sum_moments(x, piece, block, channels, pivots, sums)
        _settle(sums, pivots, pixels, eps, weight, bias, totals, mean, inv_std, maps)
        map_pieces(x, piece, block, maps, False, out)

    return run


def bind_backward(op, dy, x, weight, mean, inv_std, dx, dweight, dbias, scratch):
    weight, sums = or_constant(weight, 1, x), scratch["parameter_sums"]
    if is_split(x.shape):
        wanted = [None] * len(x) if dx is None else dx
        samples = zip(dy, x, mean, inv_std, wanted, strict=True)
        calls = [_bind_sample_backward(i == 0, *sample, weight, scratch) for i, sample in enumerate(samples)]
    else:
        call, block, is_wanted = build(_spread, 4 * x.size), block_columns(x.dtype), dx is not None
        arrays = weight, mean, inv_std, scratch["sums"], *scratch["maps"], sums, flat(dx if is_wanted else x)
        operands = flat(dy), flat(x), is_wanted, block, *arrays
        calls = [lambda: call(*operands)]
    return _in_turn([*calls, *bind_parameter_gradients(sums, dweight, dbias)])


def _bind_sample_backward(is_first, dy, x, mean, inv_std, dx, weight, scratch):
    dy, x, sums, means = flat(dy), flat(x), scratch["sums"], scratch["means"]
    totals, maps, parameter_sums = tuple(scratch["totals"]), tuple(scratch["maps"]), scratch["parameter_sums"][0]
    piece, block, pixels = piece_size(x.size, maps[0].size), block_columns(x.dtype), x.size // weight.size
    result = None if dx is None else flat(dx)

    def run():
        _take_means(mean, means)
        sum_gradients(dy, x, dy, False, piece, block, means, maps[0], sums)
        _settle_gradients(sums, totals, mean, inv_std, pixels, weight, is_first, parameter_sums, maps)
        if result is not None:
            input_gradient(dy, x, dy, False, True, piece, block, maps, result)

    return run


def _in_turn(calls):
    def run():
        for call in calls:
            call()

    return run


def is_split(x):
    """Whether samples are so few and so large that each is shared by all threads."""
    return x[0] < FEW and prod(x[1:]) > LARGE


def forward_scratch(op, dtype, x):
    width, chunks = line_width(x[-1], dtype), min(x[0], CHUNKS)
    if not is_split(x):
        return {"sums": Buffer((chunks, 3, width), "float64"), "maps": Buffer((3, chunks, width), dtype)}
    pivots, totals = Buffer((width,), "float64"), Buffer((2, x[-1]), "float64")
    return {
        "sums": sum_buffer(prod(x[1:]), width),
        "pivots": pivots,
        "totals": totals,
        "maps": Buffer((3, width), dtype),
    }


def backward_scratch(op, dtype, x):
    width, chunks = line_width(x[-1], dtype), min(x[0], CHUNKS)
    if not is_split(x):
        sums, maps = Buffer((chunks, 2, width), "float64"), Buffer((4, chunks, width), dtype)
        return {"sums": sums, "maps": maps, "parameter_sums": Buffer((chunks, 2, x[-1]), "float64")}
    totals, means = Buffer((2, x[-1]), "float64"), Buffer((x[-1],), "float64")
    sums, maps = sum_buffer(prod(x[1:]), width), Buffer((4, width), dtype)
    parameter_sums = Buffer((1, 2, x[-1]), "float64")
    return {"sums": sums, "totals": totals, "means": means, "maps": maps, "parameter_sums": parameter_sums}
