"""Graphs: how they are written, what is refused, and what a message says."""

import pytest

from nbconv import Add, BatchNorm, Conv2d, Flatten, Input, Linear, MaxPool2d, ReLU, Sequential
from nbconv.engine.graph import Graph, Node, Source, append, chain, trace
from nbconv.errors import GraphError, OptionError, ShapeError
from nbconv.ops.loss import BCEWithLogits, CrossEntropy
from nbconv.ops.metric import BinaryAccuracy


def residual():
    x = Input((4, 6, 5))
    y = ReLU()(Add()(Conv2d(4, 3, padding=1)(x), x))
    return trace([x], [y])


def test_nodes_come_after_what_they_read():
    graph = residual()
    assert [type(node.op).__name__ for node in graph.nodes] == ["Source", "Conv2d", "Add", "ReLU"]
    assert [node.inputs for node in graph.nodes] == [(), (0,), (1, 0), (2,)]
    assert graph.consumers == ((1, 2), (2,), (3,), ())


def test_shapes_are_channels_last_inside():
    assert residual().shapes(7) == [(7, 6, 5, 4)] * 4


def test_names_are_indices_as_in_pytorch_unless_given():
    graph = trace([x := Input((1, 8, 8))], [Linear(3, name="head")(Flatten()(Conv2d(2, 3)(x)))])
    assert [node.name for node in graph.nodes] == ["input", "0", "1", "head"]


def test_a_layer_called_twice_makes_two_nodes():
    conv = Conv2d(4, 3, padding=1)
    x = Input((4, 5, 5))
    assert len(trace([x], [conv(conv(x))]).steps) == 2


def test_a_shared_value_is_one_node():
    x = Input((4, 5, 5))
    shared = ReLU()(x)
    assert len(trace([x], [Add()(shared, shared)]).steps) == 2


def test_data_format_of_an_input():
    assert Input((3, 8, 6)).shape == Input((8, 6, 3), data_format="NHWC").shape == (8, 6, 3)
    assert Input((3, 8)).shape == Input((8, 3), data_format="NHWC").shape == (8, 3)


def test_loss_is_appended_with_labels_of_its_own():
    x = Input((5,))
    graph = append(trace([x], [Linear(3)(x)]), [CrossEntropy()], 1)
    assert graph.nodes[2] == Node(":labels", Source((), "int64"))
    assert graph.shapes(4)[3] == (1,) and graph.outputs == (1, 3)


