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

    ``arrays`` has the operands by name; what is missing is passed as ``None``.
    """
    forward, _ = kernels(type(op), device)
    operands = [_operand(op, arrays, name) for name in (*op.inputs, *op.params, *op.state, *op.context)]
    results = {name: arrays.get(name) for name in ("out", *op.saved)}
    return forward(op, *operands, **results, **_scratch(op, scratch))


def bind_backward(op: Op, device: Device, arrays: Mapping, gradients: Mapping, scratch: Mapping):
    """Return the zero-argument call that computes the wanted gradients from ``gradients["out"]``.

    ``gradients`` has arrays by the names of inputs and parameters; what is missing is not wanted.
    """
    _, backward = kernels(type(op), device)
    needed = op.reads_in_backward()
    operands = [arrays.get(name) if name in needed else None for name in op.backward_reads]
    wanted = {f"d{name}": _operand(op, gradients, name) for name in _differentiable(op, op.inputs)}
    return backward(op, gradients["out"], *operands, **wanted, **_scratch(op, scratch))


def gradient_names(op: Op) -> tuple[str, ...]:
    """The operands that gradients flow into: inputs that are neither labels nor targets, and parameters."""
    return _differentiable(op, op.input_names())


def _differentiable(op: Op, inputs: tuple[str, ...]) -> tuple[str, ...]:
    fixed = (*op.integer_inputs, *op.constants)
    return (*(name for name in inputs if name not in fixed), *op.params)


def _operand(op: Op, arrays: Mapping, name: str):
    """The array that a kernel takes by this name: of a variadic op, a tuple of arrays for its input."""
    if op.variadic and name in op.inputs:
        return tuple(arrays.get(value) for value in op.input_names())
    return arrays.get(name)


def _scratch(op: Op, scratch: Mapping) -> dict:
    return {"scratch": dict(scratch)} if op.uses_scratch else {}
