"""One op, its arrays, one device: from names to bound calls. The plan and ``functional`` both bind here."""

from __future__ import annotations

from collections.abc import Mapping

from ..ops.base import Op
from .registry import Device, kernels, prepare


def bind_prepare(op: Op, device: Device, arrays: Mapping, scratch: Mapping):
    """Return the call that computes what depends on the parameters alone, or ``None``."""
    return prepare(op, device, {name: arrays.get(name) for name in op.params}, dict(scratch))


def bind_forward(op: Op, device: Device, arrays: Mapping, scratch: Mapping):
    """Return the zero-argument call that computes ``arrays["out"]`` (and what is saved) from the operands.

    ``arrays`` has the operands by the names of the op's class; what is missing is passed as ``None``.
    """
    forward, _ = kernels(type(op), device)
    operands = [arrays.get(name) for name in (*op.inputs, *op.params, *op.state, *op.context)]
    results = {name: arrays.get(name) for name in ("out", *op.saved)}
    return forward(op, *operands, **results, **_scratch(op, scratch))


def bind_backward(op: Op, device: Device, arrays: Mapping, gradients: Mapping, scratch: Mapping):
    """Return the zero-argument call that computes the wanted gradients from ``gradients["out"]``.

    ``gradients`` has arrays by the names of inputs and parameters; what is missing is not wanted.
    """
    _, backward = kernels(type(op), device)
    needed = op.reads_in_backward()
    operands = [arrays.get(name) if name in needed else None for name in op.backward_reads]
    wanted = {f"d{name}": gradients.get(name) for name in gradient_names(op)}
    return backward(op, gradients["out"], *operands, **wanted, **_scratch(op, scratch))


def gradient_names(op: Op) -> tuple[str, ...]:
    """The operands that gradients flow into: inputs that are neither labels nor targets, and parameters."""
    fixed = (*op.integer_inputs, *op.constants)
    return (*(name for name in op.inputs if name not in fixed), *op.params)


def _scratch(op: Op, scratch: Mapping) -> dict:
    return {"scratch": dict(scratch)} if op.uses_scratch else {}
