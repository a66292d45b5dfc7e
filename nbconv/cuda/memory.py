"""Arrays on a GPU: CuPy's, from its memory pool, on nbconv's own stream."""

from __future__ import annotations

from math import prod

import cupy
import numpy as np

from .driver import Driver
from .failures import FAULTS, OUT_OF_MEMORY


class Memory:
    """Where the arrays of one GPU come from."""

    def __init__(self, driver: Driver):
        self._driver = driver
        self._device = cupy.cuda.Device(driver.index)
        with driver.turn:  # CuPy takes the stream for one of the current context's GPU
            self._stream = cupy.cuda.Stream.from_external(driver)

    def empty(self, shape, dtype) -> cupy.ndarray:
        """Return a contiguous array with arbitrary content; raise ``OutOfDeviceMemory``.

        The pool gives memory that was freed to the next who asks on this stream, so nobody waits for the GPU.
        """
        dtype = np.dtype(dtype)
        nbytes = prod(shape) * dtype.itemsize
        try:
            return cupy.ndarray(shape, dtype, self.allocate(nbytes))
        except cupy.cuda.memory.OutOfMemoryError:
            raise self._driver.failure(OUT_OF_MEMORY, "an array", asked=nbytes) from None
        except cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status not in (OUT_OF_MEMORY, *FAULTS):
                raise
            raise self._driver.failure(error.status, "an array", asked=nbytes) from None

    def allocate(self, nbytes: int):
        """Return memory as CuPy's arrays know it."""
        with self._driver.turn, self._device, self._stream:
            return cupy.cuda.alloc(nbytes)
