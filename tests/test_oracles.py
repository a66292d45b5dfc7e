"""The reference against other people's programs: SciPy, and ONNX's operator examples and evaluator."""

import warnings

import numpy as np
import onnx
import pytest
from cases import CONV, CONV_TRANSPOSE, SEQUENCE
from numpy.testing import assert_allclose
from onnx.reference import ReferenceEvaluator
from running import Bound, on_reference
from scipy import ndimage, signal

from nbconv import (
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv1d,
    Conv2d,
    CrossEntropy,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    MaxPool2d,
    Softmax,
)

RNG = np.random.default_rng(0)
PLAIN_CONVS = [
    case
    for case in CONV
    if case.op.algorithm == "direct"  # the reference has no other
    and (case.op.padding_mode, case.op.activation, case.op.pool) == ("zeros", None, None)
]
EXAMPLES = {
    "test_basic_conv_with_padding": Conv2d(1, 3, padding=1, bias=False),
    "test_basic_conv_without_padding": Conv2d(1, 3, bias=False),
    "test_conv_with_strides_padding": Conv2d(1, 3, stride=2, padding=1, bias=False),
    "test_conv_with_strides_no_padding": Conv2d(1, 3, stride=2, bias=False),
    "test_conv_with_strides_and_asymmetric_padding": Conv2d(1, 3, stride=2, padding=(1, 1, 0, 0), bias=False),
    "test_conv_with_autopad_same": Conv2d(1, 3, stride=2, padding=1, bias=False),
    "test_maxpool_2d_default": MaxPool2d(2, stride=1),
    "test_maxpool_2d_precomputed_pads": MaxPool2d(5, stride=1, padding=2),
    "test_maxpool_2d_precomputed_strides": MaxPool2d(2),
    "test_maxpool_2d_precomputed_same_upper": MaxPool2d(3, stride=2, padding="same"),
    "test_maxpool_2d_same_upper": MaxPool2d(2, stride=1, padding="same"),
    "test_maxpool_2d_same_lower": MaxPool2d(2, stride=1, padding=(1, 0, 1, 0)),
    "test_maxpool_2d_strides": MaxPool2d(5, stride=3),
    "test_maxpool_2d_ceil": MaxPool2d(3, stride=2, ceil_mode=True),
    "test_maxpool_2d_ceil_output_size_reduce_by_one": MaxPool2d(1, stride=2, ceil_mode=True),
    "test_maxpool_2d_dilations": MaxPool2d(2, stride=1, dilation=2),
    "test_averagepool_2d_default": AvgPool2d(2, stride=1),
    "test_averagepool_2d_precomputed_pads": AvgPool2d(5, stride=1, padding=2, count_include_pad=False),
    "test_averagepool_2d_precomputed_pads_count_include_pad": AvgPool2d(5, stride=1, padding=2),
    "test_averagepool_2d_precomputed_strides": AvgPool2d(2),
    "test_averagepool_2d_precomputed_same_upper": AvgPool2d(3, stride=2, padding="same", count_include_pad=False),
    "test_averagepool_2d_same_upper": AvgPool2d(2, stride=1, padding="same", count_include_pad=False),
    "test_averagepool_2d_same_lower": AvgPool2d(2, stride=1, padding=(1, 0, 1, 0), count_include_pad=False),
    "test_averagepool_2d_strides": AvgPool2d(5, stride=3),
    "test_averagepool_2d_ceil": AvgPool2d(3, stride=2, ceil_mode=True),
    "test_averagepool_2d_ceil_last_window_starts_on_pad": AvgPool2d(3, padding=1, ceil_mode=True),
    "test_globalaveragepool": GlobalAvgPool2d(),
    "test_globalaveragepool_precomputed": GlobalAvgPool2d(),
    "test_globalmaxpool": GlobalMaxPool2d(),
    "test_globalmaxpool_precomputed": GlobalMaxPool2d(),
    "test_batchnorm_example": BatchNorm(training=False),
    "test_batchnorm_epsilon": BatchNorm(eps=1e-2, training=False),
    "test_batchnorm_example_training_mode": BatchNorm(),
    "test_batchnorm_epsilon_training_mode": BatchNorm(eps=1e-2),
    "test_softmax_example": Softmax(),
    "test_softmax_large_number": Softmax(),
    "test_logsoftmax_example_1": LogSoftmax(),
    "test_logsoftmax_large_number": LogSoftmax(),
    "test_concat_2d_axis_1": Concat(channels=(2, 2)),
    "test_group_normalization_example": GroupNorm(2),
    "test_group_normalization_epsilon": GroupNorm(2, eps=1e-2),
    "test_instancenorm_example": InstanceNorm(affine=True),
    "test_instancenorm_epsilon": InstanceNorm(eps=1e-2, affine=True),
    "test_layer_normalization_2d_axis1": LayerNorm(),
    "test_layer_normalization_4d_axis1": LayerNorm(),
}
"""ONNX's single-node examples that nbconv can express: with padding up to half a window, in two dimensions."""
CROSS_ENTROPIES = {
    "mean": None,
    "mean_3d": None,
    "mean_weight": None,
    "mean_weight_ii": 0,
    "mean_no_weight_ii": 2,
    "mean_weight_ii_3d": 1,
    "mean_no_weight_ii_3d": 2,
    "mean_weight_ii_4d": 2,
    "mean_no_weight_ii_4d": 2,
    "NCd1d2d3d4d5_mean_weight": None,
}
"""ONNX's examples of the mean cross entropy, and the class that each ignores: here one of weight 0."""
FOUR_DIGITS = ("test_averagepool_2d_ceil_last_window_starts_on_pad",)
"""Examples whose result ONNX has written down with four digits."""


