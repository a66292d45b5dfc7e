"""GPUs by number: on hardware, or in the simulator if ``NUMBA_ENABLE_CUDASIM=1`` is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import requirements
from ..errors import DeviceError
from .kernel import SIMULATED

if TYPE_CHECKING:
    from .gpu import GPU
    from .simulated import Simulated


_UNITS: dict[int, GPU | Simulated] = {}


def unit(index: int) -> GPU | Simulated:
    """Return the GPU with this number, always the same object; raise ``DeviceError`` if it cannot be used."""
    return _UNITS.get(index) or _UNITS.setdefault(index, _new(index))  # of two threads that come at once, one wins


def _new(index: int) -> GPU | Simulated:
    if SIMULATED:
        from .simulated import Simulated

        return Simulated(index)
    if problem := requirements.problem(index):
        raise DeviceError(problem)
    from .gpu import GPU  # and with it what only a GPU needs: CuPy, cuda.core

    return GPU(index)
