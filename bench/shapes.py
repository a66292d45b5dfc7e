"""The shapes that are measured: those of well-known nets, or a file of one's own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nbconv.errors import DataError
from nbconv.ops.conv import Conv2d


@dataclass(frozen=True)
class ConvShape:
    """A convolution: batch, channels, height, width, filters, window, and how it moves."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def op(self) -> Conv2d:
        """The layer, without bias: ``ConvShape(1, 3, 8, 8, 4, 3, 3).op()`` is ``Conv2d(4, 3, bias=False)``."""
        return Conv2d(self.K, (self.R, self.S), self.stride, self.padding, groups=self.groups, bias=False)

    def as_dict(self) -> dict:
        """As in a shapes file."""
        return {"op": "conv2d", **asdict(self)}

    def __str__(self):
        groups = "" if self.groups == 1 else " depthwise" if self.groups == self.C else f" groups {self.groups}"
        return f"{self.N}x{self.C}x{self.H}x{self.W} k{self.K} {self.R}x{self.S}/{self.stride} p{self.padding}{groups}"


CONV2D = (
    ConvShape(64, 1, 28, 28, 16, 3, 3, 1, 1),
    ConvShape(64, 16, 14, 14, 32, 3, 3, 1, 1),
    ConvShape(32, 3, 32, 32, 32, 3, 3, 1, 1),
    ConvShape(32, 32, 32, 32, 32, 3, 3, 1, 1),
    ConvShape(32, 64, 16, 16, 64, 3, 3, 1, 1),
    ConvShape(32, 128, 8, 8, 128, 3, 3, 1, 1),
    ConvShape(8, 64, 56, 56, 64, 3, 3, 1, 1),
    ConvShape(8, 64, 56, 56, 128, 3, 3, 2, 1),
    ConvShape(8, 256, 14, 14, 256, 1, 1, 1, 0),
    ConvShape(8, 64, 56, 56, 256, 1, 1, 1, 0),
    ConvShape(8, 3, 224, 224, 64, 7, 7, 2, 3),
    ConvShape(2, 3, 224, 224, 64, 11, 11, 4, 2),
    ConvShape(32, 32, 32, 32, 32, 5, 5, 1, 2),
    ConvShape(32, 64, 32, 32, 64, 3, 3, 1, 1, groups=64),
    ConvShape(1, 64, 56, 56, 64, 3, 3, 1, 1),
    ConvShape(16, 20, 17, 23, 36, 3, 3, 1, 1),
)


def read(path: str | Path) -> tuple[ConvShape, ...]:
    """Return the shapes of a JSON list such as ``[{"op": "conv2d", "N": 8, "C": 3, ..., "R": 3, "S": 3}]``.

    ``stride``, ``padding`` and ``groups`` may be left out. Raises ``DataError``.
    """
    try:
        rows = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read shapes from {path}: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{path} must be a JSON list of shapes, such as [{{"op": "conv2d", "N": 8, "C": 3, ...}}]')
    return tuple(_shape(row, i, path) for i, row in enumerate(rows))


def _shape(row, index: int, path) -> ConvShape:
    names = [f.name for f in fields(ConvShape)]
    if not isinstance(row, dict) or row.get("op") != "conv2d":
        raise DataError(f'shape {index} of {path} must be an object with "op": "conv2d", got {row!r}')
    sizes = {name: value for name, value in row.items() if name != "op"}
    wrong = [n for n, v in sizes.items() if n not in names or isinstance(v, bool) or not isinstance(v, int)]
    missing = [name for name in names[:7] if name not in sizes]
    if wrong or missing:
        raise DataError(
            f"shape {index} of {path} needs integers {', '.join(names[:7])} and may have {', '.join(names[7:])}; "
            + (f"missing: {', '.join(missing)}" if missing else f"wrong: {', '.join(wrong)}")
        )
    return ConvShape(**sizes)
