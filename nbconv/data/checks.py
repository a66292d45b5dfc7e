"""What a user passes to a model: is it usable, and if not, what to change."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from ..ops.base import Shape

SAMPLES_AT_ONCE = 1024
"""How many samples are looked at together for NaN, so that the look does not double the memory."""

GPU_KINDS = (2, 13)
"""DLPack's numbers for memory of a GPU, and for memory that it shares with the host."""


def as_array(values, name: str) -> np.ndarray:
    """Return an array, without a copy where it is one already, or raise ``DataError`` for ragged lists."""
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{name} is ragged: its rows differ in length; give every sample the same shape") from None
    except TypeError as error:
        if not hasattr(values, "__cuda_array_interface__"):
            raise
        raise DataError(
            f"{name} lies on a GPU, and is wanted on the host here ({error}); "
            f"copy it: {name}.cpu() in PyTorch, {name}.get() in CuPy"
        ) from None


def on_gpu(values: Any) -> bool:
    """Whether an array of any library says that it lies in a GPU's memory; it is not asked for numbers."""
    if hasattr(values, "__dlpack_device__"):
        return int(values.__dlpack_device__()[0]) in GPU_KINDS
    return hasattr(values, "__cuda_array_interface__")


def check_samples(
    x, sample_shape: Shape, *, name: str = "x", data_format: str = "NCHW", check_finite: bool = True
) -> np.ndarray:
    """Return ``x`` as an array of samples, without a copy, or say what is wrong with it.

    ``check_samples(x, (1, 8, 8))`` wants x of shape (N, 1, 8, 8), N at least 1, of any real dtype (booleans, integers
    and floats of every size). ``sample_shape`` is in the caller's ``data_format``.

    Raises ``DataError`` for a dtype that is no real number, an empty batch, and NaN or infinity unless
    ``check_finite=False``; ``ShapeError`` for another shape.
    """
    x = as_array(x, name)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold real numbers, got dtype {x.dtype}; {_dtype_mend(x, name)}")
    check_shape(x.shape, sample_shape, name, data_format)
    if check_finite and x.dtype.kind == "f":
        check_all_finite(x, name, "repair the data, or pass check_finite=False to let it through")
    return x


def check_bytes(x: Any, name: str) -> Any:
    """Return ``x``, or raise ``DataError`` if it is not of uint8: what a net takes as bytes is never converted."""
    if x.dtype == np.uint8:
        return x
    unit = f", with (255 * {name}).round().astype(np.uint8) if they are from 0 to 1" if x.dtype.kind == "f" else ""
    raise DataError(
        f"{name} must be bytes (uint8), as the net's input is declared, got dtype {x.dtype}; convert numbers from 0 to "
        f'255 with {name}.astype(np.uint8){unit}, or build the net on an input of dtype="float"'
    )


def check_shape(got: Shape, sample_shape: Shape, name: str, data_format: str) -> None:
    """Raise ``ShapeError`` for samples of another shape, ``DataError`` for none."""
    if got[1:] != tuple(sample_shape) or not got:
        raise ShapeError(_shape_message(got, tuple(sample_shape), name, data_format))
    if got[0] == 0:
        raise DataError(f"{name} is empty: it has shape {got}, and at least one sample is needed")


def check_all_finite(x: np.ndarray, name: str, mend: str) -> None:
    """Raise ``DataError`` for NaN or infinity, with the first place and this mend."""
    bad, first = 0, None
    for start in range(0, len(x), SAMPLES_AT_ONCE):
        finite = np.isfinite(x[start : start + SAMPLES_AT_ONCE])
        if finite.all():
            continue
        bad += finite.size - np.count_nonzero(finite)
        if first is None:
            position = np.unravel_index(np.argmin(finite), finite.shape)
            first = (start + int(position[0]), *map(int, position[1:]))
    if first is not None:
        values = "value that is" if bad == 1 else "values that are"
        raise DataError(f"{name} has {bad} {values} not finite, the first is {x[first]} at index {first}; {mend}")


def check_labels(y, classes: int, rows: int, *, name: str = "y") -> np.ndarray:
    """Return labels as a contiguous int64 array of shape (rows,), or say what is wrong with them.

    ``check_labels(y, 10, 32)`` wants 32 integers from 0 to 9.

    Raises ``DataError`` for labels that are no integers, out of range, or missing altogether; ``ShapeError`` for
    one-hot rows or another number of labels than samples.
    """
    y = as_array(y, name)
    if y.ndim != 1:
        raise ShapeError(
            f"{name} must be one label per sample, of shape ({rows},), got {y.shape}{_label_hint(y, name)}"
        )
    if len(y) == 0:
        raise DataError(f"{name} is empty: at least one label is needed")
    if len(y) != rows:
        raise ShapeError(_length_message(rows, len(y), name))
    if y.dtype.kind not in "biu":
        raise DataError(
            f"{name} must hold integer labels from 0 to {classes - 1}, got dtype {y.dtype}{_whole(y, name)}"
        )
    _check_range(y, classes, name)
    return np.ascontiguousarray(y, dtype=np.int64)


