"""The reference against numbers worked out by hand, on arrays small enough to check with a pencil."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from running import on_reference

from nbconv import (
    MSE,
    SGD,
    Accuracy,
    Adam,
    AdamW,
    Add,
    AvgPool2d,
    BatchNorm,
    BCEWithLogits,
    BinaryAccuracy,
    Concat,
    Conv2d,
    CrossEntropy,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    Hinge,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    ReLU,
    RMSProp,
    Sigmoid,
    Softmax,
    Tanh,
)
from nbconv.ops.regularizer import L2
from nbconv.reference.dropout import kept, philox4x32

NAN, INF = np.nan, np.inf
NINE = np.arange(1.0, 10)  # 1 2 3 / 4 5 6 / 7 8 9


def image(rows):
    """One image of one channel, (1, H, W, 1)."""
    return np.asarray(rows, float)[None, :, :, None]


def plane(array):
    """The rows of one image of one channel."""
    return array[0, :, :, 0].tolist()


def conv(op, rows, weight, dy=None, **given):
    """A convolution of one image of one channel with one filter."""
    weight = np.asarray(weight, float)[:, :, None, None]
    given |= {} if dy is None else {"dy": image(dy)}
    return on_reference(op, image(rows), weight=weight, **given)


class TestConv2d:
    rows = NINE.reshape(3, 3)

    def test_is_a_correlation(self):
        bound = conv(Conv2d(1, 2, bias=False), self.rows, [[1, 2], [3, 4]], dy=[[1, 0], [0, 10]])
        assert plane(bound.forward()["out"]) == [[37, 47], [67, 77]]
        gradients = bound.backward()
        assert plane(gradients["x"]) == [[1, 2, 0], [3, 4 + 10, 20], [0, 30, 40]]
        assert gradients["weight"][:, :, 0, 0].tolist() == [[1 + 50, 2 + 60], [4 + 80, 5 + 90]]

    def test_bias(self):
        bound = conv(Conv2d(1, 3), self.rows, np.ones((3, 3)), bias=[100], dy=[[2]])
        assert plane(bound.forward()["out"]) == [[145]]
        assert bound.backward()["bias"].tolist() == [2]

    def test_padding(self):
        op = Conv2d(1, (1, 2), padding=(0, 0, 1, 0), bias=False)
        bound = conv(op, [[1, 2, 3]], [[10, 1]], dy=[[1, 1, 1]])
        assert plane(bound.forward()["out"]) == [[1, 12, 23]]
        assert plane(bound.backward()["x"]) == [[11, 11, 1]]

    def test_same_puts_the_odd_pixel_on_the_right(self):
        op = Conv2d(1, (1, 2), padding="same", bias=False)
        assert plane(conv(op, [[1, 2, 3]], [[10, 1]]).forward()["out"]) == [[12, 23, 30]]
        op = Conv2d(1, (1, 3), stride=(1, 2), padding="same", bias=False)
        assert plane(conv(op, [[1, 2, 3, 4]], [[100, 10, 1]]).forward()["out"]) == [[123, 340]]

    def test_circular(self):
        op = Conv2d(1, (1, 3), padding=(0, 1), padding_mode="circular", bias=False)
        bound = conv(op, [[1, 2, 3, 4]], [[100, 10, 1]], dy=[[1, 0, 0, 0]])
        assert plane(bound.forward()["out"]) == [[412, 123, 234, 341]]
        assert plane(bound.backward()["x"]) == [[10, 1, 0, 100]]

    def test_circular_wraps_height_by_height(self):
        op = Conv2d(1, (2, 1), padding=(1, 0, 0, 0), padding_mode="circular", bias=False)
        assert plane(conv(op, [[1, 2], [3, 4], [5, 6]], [[10], [1]]).forward()["out"]) == [[51, 62], [13, 24], [35, 46]]

    def test_stride_and_dilation(self):
        op = Conv2d(1, (1, 2), stride=(2, 3), dilation=(1, 2), bias=False)
        bound = conv(op, [[1, 2, 3, 4, 5, 6], [0] * 6, [7, 8, 9, 1, 2, 3]], [[10, 1]], dy=[[1, 2], [3, 4]])
        assert plane(bound.forward()["out"]) == [[13, 46], [79, 13]]
        assert plane(bound.backward()["x"]) == [[10, 0, 1, 20, 0, 2], [0] * 6, [30, 0, 3, 40, 0, 4]]
        assert bound.backward()["weight"].ravel().tolist() == [1 + 8 + 21 + 4, 3 + 12 + 27 + 12]

    def test_channels_and_filters(self):
        weight = np.array([[[[1, 10, 100], [2, 20, 200]]]], float)  # (KH, KW, C, K)
        bound = on_reference(Conv2d(3, 1, bias=False), [[[[3.0, 4.0]]]], weight=weight, dy=[[[[1.0, 0.0, 2.0]]]])
        assert bound.forward()["out"].ravel().tolist() == [11, 110, 1100]
        assert bound.backward()["x"].ravel().tolist() == [201, 402]

    def test_groups(self):
        weight = np.array([[[[1, 10, 2, 20]]]], float)  # two filters see the first channel, two the second
        bound = on_reference(
            Conv2d(4, 1, groups=2, bias=False), [[[[3.0, 4.0]]]], weight=weight, dy=np.ones((1, 1, 1, 4))
        )
        assert bound.forward()["out"].ravel().tolist() == [3, 30, 8, 80]
        assert bound.backward()["x"].ravel().tolist() == [11, 22]
        assert bound.backward()["weight"].ravel().tolist() == [3, 3, 4, 4]

    def test_border_alone_gives_bias_and_no_gradient(self):
        bound = conv(Conv2d(1, 1, padding=1), [[5]], [[2]], bias=[1], dy=np.ones((3, 3)))
        assert plane(bound.forward()["out"]) == [[1, 1, 1], [1, 11, 1], [1, 1, 1]]
        assert plane(bound.backward()["x"]) == [[2]]

    def test_relu_and_pool(self):
        op = Conv2d(1, 1, bias=False, activation="relu", pool=MaxPool2d(2))
        rows = [[1, -2, -1, -5], [-3, 4, -2, -1]]
        bound = conv(op, rows, [[2]], dy=[[10, 20]])
        results = bound.forward()
        assert plane(results["out"]) == [[8, 0]]
        assert plane(results["argmax"]) == [[3, 0]]
        assert plane(bound.backward()["x"]) == [[0, 0, 0, 0], [0, 20, 0, 0]]
        assert bound.backward()["weight"].item() == 40

    def test_nan_passes_relu_both_ways(self):
        bound = conv(Conv2d(1, 1, bias=False, activation="relu"), [[NAN, -1, 1]], [[2]], dy=[[3, 4, 5]])
        assert_array_equal(plane(bound.forward()["out"]), [[NAN, 0, 2]])
        assert plane(bound.backward()["x"]) == [[6, 0, 10]]


class TestMaxPool2d:
    def pool(self, op, rows, dy=None):
        return on_reference(op, image(rows), **({} if dy is None else {"dy": image(dy)}))

    def test_overlapping_windows_add_up(self):
        bound = self.pool(MaxPool2d(2, stride=1), NINE.reshape(3, 3)[::-1], dy=[[1, 2], [3, 4]])
        results = bound.forward()
        assert plane(results["out"]) == [[8, 9], [5, 6]]
        assert plane(results["argmax"]) == [[1, 1], [1, 1]]
        assert plane(bound.backward()["x"]) == [[0, 1, 2], [0, 3, 4], [0, 0, 0]]
        bound = self.pool(MaxPool2d((1, 2), stride=1), [[1, 5, 1]], dy=[[1, 2]])
        bound.forward()
        assert plane(bound.backward()["x"]) == [[0, 3, 0]]

    def test_first_of_equals_wins(self):
        bound = self.pool(MaxPool2d(2), [[7, 7], [7, 7]], dy=[[1]])
        assert plane(bound.forward()["argmax"]) == [[0]]
        assert plane(bound.backward()["x"]) == [[1, 0], [0, 0]]

    def test_first_nan_wins(self):
        results = self.pool(MaxPool2d(2), [[INF, NAN], [NAN, 9]]).forward()
        assert_array_equal(plane(results["out"]), [[NAN]])
        assert plane(results["argmax"]) == [[1]]

    def test_border_never_wins(self):
        bound = self.pool(MaxPool2d(3, padding=1), [[-INF, -INF], [-INF, -INF]], dy=[[5]])
        results = bound.forward()
        assert plane(results["out"]) == [[-INF]]
        assert plane(results["argmax"]) == [[4]]
        assert plane(bound.backward()["x"]) == [[5, 0], [0, 0]]

    def test_ceil_mode(self):
        bound = self.pool(MaxPool2d(2, ceil_mode=True), NINE.reshape(3, 3), dy=[[1, 2], [3, 4]])
        results = bound.forward()
        assert plane(results["out"]) == [[5, 6], [8, 9]]
        assert plane(results["argmax"]) == [[3, 2], [1, 0]]
        assert plane(bound.backward()["x"]) == [[0, 0, 0], [0, 1, 2], [0, 3, 4]]

    def test_dilation(self):
        results = self.pool(MaxPool2d(2, stride=1, dilation=2), [[1, 9, 2], [9, 9, 9], [3, 9, 0]]).forward()
        assert plane(results["out"]) == [[3]]
        assert plane(results["argmax"]) == [[2]]

    def test_window_that_sees_no_pixel(self):
        bound = self.pool(MaxPool2d((1, 2), stride=1, padding=(0, 1), dilation=(1, 2)), [[4]], dy=[[1]])
        results = bound.forward()
        assert plane(results["out"]) == [[-INF]]
        assert plane(bound.backward()["x"]) == [[0]]


class TestAveragePools:
    def pool(self, op, rows, dy=None):
        return on_reference(op, image(rows), **({} if dy is None else {"dy": image(dy)}))

    def test_mean_and_its_gradient(self):
        bound = self.pool(AvgPool2d(2, stride=1), NINE.reshape(3, 3), dy=[[4, 8], [12, 16]])
        assert plane(bound.forward()["out"]) == [[3, 4], [6, 7]]
        assert plane(bound.backward()["x"]) == [[1, 3, 2], [4, 10, 6], [3, 7, 4]]

    def test_padding_counts(self):
        bound = self.pool(AvgPool2d(2, padding=1), [[1, 2], [3, 4]])
        assert plane(bound.forward()["out"]) == [[0.25, 0.5], [0.75, 1]]

    def test_padding_does_not_count(self):
        op = AvgPool2d(2, padding=1, count_include_pad=False)
        bound = self.pool(op, [[1, 2], [3, 4]], dy=[[5, 6], [7, 8]])
        assert plane(bound.forward()["out"]) == [[1, 2], [3, 4]]
        assert plane(bound.backward()["x"]) == [[5, 6], [7, 8]]

    def test_divisor_override(self):
        bound = self.pool(AvgPool2d(2, divisor_override=8), [[1, 2], [3, 6]], dy=[[16]])
        assert plane(bound.forward()["out"]) == [[1.5]]
        assert plane(bound.backward()["x"]) == [[2, 2], [2, 2]]

    def test_what_hangs_over_the_border_never_counts(self):
        bound = self.pool(AvgPool2d((1, 2), ceil_mode=True), [[1, 3, 7]], dy=[[2, 5]])
        assert plane(bound.forward()["out"]) == [[2, 7]]
        assert plane(bound.backward()["x"]) == [[1, 1, 5]]
        op = AvgPool2d((1, 3), stride=(1, 2), padding=(0, 1), ceil_mode=True)  # -1..1, 1..3, and 3..4 of 3..5
        assert_allclose(plane(self.pool(op, [[3, 3, 6, 9]]).forward()["out"]), [[2, 6, 4.5]])

    def test_global(self):
        bound = on_reference(GlobalAvgPool2d(), [[[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]]], dy=[[3.0, 6.0]])
        assert bound.forward()["out"].tolist() == [[3, 30]]
        assert bound.backward()["x"].tolist() == [[[[1, 2]] * 3]]


class TestBatchNorm:
    given = dict(weight=[2.0], bias=[10.0], running_mean=[100.0], running_var=[1000.0])

    def test_training(self):
        op = BatchNorm(eps=9.0, momentum=0.5)
        results = on_reference(op, [[-6.0], [2.0]], **self.given).forward()
        assert results["mean"].tolist() == [-2]
        assert results["inv_std"].tolist() == [0.2]  # 1 / sqrt(16 + 9)
        assert_allclose(results["out"].ravel(), [8.4, 11.6])
        assert results["running_mean"].tolist() == [(100 - 2) / 2]
        assert results["running_var"].tolist() == [(1000 + 32) / 2]

    def test_inference(self):
        given = self.given | {"dy": [[1.0], [2.0]]}
        bound = on_reference(BatchNorm(eps=24.0, training=False), [[132.0], [68.0]], **given)
        results = bound.forward()
        assert_allclose(results["out"].ravel(), [12, 8])
        assert results["running_mean"].tolist() == [100] and results["running_var"].tolist() == [1000]
        gradients = bound.backward()
        assert_allclose(gradients["x"].ravel(), [2 / 32, 4 / 32])
        assert_allclose(gradients["weight"], [1 - 2])
        assert gradients["bias"].tolist() == [3]

    def test_gradient_in_training_has_no_mean_and_no_slope(self):
        given = self.given | {"dy": [[1.0], [0.0], [0.0], [0.0]]}
        bound = on_reference(BatchNorm(eps=1e-300), [[1.0], [-1.0], [1.0], [-1.0]], **given)
        bound.forward()
        gradients = bound.backward()
        assert_allclose(gradients["x"].ravel(), [1, 0, -1, 0], atol=1e-15)  # 2 * (dy - 1/4 - x / 4)
        assert gradients["weight"].tolist() == [1] and gradients["bias"].tolist() == [1]

    def test_bad_statistics_are_not_learnt(self):
        given = {name: np.repeat(value, 2) for name, value in self.given.items()}
        results = on_reference(BatchNorm(momentum=1.0), [[1.0, 1.0], [3.0, INF]], **given).forward()
        assert results["running_mean"].tolist() == [2, 100]
        assert results["running_var"].tolist() == [2, 1000]

    def test_relu(self):
        given = self.given | {"bias": [0.0], "dy": [[1.0], [1.0]]}
        bound = on_reference(BatchNorm(eps=24.0, training=False, activation="relu"), [[132.0], [68.0]], **given)
        assert_allclose(bound.forward()["out"].ravel(), [2, 0])
        assert_allclose(bound.backward()["x"].ravel(), [2 / 32, 0])


class TestGlobalMaxPool:
    def test_first_of_equals_wins_and_gets_the_gradient(self):
        x = [[[[1.0, 7.0], [5.0, 2.0]], [[5.0, 7.0], [4.0, 7.0]]]]  # planes 1 5 / 5 4 and 7 2 / 7 7
        bound = on_reference(GlobalMaxPool2d(), x, dy=[[3.0, 4.0]])
        results = bound.forward()
        assert results["out"].tolist() == [[5, 7]]
        assert results["argmax"].tolist() == [[1, 0]]
        assert bound.backward()["x"].tolist() == [[[[0, 4], [3, 0]], [[0, 0], [0, 0]]]]

    def test_first_nan_wins(self):
        results = on_reference(GlobalMaxPool2d(), image([[INF, NAN], [NAN, 9]])).forward()
        assert_array_equal(results["out"], [[NAN]])
        assert results["argmax"].tolist() == [[1]]

    def test_nothing_but_minus_infinity(self):
        bound = on_reference(GlobalMaxPool2d(), image([[-INF, -INF]]), dy=[[5.0]])
        assert bound.forward()["out"].tolist() == [[-INF]]
        assert plane(bound.backward()["x"]) == [[5, 0]]


class TestGroupNorm:
    def test_layer_norm_of_features(self):
        given = dict(weight=[2.0, 1.0], bias=[10.0, 20.0], dy=[[1.0, 0.0], [0.0, 3.0]])
        bound = on_reference(LayerNorm(eps=9.0), [[-6.0, 2.0], [3.0, 3.0]], **given)
        results = bound.forward()
        assert results["mean"].tolist() == [[-2], [3]]
        assert_allclose(results["inv_std"], [[0.2], [1 / 3]])  # 1 / sqrt(16 + 9), 1 / sqrt(0 + 9)
        assert_allclose(results["out"], [[10 - 1.6, 20.8], [10, 20]])
        gradients = bound.backward()
        assert_allclose(gradients["weight"], [-0.8, 0])
        assert_allclose(gradients["bias"], [1, 3])
        # first row: d = (2, 0) less its mean (1, -1) and its slope (-0.8) * (-0.8, 0.8), times 0.2
        assert_allclose(gradients["x"], [[0.2 * 0.36, -0.2 * 0.36], [-0.5, 0.5]])

    def test_layer_norm_of_images_has_a_weight_for_each_value(self):
        x = [[[[1.0, -1.0], [-1.0, 1.0]]]]  # one row of two pixels with two channels
        weight, bias = [[[1.0, 2.0], [3.0, 4.0]]], [[[10.0, 20.0], [30.0, 40.0]]]
        bound = on_reference(LayerNorm(eps=1e-300), x, weight=weight, bias=bias, dy=np.ones((1, 1, 2, 2)))
        assert bound.forward()["out"].tolist() == [[[[11, 18], [27, 44]]]]
        gradients = bound.backward()
        assert gradients["weight"].tolist() == [[[1, -1], [-1, 1]]]
        assert gradients["bias"].tolist() == [[[1, 1], [1, 1]]]

    def test_groups_are_channels_next_to_each_other(self):
        x = [[[[0.0, 2.0, 100.0, 140.0]], [[2.0, 0.0, 140.0, 100.0]]]]
        given = dict(weight=[1.0, 2.0, 3.0, 4.0], bias=[10.0, 20.0, 30.0, 40.0])
        results = on_reference(GroupNorm(2, eps=1e-300), x, **given).forward()
        assert results["mean"].tolist() == [[1, 120]]
        assert results["inv_std"].tolist() == [[1, 0.05]]
        assert results["out"].tolist() == [[[[9, 22, 27, 44]], [[11, 18, 33, 36]]]]

    def test_gradient_of_a_channel_by_itself(self):
        x = [[[[1.0]], [[-1.0]], [[1.0]], [[-1.0]]]]
        bound = on_reference(InstanceNorm(eps=1e-300), x, dy=[[[[4.0]], [[0.0]], [[0.0]], [[0.0]]]])
        assert bound.forward()["out"].tolist() == x
        assert bound.backward()["x"].ravel().tolist() == [2, 0, -2, 0]  # dy - 1 - x

    def test_one_bad_value_spoils_its_group_alone(self):
        x = [[[[1.0, INF], [2.0, 3.0]]], [[[1.0, 2.0], [2.0, 3.0]]]]
        out = on_reference(InstanceNorm(), x).forward()["out"]
        assert np.isnan(out[0, :, :, 1]).all()
        assert np.isfinite(out[0, :, :, 0]).all() and np.isfinite(out[1]).all()


class TestElementwise:
    def test_relu(self):
        bound = on_reference(ReLU(), [[-1.0, 0.0, 2.0, NAN, -INF, INF]], dy=[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
        assert_array_equal(bound.forward()["out"], [[0, 0, 2, NAN, 0, INF]])
        assert bound.backward()["x"].tolist() == [[0, 0, 3, 4, 0, 6]]

    def test_add(self):
        bound = on_reference(Add(), [[1.0, 2.0]], other=[[10.0, 20.0]], dy=[[3.0, 4.0]])
        assert bound.forward()["out"].tolist() == [[11, 22]]
        assert {name: g.tolist() for name, g in bound.backward().items()} == {"x": [[3, 4]], "other": [[3, 4]]}

    def test_flatten_is_channel_row_column(self):
        pixels = [[[[111, 211], [112, 212]], [[121, 221], [122, 222]]]]  # channel, row, column as digits
        rows = [[111, 112, 121, 122, 211, 212, 221, 222]]
        bound = on_reference(Flatten(), np.array(pixels, float), dy=np.array(rows, float))
        assert bound.forward()["out"].tolist() == rows
        assert bound.backward()["x"].tolist() == pixels

    def test_linear(self):
        bound = on_reference(
            Linear(2),
            [[1.0, 2.0], [3.0, 4.0]],
            weight=[[1.0, 10.0], [2.0, 20.0]],
            bias=[5.0, 6.0],
            dy=[[1.0, 0.0], [0.0, 2.0]],
        )
        assert bound.forward()["out"].tolist() == [[10, 56], [16, 116]]
        gradients = {name: g.tolist() for name, g in bound.backward().items()}
        assert gradients == {"x": [[1, 2], [20, 40]], "weight": [[1, 6], [2, 8]], "bias": [1, 2]}

    def test_linear_with_relu(self):
        op = Linear(1, bias=False, activation="relu")
        bound = on_reference(op, [[1.0], [-1.0]], weight=[[3.0]], dy=[[5.0], [7.0]])
        assert bound.forward()["out"].tolist() == [[3], [0]]
        assert bound.backward()["weight"].tolist() == [[5]]

    def test_leaky_relu(self):
        given, dy = [[-2.0, 0.0, 3.0, NAN, -INF, INF]], [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]
        bound = on_reference(LeakyReLU(0.25), given, dy=dy)
        assert_array_equal(bound.forward()["out"], [[-0.5, 0, 3, NAN, -INF, INF]])
        assert bound.backward()["x"].tolist() == [[0.25, 0.5, 3, 1, 1.25, 6]]

    def test_sigmoid(self):
        log3 = np.log(3)
        bound = on_reference(Sigmoid(), [[0.0, log3, -log3, 1e3, -1e3, INF, -INF, NAN]], dy=np.full((1, 8), 16.0))
        assert_allclose(bound.forward()["out"], [[0.5, 0.75, 0.25, 1, 0, 1, 0, NAN]], rtol=1e-15)
        assert_allclose(bound.backward()["x"], [[4, 3, 3, 0, 0, 0, 0, NAN]], rtol=1e-15)

    def test_tanh(self):
        log3 = np.log(3)
        bound = on_reference(Tanh(), [[0.0, log3, -log3, 1e-300, 1e3, INF, -INF, NAN]], dy=np.full((1, 8), 25.0))
        assert_allclose(bound.forward()["out"], [[0, 0.8, -0.8, 1e-300, 1, 1, -1, NAN]], rtol=1e-15)
        assert_allclose(bound.backward()["x"], [[25, 9, 9, 25, 0, 0, 0, NAN]], rtol=1e-14)

    def test_softmax(self):
        rows = [[0.0, np.log(2), np.log(5)], [7e4, 7e4, 7e4], [-INF, 1.0, -INF]]
        bound = on_reference(Softmax(), rows, dy=[[8.0, 16.0, 0.0], [1.0, 1.0, 4.0], [5.0, 6.0, 7.0]])
        third = 1 / 3
        assert_allclose(bound.forward()["out"], [[1 / 8, 2 / 8, 5 / 8], [third] * 3, [0, 1, 0]], rtol=1e-15)
        assert_allclose(  # the sums of dy * p are 5, 2 and 6
            bound.backward()["x"], [[3 / 8, 11 / 4, -25 / 8], [-third, -third, 2 * third], [0, 0, 0]], atol=1e-15
        )

    def test_log_softmax(self):
        rows = [[0.0, np.log(2), np.log(5)], [7e4, 7e4, -7e4], [-INF, 1.0, -INF]]
        bound = on_reference(LogSoftmax(), rows, dy=[[8.0, 16.0, 0.0], [1.0, 1.0, 4.0], [5.0, 6.0, 7.0]])
        half = -np.log(2)
        want = [[-np.log(8), -np.log(4), np.log(5 / 8)], [half, half, half - 14e4], [-INF, 0, -INF]]
        assert_allclose(bound.forward()["out"], want, rtol=1e-15)
        # the sums of dy are 24, 6 and 18
        assert_allclose(bound.backward()["x"], [[5, 10, -15], [-2, -2, 4], [5, -12, 7]], rtol=1e-14)

    @pytest.mark.parametrize("op", [Softmax(), LogSoftmax()])
    def test_rows_without_a_softmax(self, op):
        rows = [[0.0, INF, 1.0], [0.0, NAN, 1.0], [-INF, -INF, -INF], [0.0, 0.0, 0.0]]
        out = on_reference(op, rows).forward()["out"]
        assert np.isnan(out[:3]).all() and np.isfinite(out[3]).all()

    def test_concat(self):
        bound = on_reference(
            Concat(channels=(2, 1, 2)), [[1.0, 2.0]], x1=[[3.0]], x2=[[4.0, 5.0]], dy=[[6.0, 7.0, 8.0, 9.0, 10.0]]
        )
        assert bound.forward()["out"].tolist() == [[1, 2, 3, 4, 5]]
        gradients = {name: g.tolist() for name, g in bound.backward().items()}
        assert gradients == {"x0": [[6, 7]], "x1": [[8]], "x2": [[9, 10]]}


class TestPhilox:
    """The known answers of Random123 (Salmon et al., 2011) for philox4x32 with ten rounds."""

    @pytest.mark.parametrize(
        "counter, key, answer",
        [
            ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
            ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
            (
                [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
                [0xA4093822, 0x299F31D0],
                [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
            ),
        ],
    )
    def test_known_answers(self, counter, key, answer):
        assert [int(word) for word in philox4x32(counter, key)] == answer

    def test_words_are_dealt_in_memory_order(self):
        """Element 5 is word 1 of counter (1, 0, step, node) under the seed's two halves."""
        seed, step, node = 2**40 + 3, 9, 2
        word = int(philox4x32((1, 0, step, node), (3, 2**8))[1])
        for p, keeps in (word / 2**32 - 1e-6, True), (word / 2**32 + 1e-6, False):
            assert kept(Dropout(p), (2, 3), np.array([seed, step, node]))[1, 2] == keeps


