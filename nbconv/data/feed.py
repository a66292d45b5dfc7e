"""From what a user passes to what a net reads: checked, channels last, in the net's dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DataError, DeviceError, NbconvError, ShapeError
from ..ops.base import Shape
from ..ops.loss import Loss
from .checks import as_array, check_bytes, check_labels, check_samples, check_targets
from .held import Held, check_held_labels, check_held_samples, check_held_targets
from .layout import inside, outside

Samples = tuple[Any, ...]
"""One array per input of the net."""


class Feed:
    """Checks and converts the inputs of one net, and the labels or targets that its loss compares the output with.

    ``Feed(["input"], [(1, 8, 8)], (10,), "float32", "NCHW").samples(x)`` takes x (N, 1, 8, 8) and returns
    ((N, 8, 8, 1),). ``shapes`` are one sample's, in the caller's ``data_format``; ``output`` is one sample's of the
    net, channels last. ``dtypes`` are those of the inputs, "uint8" or "float" for the net's, which is ``dtype``. What
    lies on the net's device ``hold`` returns as a ``Held``, which stays there.
    """

    def __init__(
        self,
        names: Sequence[str],
        shapes: Sequence[Shape],
        output: Shape,
        dtype: str,
        data_format: str,
        dtypes: Sequence[str] | None = None,
        hold: Callable[[Any, str, bool], Held | None] = lambda values, name, channels_first: None,
    ):
        self.names, self.shapes, self.output = tuple(names), tuple(shapes), output
        self.dtype, self.data_format, self._hold = dtype, data_format, hold
        self.dtypes = tuple(dtypes or ["float"] * len(self.names))
        self._loss: Loss | None = None

    def compare_with(self, loss: Loss) -> None:
        """Set the loss, which says whether there are labels or targets, and in which range."""
        self._loss = loss

    def samples(self, x: Any, check_finite: bool = True) -> Samples:
        """Return the inputs, or raise ``DataError`` or ``ShapeError``; a copy only where something has to change."""
        given = several(x, len(self.names), "x")
        labels = ["x"] if len(given) == 1 else [f"x ({name})" for name in self.names]
        ready = tuple(
            self._converted(array, shape, dtype, label, check_finite)
            for array, shape, dtype, label in zip(given, self.shapes, self.dtypes, labels, strict=True)
        )
        if len({len(array) for array in ready}) > 1:
            raise ShapeError(f"the inputs have different numbers of samples: {[len(array) for array in ready]}")
        return ready

    def samples_and_targets(self, x: Any, y: Any, check_finite: bool = True) -> tuple[Samples, Any]:
        """Return the inputs, and labels or targets as the loss has them."""
        samples = self.samples(x, check_finite)
        if self._loss is None or "labels" in self._loss.inputs:
            return samples, self._labels(y, len(samples[0]))
        wanted, (least, most) = outside(self.output, self.data_format), self._loss.target_range
        held = self._hold(y, "y", self.data_format == "NCHW")
        if held is not None:
            return samples, check_held_targets(
                *(held, wanted, len(samples[0]), self.dtype), least=least, most=most, check_finite=check_finite
            )
        checked = check_targets(
            *(y, wanted, len(samples[0])),
            least=least,
            most=most,
            data_format=self.data_format,
            check_finite=check_finite,
        )
        return samples, self._inside(checked, "y", check_finite)

    def pair(self, data: Any, name: str, check_finite: bool = True) -> tuple[Samples, Any]:
        """Return inputs and labels or targets of a pair (x, y); an error in them says which pair."""
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise DataError(f"{name} must be a pair (x, y)")
        try:
            return self.samples_and_targets(data[0], data[1], check_finite)
        except DeviceError:  # is not the pair's, and may hold more than its text
            raise
        except NbconvError as error:
            raise type(error)(f"{name}: {error}") from None

    def _labels(self, y: Any, count: int) -> Any:
        """One int64 label per sample; per pixel, where the net's output is an image."""
        *pixels, classes = self.output
        wanted = (count, *pixels)
        held = self._hold(y, "y", False)
        if held is not None:
            return check_held_labels(held, classes, wanted)
        labels = as_array(y, "y")
        if pixels and labels.shape != wanted:
            raise ShapeError(f"y must have one label per pixel, shape {wanted}, got {labels.shape}")
        flat = check_labels(labels.reshape(-1) if pixels else labels, classes, int(np.prod(wanted)))
        return flat.reshape(wanted)

    def _converted(self, array: Any, shape: Shape, dtype: str, name: str, check_finite: bool) -> Any:
        held = self._hold(array, name, self.data_format == "NCHW")
        if held is not None:
            if dtype == "uint8":
                check_bytes(held, name)
            return check_held_samples(held, shape, self.dtype, name, self.data_format, check_finite)
        checked = check_samples(array, shape, name=name, data_format=self.data_format, check_finite=check_finite)
        if dtype == "uint8":
            return inside(check_bytes(checked, name), dtype, self.data_format)
        return self._inside(checked, name, check_finite)

    def _inside(self, checked: np.ndarray, name: str, check_finite: bool) -> np.ndarray:
        ready = inside(checked, self.dtype, self.data_format)
        if check_finite and checked.dtype != self.dtype and not np.isfinite(ready).all():
            raise DataError(f'{name} has values beyond the range of {self.dtype}; scale it, or use dtype="float64"')
        return ready


def several(values: Any, count: int, name: str) -> tuple:
    """Return one array per input or output of a net: where there is one, ``values`` is that array itself."""
    if count == 1:
        return (values,)
    if not isinstance(values, (tuple, list)) or len(values) != count:
        raise DataError(f"{name} must be a tuple of {count} arrays")
    return tuple(values)
