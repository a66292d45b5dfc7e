"""The matrix of a convolution: the material's own, and the same as the convolution on every kind of window."""

import sys
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from cases import CONV
from running import on_reference

from nbconv import Conv1d, Conv2d, Linear, Sequential
from nbconv.errors import DataError, OptionError, ShapeError
from nbconv.functional import conv1d, conv2d
from nbconv.inspect import SparseMatrix, conv_matrix

ROW = Conv2d(1, (1, 3), padding=(0, 1), bias=False)
"""A convolution of one dimension: of images of height 1."""
W = np.array([2.0, 3.0, 5.0])
TAPS = W.reshape(1, 1, 1, 3)


def plain(op):
    return replace(op, activation=None, pool=None, bias=False, algorithm="auto")


SMALL = {
    repr(plain(case.op)): case for case in CONV if prod(case.x) * prod(case.op.kernel_size) * case.op.out_channels < 1e5
}


def test_one_dimension_is_a_band():
    """Four inputs, zero padded by 1, three weights: a 4 x 6 band matrix on the padded input."""
    matrix = conv_matrix(ROW, (1, 1, 4), TAPS, padded_input=True)
    assert matrix.toarray().tolist() == [[2, 3, 5, 0, 0, 0], [0, 2, 3, 5, 0, 0], [0, 0, 2, 3, 5, 0], [0, 0, 0, 2, 3, 5]]
    inner = conv_matrix(ROW, (1, 1, 4), TAPS)
    assert inner.toarray().tolist() == [[3, 5, 0, 0], [2, 3, 5, 0], [0, 2, 3, 5], [0, 0, 2, 3]]


def test_backwards_it_is_the_full_convolution_with_flipped_weights():
    """A correlation with w comes back as a convolution with w: a correlation, again, with w flipped."""
    dy = np.array([1.0, -2.0, 4.0, 7.0])
    dx = conv_matrix(ROW, (1, 1, 4), TAPS, padded_input=True).T @ dy
    np.testing.assert_array_equal(dx, np.convolve(dy, W, "full"))
    full = conv2d(dy.reshape(1, 1, 1, 4), TAPS[..., ::-1].copy(), padding=(0, 2), device="reference")
    np.testing.assert_array_equal(dx, full.ravel())


def test_two_dimensions_are_doubly_blocked_toeplitz():
    weight = np.random.default_rng(0).standard_normal((1, 1, 3, 3))
    matrix = conv_matrix(Conv2d(1, 3, padding=1), (1, 5, 4), weight).toarray()
    blocks = matrix.reshape(5, 4, 5, 4)  # output row, output column, input row, input column
    for shift in ((1, 0), (0, 1)):
        down, across = shift
        np.testing.assert_array_equal(
            blocks[down:, across:, down:, across:], blocks[: 5 - down, : 4 - across, : 5 - down, : 4 - across]
        )
    np.testing.assert_array_equal(blocks[2, 1, 1:4, 0:3], weight[0, 0])


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_it_is_the_convolution_and_its_transpose_the_gradient(case):
    op, rng = plain(case.op), np.random.default_rng(0)
    _, h, w, c = case.x
    weight = rng.standard_normal((op.out_channels, c // op.groups, *op.kernel_size))
    x, dy = rng.standard_normal((c, h, w)), rng.standard_normal(op.out_shape((1, h, w, c)))
    bound = on_reference(op, x.transpose(1, 2, 0)[None], weight=weight.transpose(2, 3, 1, 0), dy=dy)
    y, dx = (array[0].transpose(2, 0, 1).ravel() for array in (bound.forward()["out"], bound.backward()["x"]))
    matrix = conv_matrix(op, (c, h, w), weight)
    assert matrix.shape == (y.size, x.size)
    np.testing.assert_allclose(matrix @ x.ravel(), y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(matrix.T @ dy[0].transpose(2, 0, 1).ravel(), dx, rtol=0, atol=1e-12)
    top, bottom, left, right = op.pads(case.x)
    mode = "wrap" if op.padding_mode == "circular" else "constant"
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), mode=mode)
    outer = conv_matrix(op, (c, h, w), weight, padded_input=True)
    assert outer.shape == (y.size, padded.size)
    np.testing.assert_allclose(outer @ padded.ravel(), y, rtol=0, atol=1e-12)


def test_weights_of_a_model():
    model = Sequential(Conv2d(3, 3, stride=2, name="stem"), input_shape=(2, 9, 8), device="reference")
    matrix = conv_matrix(model.graph.nodes[1].op, (2, 9, 8), model.state_dict()["stem.weight"])
    x = np.random.default_rng(0).standard_normal((4, 2, 9, 8)).astype(np.float32)
    y = matrix @ x.reshape(4, -1).T
    assert y.dtype == matrix.values.dtype == np.float32
    np.testing.assert_allclose(y.T, model.predict(x).reshape(4, -1), atol=1e-5)


def test_where_a_border_wraps_twice_to_one_place():
    layer = Conv2d(1, (1, 3), padding=(0, 1), padding_mode="circular")
    matrix = conv_matrix(layer, (1, 1, 2), TAPS)
    assert matrix.toarray().tolist() == [[3, 7], [7, 3]]
    assert (matrix @ np.array([1.0, 10.0])).tolist() == [73, 37]


def test_as_scipy_s():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed: to_scipy is not tested")
    weight = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    matrix = conv_matrix(Conv2d(4, 3, padding="same"), (2, 5, 6), weight)
    assert isinstance(matrix.to_scipy(), sparse.coo_array)
    np.testing.assert_array_equal(matrix.to_scipy().toarray(), matrix.toarray())
    wrapped = conv_matrix(Conv2d(1, (1, 3), padding=(0, 1), padding_mode="circular"), (1, 1, 2), TAPS)
    assert wrapped.to_scipy().toarray().tolist() == [[3, 7], [7, 3]]


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(OptionError, match=r"pip install scipy, or use toarray\(\) or @"):
        conv_matrix(ROW, (1, 1, 4), TAPS).to_scipy()


def test_only_what_is_not_zero_is_kept():
    matrix = conv_matrix(ROW, (1, 1, 100), TAPS)
    assert len(matrix.values) == 3 * 100 - 2
    assert repr(matrix) == "<SparseMatrix 100 x 100, 298 values, float64>"
    assert isinstance(matrix.T, SparseMatrix) and matrix.T.shape == (100, 100)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: conv_matrix(Linear(3), (1, 1, 4), TAPS), OptionError, r"needs a convolution.*got Linear\(3\)"),
        (lambda: conv_matrix(ROW, (1, 4), TAPS), ShapeError, r"input_shape is \(channels, height, width\).*\(1, 4\)"),
        (lambda: conv_matrix(ROW, (1, 0, 4), TAPS), OptionError, "input_shape must be an integer of at least 1, got 0"),
        (
            lambda: conv_matrix(ROW, (2, 1, 4), TAPS),
            ShapeError,
            r"weight must have shape \(1, 2, 1, 3\).*\(1, 1, 1, 3\)",
        ),
        (lambda: conv_matrix(ROW, (1, 1, 4), TAPS * 1j), DataError, "weight must hold real numbers, got dtype complex"),
        (lambda: conv_matrix(Conv2d(1, 5), (1, 4, 9), TAPS), ShapeError, r"\(1, 4, 9\): a window of 5 does not fit"),
        (lambda: conv_matrix(ROW, (1, 1, 4), TAPS, padded_input=1), OptionError, "padded_input must be True or False"),
        (lambda: conv_matrix(ROW, (1, 1, 4), TAPS) @ np.ones(5), ShapeError, r"with \(4,\) or \(4, n\), got \(5,\)"),
        (lambda: conv_matrix(ROW, (1, 1, 4), TAPS) @ np.ones((2, 1, 4)), ShapeError, r"x.reshape\(len\(x\), -1\).T"),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_sequences():
    matrix = conv_matrix(Conv1d(1, 3, padding=1), (1, 4), W.reshape(1, 1, 3), padded_input=True)
    assert matrix.toarray().tolist() == [[2, 3, 5, 0, 0, 0], [0, 2, 3, 5, 0, 0], [0, 0, 2, 3, 5, 0], [0, 0, 0, 2, 3, 5]]
    options = {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2, "flip": True}
    layer, rng = Conv1d(4, 3, **options, bias=False), np.random.default_rng(0)
    w, x = rng.standard_normal((4, 1, 3)), rng.standard_normal((2, 11))
    y = conv1d(x[None], w, **options, device="reference")
    np.testing.assert_allclose(conv_matrix(layer, (2, 11), w) @ x.ravel(), y.ravel(), atol=1e-12)