class TestDropout:
    rng = np.array([1, 2, 3])

    def test_keeps_about_one_minus_p_and_scales_it(self):
        bound = on_reference(Dropout(0.25), np.ones((100, 400)), rng=self.rng, dy=np.full((100, 400), 3.0))
        out = bound.forward()["out"]
        assert set(np.unique(out)) == {0, 1 / 0.75}
        assert (out == 0).mean() == pytest.approx(0.25, abs=0.01)
        assert_array_equal(bound.backward()["x"], 3 * out)

    @pytest.mark.parametrize(
        "op, expected", [(Dropout(0.0), 7.0), (Dropout(1.0), 0.0), (Dropout(0.9, training=False), 7.0)]
    )
    def test_all_or_nothing(self, op, expected):
        assert on_reference(op, np.full((3, 3), 7.0), rng=self.rng).forward()["out"].tolist() == [[expected] * 3] * 3

    @pytest.mark.parametrize("other", [[2, 2, 3], [1, 3, 3], [1, 2, 4], [1 + 2**32, 2, 3]])
    def test_depends_on_seed_step_and_node(self, other):
        masks = [
            on_reference(Dropout(), np.ones((8, 8)), rng=rng).forward()["out"] for rng in (self.rng, np.array(other))
        ]
        assert (masks[0] != masks[1]).any()


