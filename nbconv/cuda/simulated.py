"""No hardware: a device as the house uses it, whose kernels run in the simulator."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from ..host import Fetched
from . import simulator
from .kernel import flat
from .simulator import DeviceArray


class Simulated:
    """A device whose memory is the host's and whose kernels run thread by thread, each call to its end."""

    steps_at_once = 4
    """Of how many training steps the numbers come to the host in one copy."""

    def __init__(self, index: int):
        self.index = index

    def available(self) -> str | None:
        """Why this device cannot be used: it always can."""

    def empty(self, shape, dtype):
        """Return an array with arbitrary content: NaN, or 101, so that reading it is seen."""
        return DeviceArray(simulator.unwritten(shape, dtype))

    def put(self, array):
        """Return a contiguous copy of a NumPy array on this device."""
        return DeviceArray(np.array(array, order="C"))

    def get(self, array):
        """Return a NumPy copy of an array of this device."""
        return np.array(array.memory)

    def write(self, target, array):
        """Copy a NumPy array into an array of this device."""
        target.memory[...] = array

    def take(self, target, samples, rows):
        """Copy ``samples[rows]`` of a NumPy array (rows: an index array or a slice) into an array of this device."""
        target.memory[...] = samples[rows]

    def intake(self, targets):
        """Return a call that copies ``array[rows]`` of NumPy arrays into these arrays of this device, one for each."""

        def take(arrays, rows):
            for target, samples in zip(targets, arrays, strict=True):
                self.take(target, samples, rows)

        return take

    def fill(self, target, value):
        """Set all elements of an array of this device."""
        target.memory[...] = value

    def copy(self, target, source):
        """Copy one array of this device into another."""
        target.memory[...] = source.memory

    def fetch(self, arrays) -> Fetched:
        """Bring arrays to the host; ``.arrays()`` of the result returns NumPy copies."""
        return Fetched([array.memory for array in arrays])

    def adopt(self, array):
        """Return the array if it is one of this device, else ``None``."""
        return array if isinstance(array, DeviceArray) else None

    def synchronize(self):
        """Wait until everything asked for is done: it is."""

    def sequence(self, calls, threads=None):
        """Return one call that runs launches (or lists of them) in order."""
        return SimulatedSequence(list(flat(calls)))

    def on_compile(self, report):
        """Return a context that would report what is compiled: nothing is."""
        return nullcontext()

    def describe(self) -> dict[str, str]:
        """What there is to say about this device, by name."""
        return {"gpu": "none: kernels run in the simulator (NUMBA_ENABLE_CUDASIM=1), which is slow"}


class SimulatedSequence:
    """A call that runs launches in order."""

    def __init__(self, launches):
        self.launches = tuple(launches)

    def __call__(self) -> None:
        for launch in self.launches:
            simulator.run(launch)
