"""The ops in PyTorch, forward and backward as autograd calls them, without autograd's own cost.

Each function takes a case and its tensors, images as (N, C, H, W) in the layout that is measured, and returns a call
per direction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from .arrays import Arrays
from .cases import Case
from .torch_nets import LAYOUTS

aten = torch.ops.aten
Calls = dict[str, Callable[[], object]]


def calls(case: Case, arrays: Arrays, device: str = "cpu") -> dict[str, Calls]:
    """By name of the form ("torch channels_last") and direction, the calls of an op; on a GPU they only launch it."""
    device = device if device.startswith("cuda") else "cpu"
    if case.kind.name in UPDATES:
        return {f"torch {form}": update(case, arrays, device, **{form: True}) for form in ("fused", "foreach")}
    make = OPS[case.kind.name]
    if len(case.inputs[0]) < 4:
        return {"torch": make(case, _tensors(case, arrays, torch.contiguous_format, device))}
    return {name: make(case, _tensors(case, arrays, layout, device)) for name, layout in LAYOUTS.items()}


def _tensors(case: Case, arrays: Arrays, layout, device: str) -> dict[str, torch.Tensor]:
    """Arrays in PyTorch's order of axes."""
    tensors = {}
    for name, array in arrays.items():
        is_weight = name in case.op.canonical_axes
        axes = case.op.axes_outside(name, array.ndim) if is_weight else (0, 3, 1, 2) if array.ndim == 4 else None
        ordered = np.ascontiguousarray(array.transpose(axes) if axes else array)
        tensor = torch.from_numpy(ordered).to(device)
        tensors[name] = tensor.contiguous(memory_format=layout) if array.ndim == 4 else tensor
    return tensors


def conv2d(case: Case, t) -> Calls:
    x, weight, dy, op = t["x"], t["weight"], t["dy"], case.op
    pads = [case.shape["padding"]] * 2
    options = list(op.stride), pads, list(op.dilation)

    def backward(*wanted):
        return lambda: aten.convolution_backward(
            dy, x, weight, None, *options, False, [0, 0], op.groups, [*wanted, False]
        )

    return {
        "forward": lambda: torch.conv2d(x, weight, None, *options, op.groups),
        "input_grad": backward(True, False),
        "weight_grad": backward(False, True),
    }


def linear(case: Case, t) -> Calls:
    x, weight, bias, dy = t["x"], t["weight"], t["bias"], t["dy"]
    return {
        "forward": lambda: F.linear(x, weight, bias),
        "input_grad": lambda: dy.mm(weight),
        "weight_grad": lambda: (dy.t().mm(x), dy.sum(0)),
    }


def maxpool2d(case: Case, t) -> Calls:
    x, dy, options = t["x"], t["dy"], (*_window(case), [1, 1], False)
    _, argmax = aten.max_pool2d_with_indices(x, *options)
    return {
        "forward": lambda: aten.max_pool2d_with_indices(x, *options),
        "backward": lambda: aten.max_pool2d_with_indices_backward(dy, x, *options, argmax),
    }


def avgpool2d(case: Case, t) -> Calls:
    x, dy, options = t["x"], t["dy"], (*_window(case), False, True, None)
    return {
        "forward": lambda: aten.avg_pool2d(x, *options),
        "backward": lambda: aten.avg_pool2d_backward(dy, x, *options),
    }


def globalavgpool(case: Case, t) -> Calls:
    x, dy = t["x"], t["dy"]
    share = 1 / (case.shape["H"] * case.shape["W"])
    like = {"memory_format": torch.channels_last} if x.is_contiguous(memory_format=torch.channels_last) else {}
    return {
        "forward": lambda: x.mean((2, 3)),
        "backward": lambda: (dy * share)[:, :, None, None].expand_as(x).contiguous(**like),
    }


def batchnorm(case: Case, t) -> Calls:
    x, weight, bias, mean, var, dy, op = (
        *(t[name] for name in ("x", "weight", "bias", "running_mean", "running_var", "dy")),
        case.op,
    )
    mean, var = mean.clone(), var.clone()

    def forward():
        return aten.native_batch_norm(x, weight, bias, mean, var, op.training, op.momentum, op.eps)

    _, *saved = forward()
    return {
        "forward": forward,
        "backward": lambda: aten.native_batch_norm_backward(
            dy, x, weight, mean, var, *saved, op.training, op.eps, [True, True, True]
        ),
    }


def relu(case: Case, t) -> Calls:
    x, dy = t["x"], t["dy"]
    out = aten.relu(x)
    return {"forward": lambda: aten.relu(x), "backward": lambda: aten.threshold_backward(dy, out, 0)}


def add(case: Case, t) -> Calls:
    """The gradient of a sum is handed on as it is, to both sides: there is nothing to time."""
    x, other = t["x"], t["other"]
    return {"forward": lambda: torch.add(x, other)}


def dropout(case: Case, t) -> Calls:
    x, dy, op = t["x"], t["dy"], case.op
    _, mask = aten.native_dropout(x, op.p, True)
    return {
        "forward": lambda: aten.native_dropout(x, op.p, True),
        "backward": lambda: aten.native_dropout_backward(dy, mask, op.scale),
    }


def flatten(case: Case, t) -> Calls:
    """Of images in (N, C, H, W) this is a view, which takes no time: only the other layout is measured."""
    x, dy = t["x"], t["dy"]
    if x.is_contiguous() and not x.is_contiguous(memory_format=torch.channels_last):
        return {}
    return {
        "forward": lambda: x.flatten(1),
        "backward": lambda: dy.view(x.shape).contiguous(memory_format=torch.channels_last),
    }


def cross_entropy(case: Case, t) -> Calls:
    x, labels, dy = t["x"], t["labels"], t["dy"][0]
    log_probabilities = aten._log_softmax(x, 1, False)
    _, total = aten.nll_loss_forward(log_probabilities, labels, None, 1, -100)

    def backward():
        d = aten.nll_loss_backward(dy, log_probabilities, labels, None, 1, -100, total)
        return aten._log_softmax_backward_data(d, log_probabilities, 1, x.dtype)

    return {"forward": lambda: F.cross_entropy(x, labels), "backward": backward}


def update(case: Case, arrays: Arrays, device: str, **form) -> Calls:
    """An optimiser's step over tensors of about the same size."""
    params, grads = (
        torch.from_numpy(arrays[name].copy()).to(device).tensor_split(case.shape["tensors"])
        for name in ("param", "grad")
    )
    learned = [torch.nn.Parameter(param.clone()) for param in params]
    for param, grad in zip(learned, grads, strict=True):
        param.grad = grad.clone()
    return {"forward": UPDATES[case.kind.name](learned, case.op, form).step}


def _sgd(params, op, form):
    return torch.optim.SGD(params, lr=op.lr, momentum=op.momentum, **form)


def _adam(params, op, form):
    return torch.optim.Adam(params, lr=op.lr, **form)


def _window(case: Case):
    op, padding = case.op, case.shape["padding"]
    return list(op.kernel_size), list(op.stride), [padding, padding]


UPDATES = {"sgd": _sgd, "adam": _adam}
OPS = {
    function.__name__: function
    for function in (
        *(conv2d, maxpool2d, avgpool2d, globalavgpool, batchnorm, relu, linear, cross_entropy),
        *(add, dropout, flatten),
    )
}
