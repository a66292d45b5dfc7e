"""From an op and a device to its kernels.

A device is a package with a module ``device`` and literal tables: ``KERNELS`` maps an op to its (forward, backward)
binders; ``SCRATCH`` maps an op to functions that name the working arrays of each; ``PREPARE`` maps an op to what can be
computed from its parameters alone, once as long as they do not change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from .. import requirements
from ..errors import DeviceError, OptionError, UnsupportedOp
from ..ops.base import Buffer, Op, Shape

DEVICES = ("reference", "cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """A device by name: the package with its kernels, and which of several units of hardware is meant."""

    name: str
    index: int
    package: ModuleType

    def __str__(self):
        return self.name if not self.index else f"{self.name}:{self.index}"

    @cached_property
    def memory(self) -> Any:
        """What has ``empty``, ``put``, ``get``, ``fetch``, ``sequence`` and the other functions of this unit."""
        return self.package.device.unit(self.index)

    def check_threads(self, threads: int | None) -> None:
        """Raise ``OptionError`` for a number of threads where kernels do not run in threads of the host."""
        if threads is not None and self.name == "cuda":
            raise OptionError(
                f"threads={threads} means nothing on {str(self)!r}, whose kernels run on the GPU; "
                f'leave it out, or use device="cpu"'
            )


def open_device(spec: str | Device) -> Device:
    """Return a device from ``"cpu"``, ``"reference"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``; raise ``DeviceError``.

    ``"auto"`` is the fastest device there is. A device named explicitly is never replaced by another.
    """
    if isinstance(spec, Device):
        return spec
    match = re.fullmatch(r"(auto|reference|cpu|cuda)(?::(\d+))?", spec) if isinstance(spec, str) else None
    if not match or (match[2] and match[1] != "cuda"):
        raise DeviceError(f'unknown device {spec!r}; there are "cpu", "cuda", "cuda:1", "reference" and "auto"')
    name, index = match[1], int(match[2] or 0)
    if name == "auto":
        slow = requirements.simulated()  # thread by thread: nobody wants that unasked
        name = "cpu" if slow or why_no_cuda() else "cuda"
    problem = why_no_cuda(index) if name == "cuda" else None
    if problem:
        raise DeviceError(f'device {spec!r} is not available: {problem}; use device="cpu" or device="auto"')
    return _opened(name, index)


@cache
def _opened(name: str, index: int) -> Device:
    device = Device(name, index, import_module(f"nbconv.{name}"))
    device.memory  # noqa: B018 - a unit that is not there is said now
    return device


def why_no_cuda(index: int = 0) -> str | None:
    """Say why there is no GPU of this number to compute on, and the mend; ``None`` if there is one."""
    return _why_no_cuda(index, requirements.simulated())


@cache
def _why_no_cuda(index: int, simulated: bool) -> str | None:
    return requirements.problem(index)


def kernels(op_type: type[Op], device: Device):
    """Return the (forward, backward) binders of an op; backward is ``None`` for an op without gradient."""
    table = device.package.KERNELS
    try:
        return table[op_type]
    except KeyError:
        have = ", ".join(sorted(t.__name__ for t in table))
        raise UnsupportedOp(f"{op_type.__name__} has no kernel on {device.name!r}, which has {have}") from None


def scratch_shapes(op: Op, device: Device, dtype: str, *shapes: Shape) -> tuple[dict[str, Buffer], dict[str, Buffer]]:
    """Return the working arrays of forward and of backward, by name."""
    forward, backward = device.package.SCRATCH.get(type(op), (None, None))
    return (
        forward(op, dtype, *shapes) if forward else {},
        backward(op, dtype, *shapes) if backward else {},
    )


def prepared_shapes(op: Op, device: Device, dtype: str, *shapes: Shape) -> dict[str, Buffer]:
    """Return the arrays that hold what is computed from the parameters alone, by name."""
    shapes_of, _ = device.package.PREPARE.get(type(op), (None, None))
    return shapes_of(op, dtype, *shapes) if shapes_of else {}


def prepare(op: Op, device: Device, params: dict, scratch: dict):
    """Return the call that fills the prepared arrays from the parameters, or ``None`` where there is nothing to do."""
    _, binder = device.package.PREPARE.get(type(op), (None, None))
    return binder(op, **params, scratch=scratch) if binder else None
