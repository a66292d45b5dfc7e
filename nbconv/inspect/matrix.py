"""A convolution as the matrix it is: Toeplitz in one dimension, doubly blocked Toeplitz in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from ..data.checks import as_array
from ..errors import DataError, NbconvError, OptionError, ShapeError
from ..ops.base import Shape
from ..ops.conv import Conv2d
from ..ops.options import flag, integer
from ..ops.sequence import Conv1d
from ..ops.shapes import pair


@dataclass(frozen=True, repr=False, eq=False)
class SparseMatrix:
    """A matrix by the values that are not zero by construction, each with its row and column.

    ``conv_matrix(Conv2d(1, 3), (1, 8, 8), weight) @ image.ravel()``. Entries of one place add up.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @property
    def T(self) -> SparseMatrix:
        """The transposed matrix, on the same arrays."""
        return SparseMatrix(self.columns, self.rows, self.values, self.shape[::-1])

    __array_ufunc__ = None  # NumPy's arrays leave x @ matrix to __rmatmul__, and matrix + x to nobody

    def __matmul__(self, other) -> np.ndarray:
        """Multiply (rows, columns) with (columns,) or (columns, n)."""
        if isinstance(other, SparseMatrix):
            raise OptionError(
                "two sparse matrices are not multiplied: use first @ second.toarray(), or first @ (second @ x)"
            )
        x = as_array(other, "the right operand")
        if x.dtype.kind not in "biuf":
            raise DataError(f"the right operand must hold real numbers, got dtype {x.dtype}")
        if x.ndim not in (1, 2) or len(x) != self.shape[1]:
            raise ShapeError(
                f"a matrix of shape {self.shape} is multiplied with ({self.shape[1]},) or ({self.shape[1]}, n), got "
                f"{x.shape}; flatten one sample with x.ravel(), or several with x.reshape(len(x), -1).T"
            )
        y = np.zeros((self.shape[0], *x.shape[1:]), np.result_type(self.values, x))
        np.add.at(y, self.rows, self.values.reshape(-1, *(1,) * (x.ndim - 1)) * x[self.columns])
        return y

    def __rmatmul__(self, other) -> np.ndarray:
        """Multiply (rows,) or (n, rows) with (rows, columns)."""
        x = as_array(other, "the left operand")
        if x.ndim not in (1, 2) or x.shape[-1] != self.shape[0]:
            raise ShapeError(
                f"({self.shape[0]},) or (n, {self.shape[0]}) is multiplied with a matrix of shape {self.shape}, got "
                f"{x.shape}; a sample of {self.shape[1]} values stands on the right: matrix @ x.ravel()"
            )
        return (self.T @ x.T).T

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The whole matrix, for ``np.asarray(matrix)``."""
        return self.toarray().astype(dtype or self.values.dtype, copy=False)

    def toarray(self) -> np.ndarray:
        """The whole matrix, zeros and all."""
        dense = np.zeros(self.shape, self.values.dtype)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense

    def to_scipy(self):
        """The matrix as a ``scipy.sparse.coo_array``; raises ``OptionError`` where SciPy is not installed."""
        try:
            sparse = import_module("scipy.sparse")
        except ImportError:
            raise OptionError("to_scipy needs SciPy: pip install scipy, or use toarray() or @") from None
        return sparse.coo_array((self.values, (self.rows, self.columns)), shape=self.shape)

    def __repr__(self):
        return f"<SparseMatrix {self.shape[0]} x {self.shape[1]}, {len(self.values)} values, {self.values.dtype}>"


def conv_matrix(
    layer: Conv1d | Conv2d, input_shape: Sequence[int], weight=None, *, padded_input: bool = False
) -> SparseMatrix:
    """Return the matrix M of a convolution: ``M @ x.ravel()`` is the flattened output for one sample x.

    ``conv_matrix(Conv2d(8, 3, padding=1), (3, 32, 32), weight)`` has the shape (8 * 32 * 32, 3 * 32 * 32), and
    ``M.T @ dy.ravel()`` is the gradient of the input.

    Parameters
    ----------
    layer : Conv2d or Conv1d
        With any stride, padding, dilation and groups. The bias, which no matrix can add, is left out.
    input_shape : sequence of int, (C, H, W), or (C, L) of a sequence
        Of one sample, channels first whatever the model's data format is.
    weight : array (K, C / groups, KH, KW), or (K, C / groups, KW)
        The filters, which a layer does not hold: ``model.state_dict()["0.weight"]``. The matrix has their dtype.
    padded_input : bool
        Whether the matrix is to act on a sample that has its border already. In one dimension, 4 outputs of 3 taps on 4
        inputs with a border of 1 are then a band matrix of 4 x 6, with the filter in each row, shifted by one; else it
        is that without its first and last column.

    Raises
    ------
    OptionError, ShapeError, DataError
        For a layer that is no convolution, and for a shape or weights that are missing or do not fit it.

    Notes
    -----
    Columns count (c, row, column) of the input and rows (k, i, j) of the output, as ``ravel`` does. Where a circular
    border wraps, several entries may have one place. Dumoulin & Visin, "A guide to convolution arithmetic for deep
    learning" (2016), section 4.1.
    """
    op = layer.as_2d if isinstance(layer, Conv1d) else layer
    if not isinstance(op, Conv2d):
        hint = (
            "; pass one of its layers, and its weight from model.state_dict()" if hasattr(layer, "state_dict") else ""
        )
        raise OptionError(f"conv_matrix needs a convolution, such as Conv2d(8, 3), got {layer!r}{hint}")
    flag(padded_input, "padded_input")
    if weight is None:
        raise OptionError(
            f"conv_matrix needs the weight of {layer!r}, which a layer does not hold: pass an array, such as "
            f'model.state_dict()["0.weight"]'
        )
    is_sequence = op is not layer
    c, h, w = _image_shape(input_shape, is_sequence)
    try:
        _, out_h, out_w, k = op.conv_shape((1, h, w, c))
    except NbconvError as error:
        raise type(error)(f"{layer!r} on {(c, w) if is_sequence else (c, h, w)}: {error}") from None
    kernel, stride, dilation = (pair(getattr(op, name), name) for name in ("kernel_size", "stride", "dilation"))
    weight_shape = (k, c // op.groups, *kernel[is_sequence:])
    filters = _filters(layer, weight, weight_shape).reshape(k, -1, *kernel)
    top, bottom, left, right = op.pads((1, h, w, c))
    border = None if padded_input else op.padding_mode
    rows, columns = (
        _positions(size, count, before, window, border)
        for size, count, before, *window in zip(
            (h, w), (out_h, out_w), (top, left), kernel, stride, dilation, strict=True
        )
    )
    height, width = (h + top + bottom, w + left + right) if padded_input else (h, w)

    per_group, filters_per_group = c // op.groups, k // op.groups
    filter_, channel, _, _, i, j = np.ogrid[:k, :per_group, :1, :1, :out_h, :out_w]
    channel = channel + filter_ // filters_per_group * per_group
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    place = (channel * height + row) * width + column
    output = (filter_ * out_h + i) * out_w + j
    seen = np.broadcast_to((row >= 0) & (column >= 0), place.shape)
    return SparseMatrix(
        rows=np.broadcast_to(output, place.shape)[seen],
        columns=place[seen],
        values=np.broadcast_to(filters[..., None, None], place.shape)[seen],
        shape=(k * out_h * out_w, c * height * width),
    )


def _image_shape(shape: Sequence[int], is_sequence: bool) -> tuple[int, int, int]:
    """(C, H, W), where a sequence has a height of 1."""
    wanted = ("channels", "length") if is_sequence else ("channels", "height", "width")
    if not isinstance(shape, (tuple, list, np.ndarray)) or len(shape) != len(wanted):
        raise ShapeError(f"input_shape is ({', '.join(wanted)}) of one sample, got {shape!r}")
    c, *sizes = (integer(size, "input_shape") for size in shape)
    h, w = (1, *sizes) if is_sequence else sizes
    return c, h, w


def _filters(layer: Conv1d | Conv2d, weight, shape: Shape) -> np.ndarray:
    """The filters as they lie on the image: turned round, for a true convolution."""
    filters = as_array(weight, "weight")
    if filters.dtype.kind not in "biuf":
        raise DataError(f"weight must hold real numbers, got dtype {filters.dtype}")
    if filters.shape != shape:
        raise ShapeError(
            f"weight must have shape {shape} (out, in / groups, taps) for {layer!r} on this input, got {filters.shape}"
        )
    return np.flip(filters, tuple(range(2, filters.ndim))) if layer.flip else filters


def _positions(size: int, outputs: int, before: int, window: Sequence[int], border: str | None) -> np.ndarray:
    """The position that each tap of each window sees on one axis, (taps, outputs); -1 for a border of zeros.

    ``window`` is the kernel's size, stride and dilation on this axis. Where the sample has its border already,
    ``border`` is ``None``, and positions count from the border's first pixel.
    """
    kernel, stride, dilation = window
    seen = np.arange(kernel)[:, None] * dilation + np.arange(outputs) * stride
    if border is None:
        return seen
    seen -= before
    return seen % size if border == "circular" else np.where((seen >= 0) & (seen < size), seen, -1)
