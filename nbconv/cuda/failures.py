"""What the statuses of CUDA's driver mean for who uses nbconv, and the mend of each."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from cuda.bindings import driver as api

from ..errors import DeviceError, KernelFault, OutOfDeviceMemory


class Driver(Protocol):
    """What an error tells of a GPU."""

    name: str
    recent: deque[str]
    """What ran last."""

    def memory(self) -> tuple[int, int]:
        """How many bytes are free, and of how many."""


OUT_OF_MEMORY = 2
NO_DEVICE = 100

FAULTS = {
    214: "an error in the GPU's memory that it could not correct",
    700: "it read or wrote outside of its arrays",
    702: "it ran longer than the system allows on a GPU that also draws the screen",
    710: "an assertion in it failed",
    714: "the hardware met an error in its stack or its memory",
    715: "it came to an instruction that this GPU does not have",
    716: "it read or wrote at an address that is not a multiple of the element's size",
    717: "it used an address of another kind of memory than the instruction is for",
    718: "it went on at an address outside of its code",
    719: "it failed, as by reading or writing outside of its arrays",
}
"""Statuses after which CUDA does nothing more in this process. Those of the runtime (CuPy's) have the same numbers."""


def failure(driver: Driver, status, what: str, asked: int = 0) -> DeviceError:
    """Return the error that a status means; ``what`` was being done, for which so many bytes were ``asked``."""
    if status == OUT_OF_MEMORY:
        return out_of_memory(driver, what, asked)
    if status in FAULTS:
        return _fault(driver, int(status))
    mend = "; nbconv doctor says what is missing" if status == NO_DEVICE else ""
    return DeviceError(f"{driver.name}: {what} failed: {_text(status)}{mend}")


def out_of_memory(driver: Driver, what: str, asked: int) -> OutOfDeviceMemory:
    """Return the error that says how much was asked for and how much there is."""
    free, total = driver.memory()
    size = f"{asked:,} bytes were asked for" if asked else what
    return OutOfDeviceMemory(
        f"{driver.name} is out of memory: {size}, {free:,} of {total:,} bytes are free; "
        f"use a smaller batch, or end what else runs on this GPU",
        asked=asked,
        free=free,
    )


def _fault(driver: Driver, status: int) -> KernelFault:
    ran = "; before it ".join(reversed(driver.recent)) or "nothing of nbconv's"
    return KernelFault(
        f"a kernel failed on {driver.name}: {FAULTS[status]} ({_text(status)}). Last was asked for {ran}. "
        f"The process must be started again: CUDA does nothing more in this one. To find the kernel, run it as "
        f"`compute-sanitizer python ...`, or with no GPU, thread by thread, with NUMBA_ENABLE_CUDASIM=1"
    )


def _text(status) -> str:
    """A status by name, in the driver's words."""
    status = api.CUresult(int(status))
    _, words = api.cuGetErrorString(status)
    return f"{status.name}: {words.decode() if words else 'unknown'}"
