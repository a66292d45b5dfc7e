"""The same convolutions by others. What a rival needs beside its kernel (layouts, gradients) is made before timing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .shapes import ConvShape

Call = Callable[[], object]


def torch_calls(
    shape: ConvShape, direction: str, arrays: dict[str, np.ndarray], threads: int | None
) -> dict[str, Call]:
    """PyTorch in both of its layouts; ``arrays`` are x, weight and dy in PyTorch's order of axes."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    options = [shape.stride] * 2, [shape.padding] * 2, [1, 1]
    calls = {}
    for name, layout in ("torch NCHW", torch.contiguous_format), ("torch channels_last", torch.channels_last):
        x, weight, dy = (torch.from_numpy(arrays[n]).contiguous(memory_format=layout) for n in ("x", "weight", "dy"))
        calls[name] = _torch_call(torch, direction, x, weight, dy, options, shape.groups)
    return calls


def _torch_call(torch, direction: str, x, weight, dy, options, groups: int) -> Call:
    if direction == "forward":
        return lambda: torch.conv2d(x, weight, None, *options, groups)
    wanted = [direction == "input_grad", direction == "weight_grad", False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(dy, x, weight, None, *options, False, [0, 0], groups, wanted)