class TestDropout2d:
    rng = np.array([1, 2, 3])

    def test_drops_whole_channels(self):
        dy = np.random.default_rng(0).standard_normal((40, 3, 2, 50))
        bound = on_reference(Dropout2d(0.25), np.ones(dy.shape), rng=self.rng, dy=dy)
        out = bound.forward()["out"]
        channels = out[:, 0, 0]
        assert_array_equal(out, np.broadcast_to(channels[:, None, None], out.shape))
        assert set(np.unique(channels)) == {0, 1 / 0.75}
        assert (channels == 0).mean() == pytest.approx(0.25, abs=0.03)
        assert_allclose(bound.backward()["x"], dy * out)

    def test_of_features_is_dropout(self):
        x = np.ones((9, 11))
        results = [on_reference(op, x, rng=self.rng).forward()["out"] for op in (Dropout(0.5), Dropout2d(0.5))]
        assert_array_equal(*results)

    def test_dropped_is_zero_whatever_it_was(self):
        x = np.full((2, 3, 1, 4), NAN)
        assert on_reference(Dropout2d(1.0), x, rng=self.rng).forward()["out"].tolist() == np.zeros(x.shape).tolist()


class TestCrossEntropy:
    def test_loss_and_gradient(self):
        log3 = np.log(3.0)
        bound = on_reference(CrossEntropy(), [[0.0, log3], [log3, 0.0]], labels=np.array([1, 1]), dy=[8.0])
        results = bound.forward()
        assert_allclose(results["probabilities"], [[0.25, 0.75], [0.75, 0.25]])
        assert_allclose(results["out"], [(np.log(4 / 3) + np.log(4)) / 2])
        assert_allclose(bound.backward()["x"], [[1, -1], [3, -3]])

    def test_large_logits(self):
        results = on_reference(CrossEntropy(), [[1e4, -1e4, 0.0]], labels=np.array([1])).forward()
        assert results["out"].tolist() == [2e4]
        assert results["probabilities"].tolist() == [[1, 0, 0]]

    def test_label_smoothing(self):
        log3 = np.log(3.0)
        op = CrossEntropy(label_smoothing=0.5)
        bound = on_reference(op, [[0.0, log3]], labels=np.array([1]), dy=[8.0])
        assert_allclose(bound.forward()["out"], [0.75 * np.log(4 / 3) + 0.25 * np.log(4)])
        assert_allclose(bound.backward()["x"], [[0, 0]], atol=1e-15)  # 1/4 and 3/4 are just what is wanted

    def test_weights(self):
        log3 = np.log(3.0)
        op = CrossEntropy(weight=(2.0, 6.0))
        bound = on_reference(op, [[0.0, log3], [log3, 0.0], [0.0, 0.0]], labels=np.array([1, 1, 0]), dy=[28.0])
        results = bound.forward()
        assert results["weight_sum"].tolist() == [14]
        assert_allclose(results["out"], [(6 * np.log(4 / 3) + 6 * np.log(4) + 2 * np.log(2)) / 14])
        assert_allclose(bound.backward()["x"], [[3, -3], [9, -9], [-2, 2]])

    def test_both(self):
        """PyTorch's formula, term by term: 3/4 of the label's weighted loss, 1/4 of the mean of all weighted losses."""
        op = CrossEntropy(label_smoothing=0.25, weight=(4.0, 8.0))
        bound = on_reference(op, [[0.0, np.log(3.0)]], labels=np.array([0]), dy=[4.0])
        of_classes = 4 * np.log(4), 8 * np.log(4 / 3)
        assert_allclose(bound.forward()["out"], [(0.75 * of_classes[0] + 0.125 * sum(of_classes)) / 4])
        wanted = np.array([3 + 0.5, 1])
        assert_allclose(bound.backward()["x"], [np.array([0.25, 0.75]) * wanted.sum() - wanted])

    def test_no_loss_without_weight(self):
        bound = on_reference(CrossEntropy(weight=(1.0, 0.0)), [[1.0, 2.0]], labels=np.array([1]))
        assert np.isnan(bound.forward()["out"]).all() and np.isnan(bound.backward()["x"]).all()


