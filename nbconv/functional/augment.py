"""Normalisation, random flips and crops on arrays."""

from __future__ import annotations

from ..ops.augment import Normalize, RandomCrop, RandomHorizontalFlip
from .call import Call
from .dropout import call_at_random


def normalize(x, mean=0.0, std=1.0, scale=1 / 255, dtype="float32", device="cpu", data_format="NCHW"):
    """Compute (x * scale - mean) / std, channel by channel; bytes become numbers of ``dtype``. See ``Normalize``."""
    return Call(Normalize(mean, std, scale), device, data_format, dtype, x=x).forward()


def normalize_backward(dy, x, mean=0.0, std=1.0, scale=1 / 255, device="cpu", data_format="NCHW"):
    """Return dx of ``normalize``: dy * scale / std.

    ``normalize_backward(dy, x, scale=1, std=0.5)``: dy and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    return Call(Normalize(mean, std, scale), device, data_format, x=x).backward(dy)


def random_horizontal_flip(x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Exchange left and right in each image with probability ``p``; ``seed`` and ``step`` decide in which.

    x is uint8, float32 or float64, and so is the result.
    """
    op = RandomHorizontalFlip(p, training=training)
    return call_at_random(op, x, seed, step, device, data_format).forward()


def random_horizontal_flip_backward(dy, x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``random_horizontal_flip`` with the same ``seed`` and ``step``: dy, turned back.

    ``random_horizontal_flip_backward(dy, x)``: dy and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    op = RandomHorizontalFlip(p, training=training)
    return call_at_random(op, x, seed, step, device, data_format).backward(dy)


def random_crop(x, size=None, padding=0, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Put zeros round images and cut a window out of each; ``seed`` and ``step`` decide where. See ``RandomCrop``.

    x is uint8, float32 or float64, and so is the result.
    """
    op = RandomCrop(size, padding, training=training)
    return call_at_random(op, x, seed, step, device, data_format).forward()


def random_crop_backward(dy, x, size=None, padding=0, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``random_crop`` with the same ``seed`` and ``step``.

    ``random_crop_backward(dy, x, 28)``: dy (8, 3, 28, 28) and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    op = RandomCrop(size, padding, training=training)
    return call_at_random(op, x, seed, step, device, data_format).backward(dy)
