"""Launches in a row as one call: captured once into a CUDA graph, which then is one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import finalize

import numpy as np
from cuda.bindings import driver as api

from ..errors import DeviceError
from .arguments import types_of
from .driver import Driver
from .kernel import Launch
from .packing import Parameters

RELAXED = api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
"""While a graph is captured, other threads may do what they like, and so may what Python frees in this one."""


class LaunchSequence:
    """A call that runs launches in order on a GPU's stream, and returns when they have been asked for.

    The first call compiles, loads and captures; a later one is a single launch, in which no Python runs per kernel.
    Everything that the arguments point to lives as long as this object.
    """

    def __init__(self, driver: Driver, launches: Sequence[Launch], put: Callable[[np.ndarray], Any]):
        self.launches = tuple(launches)
        self._driver, self._turn, self._stream, self._put = driver, driver.turn, driver.stream, put
        self._ready = not launches
        self._kept: list[PackedLaunch] = []  # with all that the graph has pointers to
        self._graph = None
        self._single: PackedLaunch | None = None
        self._kernels = _names(self.launches)

    def __call__(self) -> None:
        with self._turn:
            if not self._ready:
                self._prepare()
            self._driver.recent.append(self._kernels)
            if self._graph is not None:
                (status,) = api.cuGraphLaunch(self._graph, self._stream)
                if status:
                    raise self._driver.failure(status, f"the launch of {self._kernels}")
            elif self._single:
                self._single(self._stream)

    def _prepare(self) -> None:
        packed = [PackedLaunch(self._driver, self._with_constants(launch)) for launch in self.launches]
        if len(packed) == 1:
            self._single = packed[0]
        else:
            self._graph = _instantiate(self._driver, packed)
            finalize(self, api.cuGraphExecDestroy, self._graph)
        self._kept = packed
        self._ready = True

    def _with_constants(self, launch: Launch) -> Launch:
        """A launch with copies on the GPU of its constants."""
        arguments = (self._put(a) if isinstance(a, np.ndarray) else a for a in launch.arguments)
        return launch._replace(arguments=tuple(arguments))


class PackedLaunch:
    """A launch whose kernel is loaded and whose arguments are packed; called with a stream, it is asked for there."""

    def __init__(self, driver: Driver, launch: Launch):
        self._driver, self._launch = driver, launch
        function = driver.function(launch.kernel, types_of(launch.arguments), launch.shared)
        self._parameters = Parameters(launch.arguments)
        self._function, self._size = function, (*launch.grid, *launch.block, launch.shared)

    def __call__(self, stream) -> None:
        (status,) = api.cuLaunchKernel(self._function, *self._size, stream, self._parameters.address, 0)
        if status:
            launch = self._launch
            what = f"the launch of {launch.kernel} with a grid of {launch.grid} and blocks of {launch.block} threads"
            raise self._driver.failure(status, what)


def _instantiate(driver: Driver, launches: list[PackedLaunch]):
    """Return a graph, ready to be launched, of launches one after the other."""
    graph = _capture(driver, launches)
    try:
        executable = driver.call(api.cuGraphInstantiate, graph, 0)
    finally:
        api.cuGraphDestroy(graph)
    driver.call(api.cuGraphUpload, executable, driver.stream)
    return executable


def _capture(driver: Driver, launches: list[PackedLaunch]):
    driver.call(api.cuStreamBeginCapture, driver.recorder, RELAXED)
    try:
        for launch in launches:
            launch(driver.recorder)
    except DeviceError:
        status, graph = api.cuStreamEndCapture(driver.recorder)  # the stream must not stay in capture
        if not status:
            api.cuGraphDestroy(graph)
        raise
    return driver.call(api.cuStreamEndCapture, driver.recorder)


def _names(launches: tuple[Launch, ...]) -> str:
    """The kernels of a sequence, each once, as the message of a fault names them."""
    names = dict.fromkeys(f"{launch.kernel.function.__module__}.{launch.kernel.name}" for launch in launches)
    return ", ".join(names)