class TestHinge:
    def test_the_lecture(self):
        """CS231n, lecture 3: cat, car and frog, with losses 2.9, 0 and 12.9."""
        scores = [[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]]
        bound = on_reference(Hinge(), scores, labels=np.array([0, 1, 2]), dy=[3.0])
        assert_allclose(bound.forward()["out"], [(2.9 + 0 + 12.9) / 3])
        assert bound.backward()["x"].tolist() == [[-1, 1, 0], [0, 0, 0], [1, 1, -2]]

    def test_a_margin_of_zero_pushes_nobody(self):
        bound = on_reference(Hinge(2.0), [[3.0, 1.0, 1.5]], labels=np.array([0]), dy=[1.0])
        assert bound.forward()["out"].tolist() == [0.5]
        assert bound.backward()["x"].tolist() == [[-1, 0, 1]]

    def test_nan_and_infinity(self):
        for row, loss in (([NAN, 0], NAN), ([0, NAN], NAN), ([-INF, 0], INF), ([0, INF], INF), ([INF, INF], NAN)):
            bound = on_reference(Hinge(), [[float(s) for s in row]], labels=np.array([0]), dy=[1.0])
            assert_array_equal(bound.forward()["out"], [loss])
            assert np.isnan(bound.backward()["x"]).all()
        for row in [0, -INF], [INF, 0]:
            bound = on_reference(Hinge(), [[float(s) for s in row]], labels=np.array([0]), dy=[1.0])
            assert bound.forward()["out"].tolist() == [0] and bound.backward()["x"].tolist() == [[0, 0]]


