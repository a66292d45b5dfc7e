"""Arrays of other libraries on the same GPU: CuPy's, PyTorch's, JAX's, by DLPack or ``__cuda_array_interface__``."""

from __future__ import annotations

from contextlib import suppress

import cupy
import numpy as np
from cuda.core.utils import StridedMemoryView

from ..data.checks import on_gpu
from ..errors import DataError, DeviceError
from .driver import Driver


def adopt(driver: Driver, array) -> cupy.ndarray | None:
    """Return an array that shares memory with a foreign one on this GPU; ``None`` if it lies elsewhere.

    The GPU first does what the other library has asked for until now. The foreign array lives as long as the result.
    Raise ``DataError`` for one that is not contiguous.
    """
    if isinstance(array, np.ndarray) or not on_gpu(array):
        return None
    with driver.turn:
        try:
            view = StridedMemoryView.from_any_interface(array, stream_ptr=int(driver.stream))
        except (BufferError, TypeError, ValueError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"the {type(array).__name__} cannot be shared with {driver.name}: {error}") from error
    if not view.is_device_accessible or view.device_id != driver.index:
        return None
    if not _contiguous(view.shape, view.strides):
        raise DataError(
            f"an array on {driver.name} must be contiguous in memory, got shape {view.shape} with strides "
            f"{view.strides}; make it so first: array.contiguous() in PyTorch, ascontiguousarray(array) in CuPy"
        )
    memory = cupy.cuda.UnownedMemory(view.ptr, view.size * view.dtype.itemsize, _Borrowed(driver, view), driver.index)
    return cupy.ndarray(view.shape, view.dtype, cupy.cuda.MemoryPointer(memory, 0))


class _Borrowed:
    """Memory of another library, which may use it for something else as soon as this object is gone."""

    def __init__(self, driver: Driver, view: StridedMemoryView):
        self._driver, self._view = driver, view

    def __del__(self):
        with suppress(DeviceError):  # after a fault nothing reads it any more
            self._driver.synchronize()


def _contiguous(shape, strides) -> bool:
    """Whether elements lie one behind the other; strides are counted in elements, ``None`` says they do."""
    if strides is None or 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True
