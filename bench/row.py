"""What a benchmark finds out about one thing: times, the distance from float64, rivals, and the machine's limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import exp, log

from .timing import Timing

Shape = dict[str, object]

NOISE = 1.5
"""A median that is this many times the least is not the machine's alone."""


@dataclass(frozen=True)
class Row:
    """One op or net on one shape, in one direction."""

    op: str
    shape: Shape
    direction: str
    timing: Timing
    residual: float | None = None
    flops: int = 0
    nbytes: int = 0
    limit_ms: float | None = None
    """The least time this machine needs for the operations, or for the traffic, whichever takes longer."""
    limit: str | None = None
    """What takes that time: "FMA" (arithmetic in registers) or "copy" (bytes read and written)."""
    rivals: dict[str, Timing] = field(default_factory=dict)
    """By name, such as "torch channels_last"; the first word is the kind."""
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def ms(self) -> float:
        return self.timing.median

    @property
    def noisy(self) -> bool:
        """Whether something else was running, also beside a rival: then ratios of least times tell more."""
        return any(timing.median > NOISE * timing.least for timing in (self.timing, *self.rivals.values()))

    @property
    def gflops(self) -> float:
        return self.flops / self.ms / 1e6

    @property
    def gbytes(self) -> float:
        """GB/s of the least traffic."""
        return self.nbytes / self.ms / 1e6

    @property
    def peak_share(self) -> float | None:
        """How much of the limit that binds is reached, from 0 to 1."""
        return self.limit_ms / self.ms if self.limit_ms is not None else None

    def kinds(self) -> list[str]:
        """The kinds of rivals, PyTorch first: it is the one to beat."""
        listed = dict.fromkeys(name.split()[0] for name in self.rivals)
        return sorted(listed, key=lambda kind: kind != "torch")

    def best(self, kind: str) -> tuple[str, Timing]:
        """The name and times of the fastest rival of a kind."""
        return min(((n, t) for n, t in self.rivals.items() if n.split()[0] == kind), key=lambda pair: pair[1].median)

    def ratio(self, kind: str | None = None) -> float | None:
        """The time of the fastest rival of a kind (of PyTorch, if measured) over ours."""
        kinds = self.kinds() if kind is None else [k for k in self.kinds() if k == kind]
        return self.best(kinds[0])[1].median / self.ms if kinds else None

    def least_ratio(self, kind: str) -> float:
        """The same of the least times, which noise of other processes disturbs less."""
        least = min(timing.least for name, timing in self.rivals.items() if name.split()[0] == kind)
        return least / self.timing.least

    def as_dict(self) -> dict:
        """As in the JSON file."""
        kinds = self.kinds()
        return {
            "op": self.op,
            "shape": self.shape,
            "direction": self.direction,
            "ms": self.ms,
            "torch_ms": None,
            **{f"{kind}_ms": self.best(kind)[1].median for kind in kinds},
            "ratio": self.ratio(),
            "gflops": self.gflops,
            "peak_share": self.peak_share,
            "residual": self.residual,
            "limit": self.limit,
            "flops": self.flops,
            "nbytes": self.nbytes,
            "gbytes": self.gbytes,
            "least_ms": self.timing.least,
            "first_ms": self.timing.first,
            "noisy": self.noisy,
            "least_ratio": self.least_ratio(kinds[0]) if kinds else None,
            "against": kinds[0] if kinds else None,
            "rivals": {name: {"ms": t.median, "least_ms": t.least} for name, t in self.rivals.items()},
            **self.extra,
        }


def geometric_mean(values: Iterable[float]) -> float:
    """``geometric_mean([1, 4]) == 2``."""
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))