class TestMSE:
    def test_loss_and_gradient(self):
        bound = on_reference(MSE(), [[1.0, 2.0], [3.0, -1.0]], target=[[1.0, 4.0], [0.0, 0.0]], dy=[2.0])
        assert bound.forward()["out"].tolist() == [(4 + 9 + 1) / 4]
        assert bound.backward()["x"].tolist() == [[0, -2], [3, -1]]

    def test_what_is_not_finite_has_no_gradient(self):
        for value in NAN, INF, 1e200:
            bound = on_reference(MSE(), [[value, 1.0]], target=[[0.0, 1.0]], dy=[1.0])
            assert not np.isfinite(bound.forward()["out"]).any()
            assert np.isnan(bound.backward()["x"]).all()


class TestBCEWithLogits:
    def test_loss_and_gradient(self):
        log3 = np.log(3.0)
        bound = on_reference(BCEWithLogits(), [[0.0, log3, -log3]], target=[[0.5, 1.0, 0.5]], dy=[12.0])
        results = bound.forward()
        assert_allclose(results["probabilities"], [[0.5, 0.75, 0.25]])
        assert_allclose(results["out"], [(np.log(2) + np.log(4 / 3) + (np.log(4) + np.log(4 / 3)) / 2) / 3])
        assert_allclose(bound.backward()["x"], [[0, -1, -1]], atol=1e-15)

    def test_large_logits(self):
        bound = on_reference(BCEWithLogits(), [[1e4, -1e4, 1e4, -700.0]], target=[[1.0, 0.0, 0.0, 0.0]], dy=[4.0])
        assert bound.forward()["out"].tolist() == [1e4 / 4]
        assert_allclose(bound.backward()["x"], [[0, 0, 1, np.exp(-700)]])

    def test_small_losses_keep_their_digits(self):
        bound = on_reference(BCEWithLogits(), [[40.0]], target=[[1.0]])
        assert_allclose(bound.forward()["out"], [np.exp(-40)], rtol=1e-15)


