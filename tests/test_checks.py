"""Every kind of unusable data is named, with what is needed and the way out."""

import numpy as np
import pytest

from nbconv.data.checks import check_labels, check_samples, check_targets
from nbconv.errors import DataError, ShapeError

IMAGE = (1, 8, 8)
NAN, INF = float("nan"), float("inf")


def images(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool", ">f4"])
def test_samples_of_any_real_dtype_pass_uncopied(dtype):
    x = images(5, 1, 8, 8, dtype=dtype)
    assert check_samples(x, IMAGE) is x


def test_lists_and_flat_features_pass():
    assert check_samples([[1, 2], [3, 4]], (2,)).shape == (2, 2)


@pytest.mark.parametrize(
    "x, message",
    [
        (images(5, 1, 8, 8, dtype="complex64"), "x must hold real numbers, got dtype complex64; use x.real, or abs"),
        (images(5, 1, 8, 8, dtype="object"), r"got dtype object; the samples may differ in shape: .* np.stack\(x\)"),
        (np.full((5, 1, 8, 8), "1.5"), r"got dtype <U3; .* with x.astype\(float\)"),
        ([[1, 2], [3]], "x is ragged: its rows differ in length; give every sample the same shape"),
        (images(0, 1, 8, 8), r"x is empty: it has shape \(0, 1, 8, 8\), and at least one sample is needed"),
    ],
)
def test_values_that_are_no_samples(x, message):
    with pytest.raises(DataError, match=message):
        check_samples(x, IMAGE)


@pytest.mark.parametrize(
    "shape, sample, data_format, hint",
    [
        ((5, 8, 8, 1), (1, 8, 8), "NCHW", 'these look like channels last: use data_format="NHWC"'),
        ((5, 1, 8, 8), (8, 8, 1), "NHWC", 'these look like channels first: use data_format="NCHW"'),
        ((5, 32, 30, 3), (3, 32, 30), "NCHW", 'use data_format="NHWC"'),
        ((5, 8, 8), (1, 8, 8), "NCHW", "the channel axis is missing: use x[:, None]"),
        ((5, 8, 8), (8, 8, 1), "NHWC", "the channel axis is missing: use x[..., None]"),
        ((8, 8), (1, 8, 8), "NCHW", "this is one image: use x[None, None]"),
        ((8, 8), (8, 8, 1), "NHWC", "this is one image: use x[None, ..., None]"),
        ((1, 8, 8), (1, 8, 8), "NCHW", "this is one sample without a batch axis: use x[None]"),
        ((5, 64), (1, 8, 8), "NCHW", "these are flat: use x.reshape(-1, 1, 8, 8)"),
        ((5, 1, 8, 8), (64,), "NCHW", "use x.reshape(len(x), -1)"),
        ((5, 20, 3), (3, 20), "NCHW", 'these look like channels last: use data_format="NHWC"'),
        ((5, 3, 20), (20, 3), "NHWC", 'these look like channels first: use data_format="NCHW"'),
        ((5, 20), (1, 20), "NCHW", "the channel axis is missing: use x[:, None]"),
        ((5, 20), (20, 1), "NHWC", "the channel axis is missing: use x[..., None]"),
        ((20,), (1, 20), "NCHW", "this is one sequence: use x[None, None]"),
        ((3, 20), (3, 20), "NCHW", "this is one sample without a batch axis: use x[None]"),
        ((5, 60), (3, 20), "NCHW", "these are flat: use x.reshape(-1, 3, 20)"),
    ],
)
def test_shape_hints(shape, sample, data_format, hint):
    with pytest.raises(ShapeError) as error:
        check_samples(images(*shape), sample, data_format=data_format)
    assert str(error.value).endswith(hint)
    assert f"got {shape}" in str(error.value)


@pytest.mark.parametrize(
    "hint, given, sample, data_format",
    [
        (lambda x: x[:, None], (5, 8, 8), (1, 8, 8), "NCHW"),
        (lambda x: x[..., None], (5, 8, 8), (8, 8, 1), "NHWC"),
        (lambda x: x[None, None], (8, 8), (1, 8, 8), "NCHW"),
        (lambda x: x[None, ..., None], (8, 8), (8, 8, 1), "NHWC"),
        (lambda x: x.reshape(-1, 1, 8, 8), (5, 64), (1, 8, 8), "NCHW"),
    ],
)
def test_the_hints_work(hint, given, sample, data_format):
    assert check_samples(hint(images(*given)), sample, data_format=data_format).shape[1:] == sample


def test_shape_without_a_hint_says_what_is_needed():
    with pytest.raises(ShapeError) as error:
        check_samples(images(5, 3, 9, 9), IMAGE, name="validation x")
    assert str(error.value) == ('validation x must have shape (N, 1, 8, 8) (data_format="NCHW"), got (5, 3, 9, 9)')


def test_nan_and_infinity_are_counted_and_placed():
    x = images(3000, 1, 2, 2)
    x[2000, 0, 1, 0] = NAN
    x[2500, 0, 0, 1] = INF
    with pytest.raises(DataError) as error:
        check_samples(x, (1, 2, 2))
    assert str(error.value) == (
        "x has 2 values that are not finite, the first is nan at index (2000, 0, 1, 0); "
        "repair the data, or pass check_finite=False to let it through"
    )
    assert check_samples(x, (1, 2, 2), check_finite=False) is x


def test_one_infinity():
    x = images(2, 1, 2, 2)
    x[1, 0, 0, 1] = -INF
    with pytest.raises(DataError, match=r"1 value that is not finite, the first is -inf at index \(1, 0, 0, 1\)"):
        check_samples(x, (1, 2, 2))


@pytest.mark.parametrize("y", [[0, 9, 3], np.array([0, 9, 3], np.uint8), np.array([0, 0, 9, 0, 3])[::2]])
def test_labels_become_contiguous_int64(y):
    labels = check_labels(y, 10, 3)
    assert labels.dtype == np.int64 and labels.flags.c_contiguous and labels.tolist() == list(y)


@pytest.mark.parametrize(
    "y, message",
    [
        ([0.0, 2.0, 1.0], r"y must hold integer labels from 0 to 2, got dtype float64; use y.astype\(int\)"),
        ([0.5, 2.0, 1.0], "got dtype float64; they are not whole numbers"),
        ([0.0, NAN, 1.0], "got dtype float64; they are not whole numbers"),
        (["a", "b", "a"], r"got dtype <U1; number the classes with np.unique\(y, return_inverse=True\)\[1\]"),
        (np.array([0, 1, None]), r"got dtype object; number the classes"),
        ([0, 1j, 1], "got dtype complex128"),
        ([0, 3, 1], r"y\[1\] is 3, but labels must be from 0 to 2 for 3 classes$"),
        ([0, 1, -1], r"y\[2\] is -1, but labels must be from 0 to 2"),
        ([1, 3, 2], r"y\[1\] is 3, .* for 3 classes; they count from 1: use y - 1"),
        (np.array([0, 2**64 - 1, 1], np.uint64), r"y\[1\] is 18446744073709551615"),
        ([], "y is empty: at least one label is needed"),
        ([[1], [2, 3], [0]], "y is ragged"),
    ],
)
def test_labels_of_no_use(y, message):
    with pytest.raises(DataError, match=message):
        check_labels(y, 3, 3)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.eye(3), r"of shape \(3,\), got \(3, 3\); one-hot labels become integers with y.argmax\(axis=1\)"),
        (np.zeros((3, 1), int), r"got \(3, 1\); use y\[:, 0\]"),
        (5, r"got \(\)$"),
        ([0, 1], "there are 3 samples, but 2 labels in y; pass one label per sample"),
    ],
)
def test_labels_of_another_shape(y, message):
    with pytest.raises(ShapeError, match=message):
        check_labels(y, 3, 3)


