"""Kernels one by one: milliseconds, the share of what the machine can do, and the distance from float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter

from nbconv.engine.registry import open_device
from nbconv.errors import NbconvError

from . import arrays
from .arrays import Arrays, Bound
from .cases import Case, Kind
from .cases.conv import CONV2D, check_algorithm
from .machine import threads_of
from .peak import Peaks
from .rivals import begin, finish
from .row import Row
from .timing import compare


class Bench:
    """What all rows of a run share: ``Bench("cpu", ("torch",), peaks).rows([(KINDS["relu"], shape)])``.

    ``algorithm`` forces one on convolutions; a shape that it does not fit is left out, and ``say`` receives why.
    """

    def __init__(
        self,
        device: str,
        rivals: tuple[str, ...] = (),
        peaks: Peaks | None = None,
        *,
        dtype: str = "float32",
        threads: int | None = None,
        algorithm: str = "auto",
        seconds: float = 0.5,
        say: Callable[[str], None] = print,
    ):
        self.rivals, self.peaks, self.dtype, self.threads = rivals, peaks, dtype, threads
        check_algorithm(algorithm)
        self._begin = partial(begin, threads=threads_of(threads))
        self.algorithm, self.seconds, self.say = algorithm, seconds, say
        self._device, self._reference = open_device(device), open_device("reference")
        self._finish = finish(self._device, rivals)

    def rows(self, shapes: Iterable[tuple[Kind, dict]]) -> Iterator[Row]:
        """Measure each shape in each direction, yielding rows as soon as they are there."""
        for kind, shape in shapes:
            options = {"algorithm": self.algorithm} if kind is CONV2D else {}
            try:
                case = Case.of(kind, shape, **options)
                ours = Bound(case, host := arrays.values(case), self._device, self.dtype, self.threads)
                calls = {direction: ours.call(direction, wait=not self._finish) for direction in kind.directions}
            except NbconvError as error:
                if self.algorithm == "auto":
                    raise
                self.say(f"{kind.label(shape)} is left out: {error}")
                continue
            yield from self._rows(case, host, ours, calls)

    def _rows(self, case: Case, host: Arrays, ours: Bound, calls: dict[str, Callable]) -> Iterator[Row]:
        """First all directions once, for what backward reads and for the residuals; then one after another, timed."""
        exact = Bound(case, host, self._reference, "float64")
        first, residuals = {}, {}
        for direction, call in calls.items():
            began = perf_counter()
            call()
            self._device.memory.synchronize()
            first[direction] = 1e3 * (perf_counter() - began)
            exact.call(direction)()
            residuals[direction] = arrays.residuals(ours.results(direction), exact.results(direction))
        rivals = self._rivals(case, host)
        algorithm = {"algorithm": self.algorithm} if case.kind is CONV2D else {}
        for direction, call in calls.items():
            theirs = {name: made[direction] for name, made in rivals.items() if direction in made}
            timings = compare({"nbconv": call, **theirs}, self.seconds, self._begin, self._finish)
            timing = timings.pop("nbconv")._replace(first=first[direction])
            flops, nbytes = case.flops(direction), ours.nbytes(direction)
            limit_ms, limit = self.peaks.limit(flops, nbytes) if self.peaks else (None, None)
            residual, largest = residuals[direction]
            yield Row(
                op=case.kind.name,
                shape=case.shape,
                direction=direction,
                timing=timing,
                residual=residual,
                flops=flops,
                nbytes=nbytes,
                limit_ms=limit_ms,
                limit=limit,
                rivals=timings,
                extra={"label": case.label, "dtype": self.dtype, "max_residual": largest, **algorithm},
            )

    def _rivals(self, case: Case, host: Arrays) -> dict[str, dict[str, Callable]]:
        """By the name of a rival and direction, its calls."""
        ready = {name: a if a.dtype.kind == "i" else a.astype(self.dtype) for name, a in host.items()}
        calls: dict[str, dict[str, Callable]] = {}
        if "torch" in self.rivals:
            from . import torch_ops

            calls |= torch_ops.calls(case, ready, str(self._device))
        if "jax" in self.rivals:
            from . import jax_ops

            calls |= jax_ops.calls(case, ready)
        if "reference" in self.rivals:
            bound = Bound(case, host, self._reference, self.dtype)
            calls["reference"] = {direction: bound.call(direction) for direction in case.kind.directions}
        if "naive" in self.rivals:
            from . import naive

            calls |= naive.calls(Bound(case, host, self._reference, self.dtype))
        for made in calls.values():
            if "forward" in made:
                made["forward"]()  # backward reads what it leaves
        return calls