class TestAccuracy:
    def test_first_of_equals_counts_and_nan_is_never_right(self):
        x = [[1.0, 5.0], [5.0, 5.0], [5.0, 5.0], [NAN, 1.0], [1.0, NAN]]
        results = on_reference(Accuracy(), x, labels=np.array([1, 0, 1, 0, 1])).forward()
        assert results["out"].tolist() == [2 / 5]


class TestBinaryAccuracy:
    def test_sides(self):
        x, target = [[1.0, -1.0, 0.0, 2.0, NAN, 3.0]], [[1.0, 0.2, 0.0, 0.5, 0.0, NAN]]
        assert on_reference(BinaryAccuracy(), x, target=target).forward()["out"].tolist() == [3 / 6]


class TestL2:
    def test_penalty_and_gradient(self):
        results = on_reference(L2(0.5), np.array([1.0, -3.0]), grad=[10.0, 20.0]).forward()
        assert results["out"].tolist() == [0.25 * 10] and results["grad"].tolist() == [10.5, 18.5]

    def test_what_is_not_finite_has_no_gradient(self):
        for value in NAN, INF, 1e200:
            results = on_reference(L2(0.5), np.array([value, 1.0]), grad=[0.0, 0.0]).forward()
            assert not np.isfinite(results["out"]).any() and np.isnan(results["grad"]).all()


