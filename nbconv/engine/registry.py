"""From an op and a device to its kernels.

A device is a package with a module ``device`` and literal tables: ``KERNELS`` maps an op to its (forward, backward)
binders; ``SCRATCH`` maps an op to functions that name the working arrays of each; ``PREPARE`` maps an op to what can be
computed from its parameters alone, once as long as they do not change.
"""

from __future__ import annotations

import re
import sys
from ctypes.util import find_library
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from ..errors import DeviceError, UnsupportedOp
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

    @property
    def memory(self) -> ModuleType:
        """What has ``empty``, ``put``, ``get``, ``synchronize``, ``sequence``, ``describe``."""
        return self.package.device


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
        name = "cpu"
    if name not in DEVICES:
        raise DeviceError(f'device {spec!r} is not available: {why_no_cuda()}; use device="cpu" or device="auto"')
    return Device(name, index, import_module(f"nbconv.{name}"))


def why_no_cuda() -> str:
    """Say why there is no GPU to compute on."""
    driver = find_library("nvcuda" if sys.platform == "win32" else "cuda")
    machine = "an NVIDIA driver is there" if driver else "no NVIDIA driver is installed"
    return f"{machine}, and this version of nbconv has no CUDA kernels yet"


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
