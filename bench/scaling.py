"""How cost grows: with threads, batch, image size and channels; each series is timed in turns with itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import NamedTuple

from nbconv.engine.registry import open_device

from . import arrays, nbconv_nets
from .arrays import Bound
from .cases import KINDS, Case
from .nets import NETS, images
from .peak import Peaks
from .row import Row
from .timing import Call, compare

CONVS = ((8, 64, 56, 56, 64, 3, 3, 1, 1), (32, 64, 16, 16, 64, 3, 3, 1, 1), (8, 256, 14, 14, 256, 1, 1))
"""Convolutions of more than 50 MFLOP, which threads should share out well."""
TINY_NETS = ("digits", "lenet")
"""Nets that should not be slower with all threads than with one."""
BATCHES = (8, 16, 32, 64, 128, 256, 512)
BATCH_NETS = ("lenet", "cifar")
IMAGE_SIZES = (8, 16, 32, 64, 128)
CHANNELS = (8, 16, 32, 64, 128, 256)


class Point(NamedTuple):
    """One member of a series: what grows has this ``value``, and so many ``units`` of work are done."""

    value: int
    units: float
    shape: dict
    call: Call
    residual: float
    flops: int


class Bench:
    """``Bench("cpu", peaks, cores=2).rows(["threads", "batch"])`` yields the rows of one series after another.

    A row's ``ns_per_unit`` is its time for one image, pixel or multiply-add, and ``deviation`` how far that is from the
    series' median: 0.1 stands for 10 % more. For threads it is how far the speed-up is from the number of threads.
    """

    def __init__(self, device: str, peaks: Peaks | None = None, *, cores: int, seconds: float = 0.3):
        self._name, self._device, self._reference = device, open_device(device), open_device("reference")
        self.peaks, self.cores, self.seconds = peaks, cores, seconds

    def rows(self, series: Iterable[str]) -> Iterator[Row]:
        for name in series:
            yield from SERIES[name](self)

    def threads(self) -> Iterator[Row]:
        """From one thread to all: convolutions, and training steps of tiny nets."""
        counts = range(1, self.cores + 1)
        for sizes in CONVS:
            for direction in KINDS["conv2d"].directions:
                points = [self._conv(sizes, direction, threads, threads=threads) for threads in counts]
                yield from self._series("threads", direction, points, speedup=True)
        for net in TINY_NETS:
            points = [self._net(net, NETS[net].batch, threads, 1, threads=threads) for threads in counts]
            yield from self._series("threads", "train_step", points, speedup=True, op=net)

    def batch(self) -> Iterator[Row]:
        """Images at once: a convolution, and training steps."""
        for direction in KINDS["conv2d"].directions:
            points = [self._conv((n, 32, 16, 16, 32, 3, 3, 1, 1), direction, n, units=n) for n in BATCHES]
            yield from self._series("batch", direction, points, unit="image")
        for net in BATCH_NETS:
            points = [self._net(net, n, n, n) for n in BATCHES]
            yield from self._series("batch", "train_step", points, unit="image", op=net)

    def image(self) -> Iterator[Row]:
        """Pixels: a square image that grows."""
        for direction in KINDS["conv2d"].directions:
            points = [self._conv((16, 32, s, s, 32, 3, 3, 1, 1), direction, s, units=16 * s * s) for s in IMAGE_SIZES]
            yield from self._series("image", direction, points, unit="pixel")

    def channels(self) -> Iterator[Row]:
        """Channels in and out: the work grows with their square."""
        for direction in KINDS["conv2d"].directions:
            points = [self._conv((16, c, 16, 16, c, 3, 3, 1, 1), direction, c) for c in CHANNELS]
            yield from self._series("channels", direction, points, unit="multiply-add")

    def _conv(self, sizes, direction: str, value: int, *, units: float | None = None, threads=None) -> Point:
        kind = KINDS["conv2d"]
        case = Case.of(kind, kind.shape(*sizes))
        host = arrays.values(case)
        exact = Bound(case, host, self._reference, "float64")
        bound = Bound(case, host, self._device, "float32", threads)
        call = bound.call(direction)
        call()
        exact.call(direction)()
        residual, _ = arrays.residuals(bound.results(direction), exact.results(direction))
        flops = case.flops(direction)
        return Point(value, flops / 2 if units is None else units, case.shape, call, residual, flops)

    def _net(self, name: str, batch: int, value: int, units: float, threads: int | None = None) -> Point:
        x, labels = images(NETS[name], batch)
        ours = nbconv_nets.Trained(name, x, labels, device=self._name, threads=threads)
        exact = nbconv_nets.Trained(name, x, labels, device="reference", dtype="float64").step()
        residual = abs(ours.step() - exact) / exact
        shape = {"N": batch, **dict(zip("CHW", NETS[name].image, strict=True))}
        return Point(value, units, shape, ours.step, residual, ours.flops)

    def _series(
        self, vary: str, direction: str, points: list[Point], *, unit="step", speedup=False, op="conv2d"
    ) -> Iterator[Row]:
        timings = compare({str(point.value): point.call for point in points}, self.seconds)
        per_unit = [1e6 * timings[str(point.value)].median / point.units for point in points]
        for point, nanoseconds in zip(points, per_unit, strict=True):
            timing = timings[str(point.value)]
            extra = {"vary": vary, "value": point.value, "unit": unit, "ns_per_unit": nanoseconds}
            if speedup:
                extra["speedup"] = timings[str(points[0].value)].median / timing.median
                extra["deviation"] = extra["speedup"] / point.value - 1
            else:
                extra["deviation"] = nanoseconds / median(per_unit) - 1
            yield Row(
                op=op,
                shape=point.shape,
                direction=direction,
                timing=timing,
                residual=point.residual,
                flops=point.flops,
                limit_ms=self._limit_ms(point, vary),
                limit="FMA" if self.peaks else None,
                extra=extra,
            )

    def _limit_ms(self, point: Point, vary: str) -> float | None:
        """What the arithmetic takes on as many cores as compute here."""
        if not self.peaks:
            return None
        cores = point.value / self.cores if vary == "threads" else 1
        return point.flops / (self.peaks.gflops * cores) / 1e6


SERIES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "threads": Bench.threads,
    "batch": Bench.batch,
    "image": Bench.image,
    "channels": Bench.channels,
}


def label(row: Row) -> str:
    """``conv2d 8x64x56x56 k64 3x3/1 p1``, ``lenet 64x1x28x28``."""
    if row.op in KINDS:
        return f"{row.op} {KINDS[row.op].label(row.shape)}"
    return f"{row.op} {'x'.join(str(row.shape[name]) for name in 'NCHW')}"