class TestOptimizers:
    def update(self, op, param, grad, step=1, lr=0.5, **state):
        return on_reference(op, np.array(param), grad=grad, hyper=[lr, step], **state).forward()

    def test_sgd(self):
        results = self.update(SGD(), [1.0, 2.0], [3.0, -4.0])
        assert results["param"].tolist() == [-0.5, 4]
        assert results["out"].tolist() == [5]

    def test_momentum_and_weight_decay(self):
        results = self.update(SGD(momentum=0.5, weight_decay=2.0), [1.0], [3.0], velocity=[4.0])
        assert results["velocity"].tolist() == [7]  # 0.5 * 4 + (3 + 2 * 1)
        assert results["param"].tolist() == [1 - 0.5 * 7]

    def test_nesterov(self):
        results = self.update(SGD(momentum=0.5, nesterov=True), [1.0], [3.0], velocity=[4.0])
        assert results["velocity"].tolist() == [5]
        assert results["param"].tolist() == [1 - 0.5 * (3 + 2.5)]

    def test_clip_norm(self):
        results = self.update(SGD(clip_norm=2.5), [0.0, 0.0], [3.0, -4.0])
        assert results["out"].tolist() == [5]
        assert_allclose(results["param"], [-0.75, 1], rtol=1e-6)
        assert self.update(SGD(clip_norm=5.1), [0.0, 0.0], [3.0, -4.0])["param"].tolist() == [-1.5, 2]

    @pytest.mark.parametrize("op", [SGD(momentum=0.5), Adam(), AdamW(), RMSProp(momentum=0.5, centered=True)], ids=str)
    @pytest.mark.parametrize("bad", [NAN, INF])
    def test_nothing_is_updated_by_a_bad_gradient(self, op, bad):
        state = {name: [7.0, 8.0] for name in op.saved}
        results = self.update(op, [1.0, 2.0], [3.0, bad], **state)
        assert not np.isfinite(results.pop("out")).any()
        assert {name: value.tolist() for name, value in results.items()} == {"param": [1, 2], **state}

    def test_adam_starts_with_a_step_of_lr(self):
        results = self.update(Adam(eps=1e-300), [1.0, 2.0], [3.0, -1e-5])
        assert_allclose(results["param"], [0.5, 2.5])
        assert_allclose(results["exp_avg"], [0.3, -1e-6])
        assert_allclose(results["exp_avg_sq"], [9e-3, 1e-13])

    def test_adam(self):
        op = Adam(betas=(0.5, 0.75), eps=1.0, weight_decay=2.0)
        results = self.update(op, [1.0], [2.0], step=2, exp_avg=[2.0], exp_avg_sq=[20.0])
        assert results["exp_avg"].tolist() == [0.5 * 2 + 0.5 * 4]
        assert results["exp_avg_sq"].tolist() == [0.75 * 20 + 0.25 * 16]
        assert_allclose(results["param"], [1 - 0.5 * (3 / 0.75) / (np.sqrt(19 / 0.4375) + 1)])

    def test_adamw_decays_the_parameter_itself(self):
        op = AdamW(betas=(0.5, 0.75), eps=1.0, weight_decay=0.2)
        results = self.update(op, [1.0], [4.0], step=2, exp_avg=[2.0], exp_avg_sq=[20.0])
        assert_allclose(results["param"], [0.9 - 0.5 * (3 / 0.75) / (np.sqrt(19 / 0.4375) + 1)])

    def test_rmsprop(self):
        op = RMSProp(alpha=0.75, eps=0.5, weight_decay=2.0)
        results = self.update(op, [1.0], [2.0], square_avg=[16.0])
        assert results["square_avg"].tolist() == [0.75 * 16 + 0.25 * 4**2]
        assert_allclose(results["param"], [1 - 0.5 * 4 / (4 + 0.5)])
        assert set(results) == {"param", "out", "square_avg"}  # it keeps nothing that it does not use

    def test_rmsprop_with_momentum(self):
        results = self.update(RMSProp(alpha=0.75, momentum=0.5), [1.0], [4.0], square_avg=[16.0], momentum_buffer=[3.0])
        assert_allclose(results["momentum_buffer"], [0.5 * 3 + 4 / 4])
        assert_allclose(results["param"], [1 - 0.5 * 2.5])

    def test_rmsprop_centered(self):
        op = RMSProp(alpha=0.5, eps=1.0, centered=True)
        results = self.update(op, [1.0], [2.0], square_avg=[46.0], grad_avg=[6.0])
        assert results["grad_avg"].tolist() == [4] and results["square_avg"].tolist() == [25]
        assert_allclose(results["param"], [1 - 0.5 * 2 / (3 + 1)])

    def test_a_variance_below_zero_is_zero(self):
        op = RMSProp(alpha=0.5, eps=1.0, centered=True)
        results = self.update(op, [1.0], [2.0], square_avg=[0.0], grad_avg=[6.0])
        assert_allclose(results["param"], [1 - 0.5 * 2])