def test_targets_pass_uncopied():
    for y in np.zeros((3, 2)), np.zeros((3, 2), bool), np.zeros((3, 2), np.int8):
        assert check_targets(y, (2,), 3) is y
    assert check_targets([[0.5], [1.0]], (1,), 2, least=0, most=1).shape == (2, 1)


@pytest.mark.parametrize(
    "y, error, message",
    [
        (np.zeros(3), ShapeError, r"y must have the shape of the output, \(3, 2\), got \(3,\); .* np.eye\(2\)\[y\]"),
        (np.zeros((3, 2, 1)), ShapeError, r"got \(3, 2, 1\); use y.reshape\(3, 2\), if that is the order of its axes"),
        (np.zeros((3, 5)), ShapeError, r"got \(3, 5\)$"),
        (np.zeros((4, 2)), ShapeError, "there are 3 samples, but 4 targets in y"),
        (np.zeros((0, 2)), DataError, "y is empty"),
        (np.zeros((3, 2), complex), DataError, "y must hold real numbers"),
        ([[0, 1], [1, 0], [2, 0]], DataError, r"y is 2 at index \(2, 0\), but targets must be from 0 to 1$"),
        ([[0, 1], [1, 0], [1, NAN]], DataError, r"the first is nan at index \(2, 1\)"),
        ([[-1, 1], [1, -1], [1, 1]], DataError, r"labels of -1 and 1 become targets with \(y \+ 1\) / 2"),
    ],
)
def test_targets_of_no_use(y, error, message):
    with pytest.raises(error, match=message):
        check_targets(y, (2,), 3, least=0, most=1)


def test_labels_are_named():
    with pytest.raises(DataError, match=r"validation y\[0\] is 7"):
        check_labels([7], 3, 1, name="validation y")


def test_lengths():
    assert len(check_labels([0] * 5, 3, 5)) == 5
    with pytest.raises(ShapeError, match="there are 5 samples, but 4 labels in y; pass one label per sample"):
        check_labels([0] * 4, 3, 5)