@pytest.fixture(scope="module")
def onnx_examples():
    from onnx.backend.test.loader import load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the examples of casts overflow on purpose
        return {example.name: example.data_sets for example in load_node_model_tests()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_onnx_example(name, onnx_examples):
    op = EXAMPLES[name]
    (x, *given), (y, *_) = (map(np.asarray, arrays) for arrays in onnx_examples[name][0])
    names = ("weight",) if isinstance(op, Conv2d) else (*op.input_names()[1:], *op.params, *op.state)
    operands = {
        operand: array.transpose(np.argsort(op.axes_outside(operand, array.ndim)))
        for operand, array in zip(names, given, strict=True)
    }
    out = on_reference(op, nhwc(x).astype(np.float64), **operands).forward()["out"]
    assert_allclose(
        out,
        y[:, :, 0, 0] if isinstance(op, (GlobalAvgPool2d, GlobalMaxPool2d)) else nhwc(y),
        rtol=2e-5,
        atol=1e-4 if name in FOUR_DIGITS else 1e-6,
    )


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_onnx_cross_entropy(name, onnx_examples):
    (x, labels, *given), (loss, *_) = (map(np.asarray, arrays) for arrays in onnx_examples[f"test_sce_{name}"][0])
    weight = given[0].astype(np.float64) if given else np.ones(x.shape[1])
    if (ignored := CROSS_ENTROPIES[name]) is not None:
        weight[ignored] = 0
    bound = on_reference(CrossEntropy(weight=weight), nhwc(x).astype(np.float64), labels=labels.astype(np.int64))
    assert_allclose(bound.forward()["out"][0], loss, rtol=1e-6)


@pytest.mark.parametrize("case", PLAIN_CONVS, ids=str)
def test_onnx_evaluates_convolutions_alike(case):
    bound = Bound(case, "reference", "float64")
    operands = case.operands("float64")
    weight = operands["weight"].transpose(3, 2, 0, 1)
    feeds = {"x": operands["x"].transpose(0, 3, 1, 2), "weight": weight[:, :, ::-1, ::-1] if case.op.flip else weight}
    if case.op.bias:
        feeds["bias"] = operands["bias"]
    (y,) = ReferenceEvaluator(onnx_conv(case, list(feeds))).run(None, feeds)
    assert_allclose(bound.forward()["out"], nhwc(y), rtol=1e-11, atol=1e-11)


def onnx_conv(case, names):
    op = case.op
    top, bottom, left, right = op.pads(case.x)
    node = onnx.helper.make_node(
        "Conv",
        names,
        ["y"],
        kernel_shape=op.kernel_size,
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=(top, left, bottom, right),
    )
    value = onnx.helper.make_tensor_value_info
    inputs = [value(name, onnx.TensorProto.DOUBLE, None) for name in names]
    graph = onnx.helper.make_graph([node], "conv", inputs, [value("y", onnx.TensorProto.DOUBLE, None)])
    return onnx.helper.make_model(graph)


PLAIN_SEQUENCES = [
    case
    for case in SEQUENCE
    if type(case.op) is Conv1d
    and case.values == "normal"
    and (case.op.padding_mode, case.op.activation, case.op.pool) == ("zeros", None, None)
]


@pytest.mark.parametrize("case", PLAIN_SEQUENCES, ids=str)
def test_onnx_evaluates_convolutions_of_sequences_alike(case):
    op, operands = case.op, case.operands("float64")
    weight = operands["weight"].transpose(2, 1, 0)
    _, _, left, right = op.as_2d.pads((1, 1, *case.x[1:]))
    feeds = {"x": operands["x"].swapaxes(1, 2), "weight": weight[:, :, ::-1] if op.flip else weight}
    feeds |= {"bias": operands["bias"]} if op.bias else {}
    options = {"kernel_shape": [op.kernel_size], "strides": [op.stride], "dilations": [op.dilation]}
    y = onnx_run("Conv", feeds, **options, group=op.groups, pads=[left, right])
    assert_allclose(Bound(case, "reference", "float64").forward()["out"], nhwc(y), rtol=1e-11, atol=1e-11)


PLAIN_TRANSPOSED = [case for case in CONV_TRANSPOSE if not case.op.activation and case.values == "normal"]


@pytest.mark.parametrize("case", PLAIN_TRANSPOSED, ids=str)
def test_onnx_evaluates_transposed_convolutions_alike(case):
    """One group at a time: ONNX's evaluator of several stops with an error."""
    op, operands = case.op, case.operands("float64")
    top, bottom, left, right = op.padding
    options = {"kernel_shape": op.kernel_size, "strides": op.stride, "dilations": op.dilation}
    options |= {"pads": (top, left, bottom, right), "output_padding": op.output_padding}
    x, weight = operands["x"].transpose(0, 3, 1, 2), operands["weight"].transpose(3, 2, 0, 1)
    groups = zip(np.split(x, op.groups, axis=1), np.split(weight, op.groups), strict=True)
    y = np.concatenate([onnx_run("ConvTranspose", {"x": a, "weight": w}, **options) for a, w in groups], axis=1)
    y = nhwc(y) + operands.get("bias", 0)
    assert_allclose(Bound(case, "reference", "float64").forward()["out"], y, rtol=1e-11, atol=1e-11)


def onnx_run(kind, feeds, **options):
    value, double = onnx.helper.make_tensor_value_info, onnx.TensorProto.DOUBLE
    node = onnx.helper.make_node(kind, list(feeds), ["y"], **options)
    graph = onnx.helper.make_graph(
        [node], kind, [value(name, double, None) for name in feeds], [value("y", double, None)]
    )
    (y,) = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, feeds)
    return y


