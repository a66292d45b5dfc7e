"""Nets with names have the shapes and sizes that they promise, and learn."""

import numpy as np
import pytest
from devices import DEVICES

from nbconv import BatchNorm, Conv2d, Dropout, Input, Linear, MaxPool2d, zoo
from nbconv.engine.graph import chain, trace
from nbconv.errors import OptionError, ShapeError
from nbconv.inspect import summarize
from nbconv.zoo.vgg import VGG11_FILTERS, VGG16_FILTERS, vgg_layers

NARROW = dict(num_classes=4, hidden_dim=8)
SMALL = {
    "ThreeLayerConvNet": (zoo.ThreeLayerConvNet, dict(input_shape=(1, 2, 3)), 2),
    "DeepConvNet": (zoo.DeepConvNet, dict(num_filters=(4, 5), max_pools=(1,), input_shape=(2, 2, 3)), 2),
    "LeNet5": (zoo.LeNet5, dict(input_shape=(1, 12, 13)), 12),
    "CIFARNet": (zoo.CIFARNet, dict(input_shape=(3, 8, 9)), 8),
    "AlexNet": (zoo.AlexNet, dict(input_shape=(3, 63, 64), **NARROW), 63),
    "VGG11": (zoo.VGG11, dict(input_shape=(3, 32, 33), **NARROW), 32),
    "ResNet8": (zoo.ResNet8, dict(input_shape=(3, 7, 6)), 1),
    "ResNet20": (zoo.ResNet20, dict(input_shape=(1, 5, 6)), 1),
}
"""Each net on the smallest images that it takes, and their size. (VGG16 is VGG11 with more of the same.)"""

every_net = pytest.mark.parametrize("net, options, least", SMALL.values(), ids=SMALL)
on_every_device = pytest.mark.parametrize("device", DEVICES)


def graph_only(*layers, input_shape):
    """The graph of ``Sequential(*layers, input_shape=input_shape)``."""
    source = Input(input_shape)
    return trace([source], [chain(source, layers)])


@pytest.mark.parametrize("data_format, shape", [("NCHW", (1, 8, 8)), ("NHWC", (8, 8, 1))])
def test_digits_net(data_format, shape):
    model = zoo.digits_net(device="reference", seed=0, data_format=data_format)
    assert model.predict(np.zeros((3, *shape), np.float32)).shape == (3, 10)
    assert summarize(model.graph).parameters == 21_578


@pytest.mark.parametrize(
    "net, image, count",
    [
        (zoo.ThreeLayerConvNet, (3, 32, 32), 32 * 3 * 7 * 7 + 32 + 100 * 32 * 16 * 16 + 100 + 10 * 100 + 10),
        (zoo.DeepConvNet, (3, 32, 32), 8 * 27 + 8 + 4 * (8 * 72 + 8) + 10 * 8 + 10),
        (zoo.LeNet5, (1, 28, 28), 61_706),
        (zoo.CIFARNet, (3, 32, 32), 113_962),
        (zoo.ResNet8, (3, 32, 32), 78_042),
        (zoo.ResNet20, (3, 32, 32), 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64),
    ],
)
def test_parameters_of_the_nets_as_published(net, image, count):
    model = net(device="reference")
    assert model.summary(print=False).parameters == count
    assert model.input_shapes == [image]
    assert model.predict(np.zeros((1, *image), np.float32)).shape == (1, 10)


@pytest.mark.parametrize(
    "net, options, count",
    [
        (zoo.AlexNet, {}, 61_100_840),
        (zoo.VGG11, {}, 132_863_336),
        (zoo.VGG11, {"batchnorm": True}, 132_868_840),
        (zoo.VGG16, {}, 138_357_544),
        (zoo.VGG16, {"batchnorm": True}, 138_365_992),
    ],
)
def test_parameters_of_the_large_nets_as_published(net, options, count, monkeypatch):
    """The zoo's own function with its own defaults makes the graph; no memory is taken for parameters."""
    monkeypatch.setattr("nbconv.zoo.build.Sequential", graph_only)
    graph = net(**options)
    assert summarize(graph).parameters == count
    assert graph.shapes(1)[0] == (1, 224, 224, 3)
    dropouts = [node.op.p for node in graph.nodes if isinstance(node.op, Dropout)]
    assert dropouts == [0.5, 0.5]


def test_layers_are_counted_as_the_names_say():
    depths = {
        net: sum(isinstance(layer, (Conv2d, Linear)) for layer in vgg_layers(filters, 10, False, 16, 0.5))
        for net, filters in ((11, VGG11_FILTERS), (16, VGG16_FILTERS))
    }
    assert all(net == depth for net, depth in depths.items())
    for net, depth in ((zoo.ResNet8, 8), (zoo.ResNet20, 20)):
        layers = [node.op for node in net(device="reference").graph.nodes]
        trunk = [op for op in layers if isinstance(op, Linear) or (isinstance(op, Conv2d) and op.kernel_size != (1, 1))]
        assert len(trunk) == depth


@on_every_device
@every_net
def test_every_net_runs_forward_and_backward(net, options, least, device):
    model = net(device=device, seed=1, **options)
    classes = options.get("num_classes", 10)
    x = np.random.default_rng(0).standard_normal((3, *model.input_shapes[0])).astype(np.float32)
    assert model.predict(x).shape == (3, classes)
    model.compile("sgd")
    loss, grads = model.loss_and_grads(x, [0, 1, 2])
    assert 0 < loss < np.inf
    weights = {name for name in model.state_dict() if "running" not in name}
    assert grads.keys() == weights
    assert all(np.isfinite(grad).all() for grad in grads.values())
    assert all(grads[name].any() for name in list(grads)[-2:])


