"""Arrays on a device, for code that does not bring them to the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from .data.checks import as_array, on_gpu
from .engine.registry import Device, open_device
from .engine.resident import Resident
from .errors import DataError, DeviceError
from .ops.base import Shape

KINDS = "biuf"
"""Of dtypes: booleans, integers and floats."""


class Tensor:
    """An n-dimensional array on a device.

    ``t = Tensor(x, device="cuda")`` copies x (8, 3, 32, 32) to the GPU; ``model.predict(t)`` is a ``Tensor`` on the
    same device, and neither comes to the host. ``t.numpy()`` and ``np.asarray(t)`` copy it there.

    Parameters
    ----------
    values : array
        Of booleans, integers or floats; copied. An array of CuPy or PyTorch that lies on the device is shared.
    device : str
        "cpu", "cuda", "cuda:1", "reference" or "auto".

    Raises
    ------
    DataError
        For another dtype, and ragged lists.
    DeviceError
        For a device that is not there, and an array that lies on another GPU.
    """

    def __init__(self, values: Any, device: str | Device = "auto"):
        self.device = open_device(device)
        shared = shared_with(values, self.device, "values")
        if shared is None:
            host = as_array(values, "values")
            _check(host.dtype)
            shared = self.device.memory.put(host if host.dtype.isnative else host.astype(host.dtype.newbyteorder("=")))
        _check(np.dtype(shared.dtype))
        self._array = shared

    @classmethod
    def of(cls, array: Any, device: Device) -> Tensor:
        """The tensor that an array of the device is, without a copy."""
        tensor = cls.__new__(cls)
        tensor.device, tensor._array = device, array
        return tensor

    @property
    def array(self) -> Any:
        """The device's own array: NumPy's on the CPU, CuPy's on a GPU.

        It is handed out when the device has computed it, for whoever takes it works on another stream. What he writes
        into it later the device sees once he has waited for his own stream.
        """
        self.device.memory.synchronize()
        return self._array

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return tuple(self._array.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of an element."""
        return np.dtype(self._array.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def numpy(self) -> np.ndarray:
        """Return a copy on the host."""
        return self.device.memory.get(self._array)

    def to(self, device: str | Device) -> Tensor:
        """Return this tensor if it is on that device, or a copy there."""
        target = open_device(device)
        return self if target == self.device else Tensor(self.numpy(), target)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        if copy is False:
            raise ValueError("a tensor becomes a NumPy array by a copy only; leave copy=False out")
        host = self.numpy()
        return host if dtype is None else host.astype(dtype, copy=False)

    def __dlpack__(self, **options):
        self.device.memory.synchronize()  # whoever takes it works on another stream
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict:
        interface = self._array.__cuda_array_interface__  # AttributeError, as it must be, where there is none
        self.device.memory.synchronize()
        return interface

    def __repr__(self):
        return f"Tensor(shape={self.shape}, dtype={self.dtype}, device={str(self.device)!r})"


def shared_with(values: Any, device: Device, name: str, *, chosen: bool = False) -> Any:
    """Return an array of the device that shares memory with ``values``; ``None`` if these lie on the host.

    Raises ``DeviceError`` for what lies on another GPU. ``chosen``: by this very call, which may choose another.
    """
    if isinstance(values, Tensor):
        if values.device == device:
            return values._array
        if values.device.name != "cuda":
            return None
        choice = f'pass device="{values.device}", or ' if chosen else ""
        raise DeviceError(_elsewhere(name, str(values.device), device, f'{choice}use {name}.to("{device}")'))
    if isinstance(values, (np.ndarray, list, tuple)):
        return None
    shared = device.memory.adopt(values)
    if shared is None and on_gpu(values):
        choice = 'pass device="cuda", or ' if chosen and device.name != "cuda" else ""
        mend = f"{choice}copy it there, or to the host: {name}.cpu() in PyTorch, {name}.get() in CuPy"
        raise DeviceError(_elsewhere(name, f"another device ({type(values).__module__}'s memory)", device, mend))
    return shared


def resident(values: Any, device: Device, name: str, *, channels_first: bool, chosen: bool = False) -> Resident | None:
    """Return samples that lie on the device as plans read them; ``None`` if they lie on the host."""
    shared = shared_with(values, device, name, chosen=chosen)
    if shared is None:
        return None
    if np.dtype(shared.dtype).kind not in KINDS or np.dtype(shared.dtype).itemsize == 2:
        raise DataError(
            f"{name} has dtype {shared.dtype}, which kernels do not read; convert it to float32 first: "
            f"{name}.float() in PyTorch, {name}.astype('float32') in CuPy"
        )
    return Resident(shared, device, channels_first=channels_first)


def _check(dtype: np.dtype) -> None:
    if dtype.kind not in KINDS:
        mend = "; convert it to float32" if dtype.kind == "V" else ""  # as bfloat16 is in NumPy
        raise DataError(f"a tensor holds real numbers that NumPy knows, got dtype {dtype}{mend}")


def _elsewhere(name: str, there: str, device: Device, mend: str) -> str:
    return f"{name} lies on {there}, and is wanted on {str(device)!r}; {mend}"