def test_loss_is_appended_with_targets_of_its_own():
    x = Input((5, 4, 3), data_format="NHWC")
    graph = append(trace([x], [ReLU()(x)]), [BCEWithLogits(), BinaryAccuracy()], 1)
    assert graph.nodes[2] == Node(":target", Source((5, 4, 3)))
    assert graph.shapes(2)[2:] == [(2, 5, 4, 3), (1,), (1,)] and graph.outputs == (1, 3, 4)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: chain(Input((1, 8, 8)), [Conv2d(4, 3), Linear(10)]), ShapeError, r"layer 1 \(Linear\).*put Flatten"),
        (lambda: chain(Input((1, 8, 8)), [Conv2d(4, 9)]), ShapeError, r"layer 0 \(Conv2d\): a window of 9.*height 8"),
        (
            lambda: chain(Input((3, 8, 8)), [ReLU(), Conv2d(4, 3, groups=2)]),
            ShapeError,
            r"layer 1 \(Conv2d\): 3 input channels do not divide by groups=2; use a groups that divides 3",
        ),
        (lambda: chain(Input((1, 8, 8)), [MaxPool2d(9, name="big")]), ShapeError, r"layer 0 \(MaxPool2d 'big'\)"),
        (lambda: chain(Input((8,)), [Conv2d(4, 3)]), ShapeError, r"Conv2d needs images.*place it before Flatten"),
        (lambda: chain(Input((1, 8, 8)), [ReLU]), GraphError, r"layer 0 is .*write ReLU\(\.\.\.\)"),
        (lambda: chain(Input((1, 8, 8)), ["relu"]), GraphError, r"layer 0 is 'relu', which is no layer"),
        (lambda: Add()(Input((1, 8, 8)), Input((2, 8, 8))), ShapeError, r"Add needs two equal shapes"),
        (lambda: ReLU()(3), GraphError, r"ReLU\(\) takes 1 graph value.*start from nbconv.Input"),
        (lambda: Add()(Input((1, 8, 8))), GraphError, r"takes 2 graph value"),
        (
            lambda: Input((1, 8, 8, 8)),
            ShapeError,
            r"\(channels, height, width\), \(channels, length\) or \(features,\)",
        ),
        (lambda: Input((1, 0, 8)), OptionError, r"input_shape must be an integer of at least 1, got 0"),
        (lambda: Input((1, 8.5, 8)), OptionError, r"input_shape must be .*got 8.5"),
        (lambda: Input(()), ShapeError, r"without the batch, got \(\)"),
        (lambda: Input((3, 1, 8, 8), data_format="NHWC"), ShapeError, r"is \(height, width, channels\), \(length, ch"),
        (lambda: Input(8), ShapeError, r"such as \(1, 28, 28\), got 8"),
        (lambda: Input((1, 8, 8), data_format="CHW"), OptionError, r"data_format must be one of"),
        (lambda: Conv2d(8, 3, padding="half"), OptionError, r'padding must be "same", "valid", "full", an integer'),
        (lambda: MaxPool2d(3, padding="full"), OptionError, r'padding must be "same", "valid", an integer'),
        (lambda: Conv2d(8, 3, padding=(1, 2, 3)), OptionError, r"padding takes 1, 2 .* or 4"),
        (lambda: Conv2d(8, 0), OptionError, r"kernel_size must be an integer of at least 1, got 0"),
        (lambda: Conv2d(8, 3, stride=1.5), OptionError, r"stride must be .*got 1.5"),
        (lambda: Conv2d(9, 3, groups=2), OptionError, r"out_channels 9 does not divide by groups 2"),
        (lambda: Conv2d(8, 3, padding_mode="reflect"), OptionError, r"padding_mode must be one of"),
        (lambda: MaxPool2d(2, padding=2), OptionError, r"exceeds half of the window"),
        (
            lambda: BatchNorm(momentum=2),
            OptionError,
            r"momentum \(the weight of the new value\) must be a number between 0 and 1",
        ),
        (
            lambda: Sequential(Conv2d(4, 3, padding=5, padding_mode="circular"), input_shape=(1, 4, 4)),
            ShapeError,
            r"layer 0 \(Conv2d\): circular padding .* wraps more than once",
        ),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_an_input_that_is_not_listed():
    x, stranger = Input((4,)), Input((4,))
    with pytest.raises(GraphError, match="is not among the model's inputs"):
        trace([x], [Add()(x, stranger)])


def test_an_input_that_is_not_read():
    x, unused = Input((4,)), Input((4,))
    with pytest.raises(GraphError, match="is not used"):
        trace([x, unused], [ReLU()(x)])


def test_an_output_listed_twice():
    x = Input((4,))
    y = ReLU()(x)
    with pytest.raises(GraphError, match="listed twice among the outputs"):
        trace([x], [y, y])


def test_two_layers_of_one_name():
    x = Input((4,))
    with pytest.raises(GraphError, match="several layers are called 'a'"):
        trace([x], [ReLU(name="a")(Linear(3, name="a")(x))])


def test_a_circle():
    with pytest.raises(GraphError, match="circle"):
        Graph((Node("a", ReLU(), (0,)),), (0,))


def test_a_deep_graph_needs_no_recursion():
    assert len(trace([x := Input((2,))], [chain(x, [ReLU()] * 3000)]).steps) == 3000
