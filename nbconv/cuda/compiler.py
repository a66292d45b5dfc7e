"""From a kernel to the machine code of a GPU, without a GPU or a driver.

    cubin(kernel, types_of(arguments), (9, 0, "a"))     # for an H100; (8, 0) for an A100, (12, 0) for a GeForce RTX 50

Numba and NVVM make PTX of a kernel, and nvJitLink a cubin of that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cuda.bindings import nvjitlink, nvrtc
from cuda.pathfinder import DynamicLibNotFoundError
from numba import cuda, types
from numba.types import Type

from ..errors import DeviceError
from ..io import kernel_files
from ..io.kernel_files import watch
from ..requirements import missing_compiler, refused_code, upgrade
from . import cubins
from .cubins import Cubin
from .kernel import Kernel

__all__ = ["Capability", "Cubin", "Resources", "architecture", "compile_kernel", "cubin", "watch"]

Capability = tuple[int, int] | tuple[int, int, str]
"""Compute capability, as (9, 0), or (9, 0, "a") for all that this very kind of GPU can do."""


class Resources(NamedTuple):
    """What a kernel takes of a GPU: registers per thread, bytes per thread, and bytes of shared memory per block."""

    registers: int
    stack: int
    spills: int
    """Bytes of registers stored to memory and loaded again, because there are too few."""
    shared: int


def cubin(kernel: Kernel, argument_types: tuple[Type, ...], capability: Capability) -> Cubin:
    """Return a kernel's machine code for these arguments and this kind of GPU, compiled unless it has been kept.

    Raises ``DeviceError`` where a compiler of CUDA is missing, or does not know the GPU.
    """
    stem = f"{_module(kernel)}.{kernel.name}-{architecture(capability)}"
    key = f"{stem}{argument_types}"
    ours = kernel.function.__module__.startswith(f"{__package__}.")  # others may change while our version stays
    kept = cubins.load(stem, key) if ours else None
    if kept:
        return kept
    kernel_files.tell(kernel.name.lstrip("_"))
    try:
        made, _ = compile_kernel(kernel, argument_types, capability)
        if ours:
            cubins.keep(stem, key, made)
    finally:
        kernel_files.tell(None)
    return made


def compile_kernel(kernel: Kernel, argument_types: tuple[Type, ...], capability: Capability) -> tuple[Cubin, Resources]:
    """Compile a kernel, and say what it takes; raises as ``cubin`` does."""
    name = f"{_module(kernel)}_{kernel.name.lstrip('_')}"
    try:
        _check_known(capability)
        code, log = _link(_ptx(kernel, name, argument_types, capability), architecture(capability))
    except (DynamicLibNotFoundError, ImportError) as error:  # numba-cuda's own, for NVVM, is an ImportError
        raise DeviceError(missing_compiler(error)) from error
    return Cubin(name, code), _resources(log)


def architecture(capability: Capability) -> str:
    """Return what compilers call a kind of GPU: ``"sm_90a"`` for (9, 0, "a")."""
    return "sm_" + "".join(map(str, capability))


def _ptx(kernel: Kernel, name: str, argument_types: tuple[Type, ...], capability: Capability) -> str:
    """PTX of a kernel, which has this name in it."""
    signature = types.void(*argument_types)
    ptx, _ = cuda.compile(kernel.function, signature, device=False, abi="numba", cc=capability, output="ptx")
    (mangled,) = re.findall(r"\.entry\s+([\w$]+)", ptx)  # with a number in it that depends on what was compiled before
    return ptx.replace(mangled, name).replace(mangled.removeprefix("_ZN"), f"_{name}")


def _link(ptx: str, architecture: str) -> tuple[bytes, str]:
    """Make a cubin of PTX; return it, and what the linker says about it."""
    source, options = ptx.encode(), [f"-arch={architecture}", "-verbose"]
    linker = nvjitlink.create(len(options), options)
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, source, len(source), "kernel.ptx")
        nvjitlink.complete(linker)
        code = bytearray(nvjitlink.get_linked_cubin_size(linker))
        nvjitlink.get_linked_cubin(linker, code)
        log = bytearray(nvjitlink.get_info_log_size(linker))
        nvjitlink.get_info_log(linker, log)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(linker))
        nvjitlink.get_error_log(linker, log)
        raise DeviceError(refused_code(" ".join(log.decode().strip("\0").split()) or str(error))) from error
    finally:
        nvjitlink.destroy(linker)
    return bytes(code), log.decode()


def _check_known(capability: Capability) -> None:
    """Numba would compile for the nearest kind of GPU that CUDA's compilers know."""
    _, known = nvrtc.nvrtcGetSupportedArchs()
    major, minor = capability[:2]
    if 10 * major + minor not in known:
        numbers = ", ".join(f"{number // 10}.{number % 10}" for number in known)
        raise DeviceError(
            f"the GPU has compute capability {major}.{minor}, and the installed compilers of CUDA know {numbers}; "
            f"a newer nbconv may bring newer ones: {upgrade()}"
        )


def _resources(log: str) -> Resources:
    """Read what nvJitLink says about the one kernel in a cubin."""
    registers, stack, shared = re.findall(r"used (\d+) registers, .*?(\d+) stack, (\d+) bytes smem", log)[-1]
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    return Resources(int(registers), int(stack), sum(int(n) for pair in spills for n in pair), int(shared))


def _module(kernel: Kernel) -> str:
    return kernel.function.__module__.rpartition(".")[2]