def nhwc(array):
    return np.moveaxis(array, 1, -1)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3), (1, 3)])
def test_circular_padding_is_scipys_wrap(kernel):
    x, weight = RNG.standard_normal((6, 9)), RNG.standard_normal(kernel)
    op = Conv2d(1, kernel, padding="same", padding_mode="circular", bias=False)
    out = on_reference(op, x[None, :, :, None], weight=weight[:, :, None, None]).forward()["out"]
    assert_allclose(out[0, :, :, 0], ndimage.correlate(x, weight, mode="wrap"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode, padding", [("valid", 0), ("full", (2, 3)), ("same", (1, 1, 1, 2))])
def test_zero_padding_is_scipys_correlate2d(mode, padding):
    x, weight = RNG.standard_normal((6, 9)), RNG.standard_normal((3, 4))
    op = Conv2d(1, (3, 4), padding=padding, bias=False)
    out = on_reference(op, x[None, :, :, None], weight=weight[:, :, None, None]).forward()["out"]
    assert_allclose(out[0, :, :, 0], signal.correlate2d(x, weight, mode), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode, padding", [("valid", 0), ("full", "full"), ("same", (1, 1, 2, 1))])
def test_true_convolution_is_scipys_convolve2d(mode, padding):
    x, weight = RNG.standard_normal((6, 9)), RNG.standard_normal((3, 4))
    op = Conv2d(1, (3, 4), padding=padding, bias=False, flip=True)
    out = on_reference(op, x[None, :, :, None], weight=weight[:, :, None, None]).forward()["out"]
    assert_allclose(out[0, :, :, 0], signal.convolve2d(x, weight, mode), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["valid", "full", "same"])
def test_true_convolution_of_sequences_is_numpys_convolve(mode):
    x, weight = RNG.standard_normal(9), RNG.standard_normal(5)
    op = Conv1d(1, 5, padding=mode, bias=False, flip=True)
    out = on_reference(op, x[None, :, None], weight=weight[:, None, None]).forward()["out"]
    assert_allclose(out[0, :, 0], np.convolve(x, weight, mode), rtol=1e-12, atol=1e-12)


def test_input_gradient_is_a_true_convolution():
    dy, weight = RNG.standard_normal((5, 4)), RNG.standard_normal((3, 2))
    bound = on_reference(
        Conv2d(1, (3, 2), bias=False),
        np.zeros((1, 7, 5, 1)),
        weight=weight[:, :, None, None],
        dy=dy[None, :, :, None],
    )
    assert_allclose(bound.backward()["x"][0, :, :, 0], signal.convolve2d(dy, weight), rtol=1e-12, atol=1e-12)