@every_net
def test_least_sizes(net, options, least):
    channels, *_ = options["input_shape"]
    if least > 1:
        with pytest.raises(
            ShapeError, match=rf"{net.__name__} needs images of at least {least}x{least} pixels.*enlarge"
        ):
            net(device="reference", **{**options, "input_shape": (channels, least + 5, least - 1)})


@every_net
def test_channels_last(net, options, least):
    c, h, w = options["input_shape"]
    model = net(device="reference", data_format="NHWC", **{**options, "input_shape": (h, w, c)})
    assert model.predict(np.zeros((2, h, w, c), np.float32)).shape == (2, options.get("num_classes", 10))


def test_the_usual_shape_follows_the_data_format():
    assert zoo.CIFARNet(device="reference", data_format="NHWC").input_shapes == [(32, 32, 3)]


def test_the_course_starts_at_the_loss_of_a_guess():
    """CS231n's sanity check: with small weights all of C classes are as likely, and the loss is log(C)."""
    model = zoo.ThreeLayerConvNet(device="reference", seed=0, dtype="float64")
    model.compile()
    x, y = np.random.default_rng(0).standard_normal((50, 3, 32, 32)), np.arange(50) % 10
    assert model.loss_and_grads(x, y)[0] == pytest.approx(np.log(10), abs=1e-3)


def test_a_deep_net_is_written_as_asked():
    model = zoo.DeepConvNet((8, 16, 32), max_pools=[0, 2], batchnorm=True, device="reference")
    kinds = [type(node.op) for node in model.graph.nodes]
    assert [kinds.count(kind) for kind in (Conv2d, BatchNorm, MaxPool2d)] == [3, 3, 2]
    assert model.graph.shapes(1)[-3] == (1, 8, 8, 32)


@pytest.mark.parametrize("scale, conv, linear", [(0.5, 0.5, 0.5), ("kaiming", (2 / 144) ** 0.5, (1 / 16384) ** 0.5)])
def test_the_scale_of_a_deep_net_s_weights(scale, conv, linear):
    model = zoo.DeepConvNet((16, 64), max_pools=(0,), weight_scale=scale, device="reference", seed=0)
    state = list(model.state_dict().values())
    assert state[2].std() == pytest.approx(conv, rel=0.05)
    assert state[4].std() == pytest.approx(linear, rel=0.05)


@pytest.mark.parametrize("batchnorm", [False, True])
def test_vgg_has_batch_norm_before_every_relu_or_nowhere(batchnorm):
    layers = vgg_layers(VGG11_FILTERS, 10, batchnorm, 16, 0.5)
    after = [layers[i + 1] for i, layer in enumerate(layers) if isinstance(layer, Conv2d)]
    assert len(after) == 8 and all(isinstance(layer, BatchNorm) is batchnorm for layer in after)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: zoo.LeNet5(num_classes=0), OptionError, "num_classes must be an integer of at least 1, got 0"),
        (lambda: zoo.AlexNet(hidden_dim=2.5), OptionError, "hidden_dim must be an integer"),
        (lambda: zoo.VGG16(dropout=1.5), OptionError, "probability of dropping a value.*got 1.5"),
        (lambda: zoo.VGG11(batchnorm="yes"), OptionError, "batchnorm must be True or False"),
        (lambda: zoo.ResNet8(input_shape=(10,)), ShapeError, "ResNet8 needs images: .*channels, height, width"),
        (
            lambda: zoo.LeNet5(input_shape=(28, 28)),
            ShapeError,
            r"LeNet5 needs images: an input shape is \(channels, height, width\).*got \(28, 28\)",
        ),
        (lambda: zoo.AlexNet(input_shape=(3, 224)), ShapeError, r"AlexNet needs images: .*got \(3, 224\)"),
        (lambda: zoo.VGG11(input_shape=224), ShapeError, "VGG11 needs images: .*got 224"),
        (
            lambda: zoo.LeNet5(input_shape=(28, 28), data_format="NHWC"),
            ShapeError,
            r"an input shape is \(height, width, channels\)",
        ),
        (
            lambda: zoo.CIFARNet(input_shape=(3, None, 32)),
            OptionError,
            r"each size of CIFARNet's input_shape \(channels, height, width\) must be an integer .*got None",
        ),
        (lambda: zoo.ResNet20(input_shape=(3, 32.0, 32)), OptionError, "ResNet20's input_shape .*got 32.0"),
        (lambda: zoo.CIFARNet(input_shape=(32, 32, 3)), ShapeError, 'height 32 and width 3 .*data_format="NCHW"'),
        (lambda: zoo.ThreeLayerConvNet(weight_scale="kaiming"), OptionError, "weight_scale must be zero or more"),
        (
            lambda: zoo.DeepConvNet(weight_scale="xavier"),
            OptionError,
            "standard deviation or \"kaiming\", got 'xavier'",
        ),
        (lambda: zoo.DeepConvNet((8, 8), max_pools=(2,)), OptionError, r"max_pools \(2,\) must name .*\(8, 8\)"),
        (lambda: zoo.DeepConvNet(8), OptionError, r"num_filters must be a sequence .* such as \(8, 16\), got 8"),
        (lambda: zoo.DeepConvNet(max_pools="01"), OptionError, "max_pools must be a sequence"),
        (lambda: zoo.DeepConvNet((8,) * 6, range(6)), ShapeError, "DeepConvNet needs images of at least 64x64"),
        (lambda: zoo.DeepConvNet(()), OptionError, r"must name convolutions of num_filters \(\)"),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
