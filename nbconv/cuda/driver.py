"""One GPU through CUDA's driver: its context, its stream, and the kernels loaded on it."""

from __future__ import annotations

from collections import deque

from cuda.bindings import driver as api
from cuda.core import Device, ObjectCode

from ..errors import DeviceError
from .compiler import cubin
from .failures import failure
from .kernel import Kernel
from .turn import Turn

STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel gets without asking for permission."""

ARCHITECTURE_SPECIFIC = {(9, 0): "a"}
"""Compute capabilities whose own instructions (``wgmma``) need machine code for no other GPU."""


class Driver:
    """A GPU that is open: all work is asked for on ``stream``, in order.

    The context is the device's primary one, which CuPy and PyTorch use, too.
    """

    def __init__(self, index: int):
        self.name = f"cuda:{index}"
        self.index = index
        self.recent: deque[str] = deque(maxlen=3)
        """What ran last: the kernels of a few sequences, for whoever meets a fault."""
        self._functions: dict = {}
        self._code: list[ObjectCode] = []  # a kernel lives as long as its code
        self.call(api.cuInit, 0)
        context = self.call(api.cuDevicePrimaryCtxRetain, self.call(api.cuDeviceGet, index))
        self.turn = Turn(context, is_first=index == 0)
        self.device = Device(index)
        capability = self.device.compute_capability
        self.capability = (*capability, *ARCHITECTURE_SPECIFIC.get(tuple(capability), ""))
        """What machine code is compiled for, as (9, 0, "a")."""
        with self.turn:
            self.stream = self._new_stream()
            self.recorder = self._new_stream()
            """A stream on which nothing ever runs: graphs are captured there."""

    def __cuda_stream__(self) -> tuple[int, int]:
        """The stream, by the protocol that CuPy and cuda.core know: its version and the stream's handle."""
        return 0, int(self.stream)

    def call(self, function, *arguments):
        """Call a function of the driver; return what it returns beside its status, or raise what the status means."""
        status, *results = function(*arguments)
        if status:
            raise self.failure(status, function.__name__)
        return results[0] if results else None

    def failure(self, status, what: str, *, asked: int = 0) -> DeviceError:
        """Return the error that a status of the driver means; ``what`` was being done."""
        return failure(self, status, what, asked)

    def memory(self) -> tuple[int, int]:
        """How many bytes are free, and of how many; nothing is free for a process whose kernel failed."""
        with self.turn:
            status, free, total = api.cuMemGetInfo()
        return (0, 0) if status else (free, total)

    def function(self, kernel: Kernel, types: tuple, shared: int = 0):
        """Return a kernel as machine code for arguments of these types, loaded, with so much dynamic shared memory."""
        key = kernel, types
        if key not in self._functions:
            self._functions[key] = self._load(kernel, types)
        function = self._functions[key]
        if shared > STATIC_SHARED:
            attribute = api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self.call(api.cuFuncSetAttribute, function, attribute, shared)
        return function

    def _load(self, kernel: Kernel, types: tuple):
        name, code = cubin(kernel, types, self.capability)
        with self.turn:
            try:
                library = ObjectCode.from_cubin(code, name=kernel.name)
                loaded = library.get_kernel(name)
            except Exception as error:  # cuda.core raises a class of its own, which is not public
                raise DeviceError(f"{self.name}: the machine code of {kernel} cannot be loaded: {error}") from error
            self._code.append(library)
            # The driver loads a kernel when it is first needed; while a graph is captured, it may not.
            return self.call(api.cuKernelGetFunction, loaded.handle)

    def _new_stream(self):
        return self.call(api.cuStreamCreate, api.CUstream_flags.CU_STREAM_NON_BLOCKING)

    def synchronize(self) -> None:
        """Wait until everything asked for is done; meanwhile others may ask for more."""
        with self.turn.waiting():
            self.call(api.cuStreamSynchronize, self.stream)