def test_without_a_weight_or_with_a_model_the_message_says_where_weights_are():
    with pytest.raises(OptionError, match=r'needs the weight of Conv2d.*model.state_dict\(\)\["0.weight"\]'):
        conv_matrix(ROW, (1, 1, 4))
    model = Sequential(Conv2d(1, 3), input_shape=(1, 5, 5), device="reference")
    with pytest.raises(OptionError, match=r"needs a convolution, .*pass one of its layers, .*model.state_dict\(\)"):
        conv_matrix(model, (1, 5, 5))


@pytest.mark.parametrize("shape", [[1, 1, 4], np.array([1, 1, 4])], ids=str)
def test_a_shape_is_any_sequence(shape):
    matrix = conv_matrix(ROW, shape, TAPS)
    np.testing.assert_array_equal(matrix.toarray(), conv_matrix(ROW, (1, 1, 4), TAPS).toarray())


def test_numpy_s_arrays_on_either_side():
    rng = np.random.default_rng(0)
    matrix = conv_matrix(Conv2d(2, 3), (1, 4, 5), rng.standard_normal((2, 1, 3, 3)))
    dense = matrix.toarray()
    np.testing.assert_array_equal(np.asarray(matrix), dense)
    assert np.asarray(matrix, np.float32).dtype == np.float32
    for left in rng.standard_normal(12), rng.standard_normal((3, 12)), rng.standard_normal((1, 12)).tolist():
        np.testing.assert_allclose(left @ matrix, left @ dense, atol=1e-14)
    for wrong in np.ones(20), np.ones((12, 3)), np.ones((2, 2, 12)):
        with pytest.raises(ShapeError, match=r"\(12,\) or \(n, 12\) is multiplied .*\(12, 20\).* matrix @ x.ravel\(\)"):
            wrong @ matrix
    with pytest.raises(TypeError):
        np.ones((12, 20)) + matrix


def test_two_matrices_are_not_multiplied():
    matrix = conv_matrix(ROW, (1, 1, 4), TAPS)
    with pytest.raises(OptionError, match=r"use first @ second.toarray\(\), or first @ \(second @ x\)"):
        matrix @ matrix
    np.testing.assert_array_equal(matrix @ matrix.toarray(), matrix.toarray() @ matrix.toarray())
    with pytest.raises(DataError, match="the right operand must hold real numbers, got dtype <U1"):
        matrix @ np.array(["a"] * 4)