def check_targets(
    y,
    output_shape: Shape,
    rows: int,
    *,
    least: float = -inf,
    most: float = inf,
    name: str = "y",
    data_format: str = "NCHW",
    check_finite: bool = True,
) -> np.ndarray:
    """Return ``y`` as an array of numbers that a net's output is compared with, or say what is wrong with it.

    ``check_targets(y, (10,), 32)`` wants y of shape (32, 10), of any real dtype; ``output_shape`` is one sample's, in
    the caller's ``data_format``.

    Raises ``DataError`` for a dtype that is no real number, NaN or infinity unless ``check_finite=False``, and numbers
    that are not from ``least`` to ``most``; ``ShapeError`` for another shape or another number of targets than samples.
    """
    y = as_array(y, name)
    if y.shape[1:] != tuple(output_shape):
        raise ShapeError(_target_message(y.shape, (rows, *output_shape), name))
    check_samples(y, output_shape, name=name, data_format=data_format, check_finite=check_finite)
    if len(y) != rows:
        raise ShapeError(f"there are {rows} samples, but {len(y)} targets in {name}; pass one target per sample")
    outside = (y < least) | (y > most)
    if outside.any():
        index = tuple(map(int, np.unravel_index(np.argmax(outside), y.shape)))
        signs = f"; labels of -1 and 1 become targets with ({name} + 1) / 2" if set(np.unique(y)) <= {-1, 1} else ""
        raise DataError(f"{name} is {y[index]} at index {index}, but targets must be from {least:g} to {most:g}{signs}")
    return y


def _target_message(got: Shape, wanted: Shape, name: str) -> str:
    hint = ""
    if len(wanted) == 2 and len(got) == 1:
        hint = f"; use {name}[:, None]" if wanted[1] == 1 else f"; labels become rows with np.eye({wanted[1]})[{name}]"
    elif np.prod(got) == np.prod(wanted):
        hint = f"; use {name}.reshape{wanted}, if that is the order of its axes"
    return f"{name} must have the shape of the output, {wanted}, got {got}{hint}"


def _dtype_mend(x: np.ndarray, name: str) -> str:
    if x.dtype.kind == "O":
        return f"the samples may differ in shape: make them equal, then use np.stack({name})"
    if x.dtype.kind == "c":
        return f"use {name}.real, or abs({name})"
    return f"convert it first, for numbers written as text with {name}.astype(float)"


def _shape_message(got: Shape, sample: Shape, name: str, data_format: str) -> str:
    wanted = ", ".join(map(str, ("N", *sample)))
    layout = f' (data_format="{data_format}")' if len(sample) > 1 else ""
    hint = _shape_hint(got, sample, name, data_format)
    return f"{name} must have shape ({wanted}){layout}, got {got}" + (f"; {hint}" if hint else "")


def _shape_hint(got: Shape, sample: Shape, name: str, data_format: str) -> str:
    if got == sample:
        return f"this is one sample without a batch axis: use {name}[None]"
    if len(sample) == 1:
        flat = len(got) > 2 and np.prod(got[1:]) == sample[0]
        return f"use {name}.reshape(len({name}), -1)" if flat else ""
    first = data_format == "NCHW"
    channels, pixels = (sample[0], sample[1:]) if first else (sample[-1], sample[:-1])
    if got[1:] == ((*pixels, channels) if first else (channels, *pixels)):
        return (
            f'these look like channels {"last" if first else "first"}: use data_format="{"NHWC" if first else "NCHW"}"'
        )
    if channels == 1 and got[-len(pixels) :] == pixels:
        if len(got) == len(sample):
            return f"the channel axis is missing: use {name}[{':, None' if first else '..., None'}]"
        if got == pixels:
            kind = "image" if len(pixels) == 2 else "sequence"
            return f"this is one {kind}: use {name}[{'None, None' if first else 'None, ..., None'}]"
    if len(got) == 2 and got[1] == np.prod(sample):
        return f"these are flat: use {name}.reshape(-1, {', '.join(map(str, sample))})"
    return ""


def _length_message(samples: int, labels: int, name: str) -> str:
    return f"there are {samples} samples, but {labels} labels in {name}; pass one label per sample"


def _label_hint(y: np.ndarray, name: str) -> str:
    if y.ndim == 2 and y.shape[1] == 1:
        return f"; use {name}[:, 0]"
    if y.ndim == 2:
        return f"; one-hot labels become integers with {name}.argmax(axis=1)"
    return ""


def _whole(y: np.ndarray, name: str) -> str:
    """The way out for labels of another dtype, where there is one."""
    if y.dtype.kind == "f":
        whole = bool(np.isfinite(y).all() and (y == np.floor(y)).all())
        return f"; use {name}.astype(int)" if whole else "; they are not whole numbers"
    if y.dtype.kind in "OUS":
        return f"; number the classes with np.unique({name}, return_inverse=True)[1]"
    return ""


def _check_range(y: np.ndarray, classes: int, name: str) -> None:
    outside = (y < 0) | (y >= classes)
    if not outside.any():
        return
    index = int(np.argmax(outside))
    from_one = f"; they count from 1: use {name} - 1" if y.min() == 1 and y.max() == classes else ""
    raise DataError(
        f"{name}[{index}] is {y[index]}, but labels must be from 0 to {classes - 1} for {classes} classes{from_one}"
    )
