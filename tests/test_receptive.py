"""What a value sees: window arithmetic against gradients, which know it, and against published numbers."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from cases import CASES
from running import Bound

from nbconv import (
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Input,
    Linear,
    MaxPool2d,
    Model,
    RandomCrop,
    RandomHorizontalFlip,
    ReLU,
    Sequential,
)
from nbconv.engine.graph import chain, trace
from nbconv.inspect import summarize
from nbconv.ops.base import Layer
from nbconv.ops.receptive import Window, sliding, transposed
from nbconv.zoo.alexnet import alexnet_layers
from nbconv.zoo.vgg import VGG16_FILTERS, vgg_layers


def on_images(case):
    """Whether a case is a layer from images to images.

    Statistics of a batch couple everything, and do not count, nor do places that are random in training.
    """
    learns = isinstance(case.op, (BatchNorm, RandomCrop, RandomHorizontalFlip)) and case.op.training
    is_image = len(case.x) > 2 and isinstance(case.op, Layer) and len(case.op.out_shape(*case.shapes)) == len(case.x)
    return is_image and not learns and case.values in ("normal", "ties") and np.prod(case.x) < 5000


def seen(case, place):
    """For each axis, the positions that have a gradient if the output has one at ``place`` alone."""
    dy = np.zeros(case.op.out_shape(*case.shapes))
    dy[(0, *place)] = 1
    bound = Bound(case, "reference", "float64", given={"dy": dy})
    bound.forward()
    dx = next(iter(bound.backward().values()))[0]
    touched = dx.any(axis=-1)
    return [
        np.flatnonzero(touched.any(axis=tuple(a for a in range(touched.ndim) if a != axis)))
        for axis in range(touched.ndim)
    ]


@pytest.mark.parametrize("case", [case for case in CASES if on_images(case)], ids=str)
def test_the_windows_of_an_op_hold_all_that_has_a_gradient(case):
    sizes, counts = case.x[1:-1], case.op.out_shape(*case.shapes)[1:-1]
    windows = case.op.windows(*case.shapes)
    assert windows is None or len(windows) == len(sizes)
    copies = getattr(case.op, "padding_mode", getattr(case.op, "mode", "zeros")) != "zeros"
    for place in {(0,) * len(counts), tuple(n - 1 for n in counts), tuple(n // 2 for n in counts)}:
        for axis, positions in enumerate(seen(case, place) if windows else ()):
            window = windows[axis]
            first = place[axis] * window.step - window.before
            slack = 0 if window.step == int(window.step) else Fraction(1, 2)
            inside = set(range(ceil(first - slack), ceil(first + window.span + slack)))
            if not copies or inside <= set(range(sizes[axis])):  # a border may hold pixels from elsewhere
                assert set(positions) <= inside, (place, window)


def hull(model, place):
    """The rows and columns of the input that the output at ``place`` depends on: (first, last) for each axis."""
    (shape,) = model.input_shapes
    x = np.random.default_rng(0).standard_normal((1, *shape))
    y = model.forward(x, training=True, input_gradients=True)
    dy = np.zeros(y.shape)
    dy[(0, slice(None), *place)] = 1
    touched = model.backward(dy)["input"][0].any(axis=0)
    return [(int(a.min()), int(a.max())) for a in map(np.flatnonzero, (touched.any(axis=1), touched.any(axis=0)))]


STACKS = {
    "plain": [Conv2d(2, 3), Conv2d(2, (5, 2))],
    "padded": [Conv2d(2, 3, padding=1), Conv2d(2, 5, padding=2), Conv2d(2, 3, padding=1)],
    "strided": [Conv2d(2, 3, stride=(2, 1), padding=1), AvgPool2d(2), Conv2d(2, (2, 3))],
    "dilated": [Conv2d(2, 3, dilation=2), Conv2d(2, (1, 3), dilation=3)],
    "uneven border": [Conv2d(2, 4, padding=(3, 0, 1, 2)), AvgPool2d(3, stride=2, padding=(1, 0, 0, 1))],
    "same": [Conv2d(2, 4, stride=2, padding="same"), Conv2d(2, (2, 3), padding="same")],
    "elementwise": [Conv2d(2, 3), Dropout(0.0), AvgPool2d(2)],
    "whole": [Conv2d(2, 3, stride=4), GlobalAvgPool2d()],
    "flat": [Conv2d(2, 3), AvgPool2d(3), Flatten(), Linear(4)],
}


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_the_field_of_a_net_is_what_its_gradient_reaches(layers):
    model = Sequential(*layers, input_shape=(1, 19, 22), device="reference", dtype="float64", seed=1)
    row = model.summary(print=False).rows[-1]
    counts = row.shape[1:]
    for place in {(0,) * len(counts), tuple(n - 1 for n in counts), tuple(n // 2 for n in counts)}:
        for axis, (first, last) in enumerate(hull(model, place)):
            centre = row.first_centre[axis] + (place[axis] * row.jump[axis] if place else 0)
            start, end = (centre + sign * row.receptive_field[axis] / 2 for sign in (-1, 1))
            assert (first, last) == (max(start, 0), min(end, (19, 22)[axis]) - 1)


def test_branches_see_what_either_sees():
    x = Input((1, 21, 20))
    small, large = Conv2d(2, 1, stride=2)(x), Conv2d(2, (7, 3), stride=2, padding=(3, 1))(x)
    model = Model(x, Add()(small, large), device="reference", dtype="float64")
    assert model.summary(print=False).rows[-1].receptive_field == (7, 3)
    assert hull(model, (4, 4)) == [(5, 11), (7, 9)]
    shifted = Model(x, Add()(Conv2d(2, 3, padding=(2, 0, 2, 0))(x), Conv2d(2, 3, padding=(0, 2, 0, 2))(x)))
    row = shifted.summary(print=False).rows[-1]
    assert (row.receptive_field, row.first_centre) == ((5, 5), (0.5, 0.5))


def test_branches_that_move_on_at_different_steps():
    """The fourth value of the one sees pixel 6, that of the other pixel 3: together a span of 4."""
    assert Window(1, 2).beside(Window(1, 1), 4) == Window(4, 2)
    assert Window(3, 1, 1).beside(Window(9, 0), 7) == Window(10, 1, 1)


def rows(layers, image):
    source = Input(image)
    return summarize(trace([source], [chain(source, layers)])).rows[1:]


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_stacked_convolutions_see_a_little_more_each(depth, kernel):
    fields = [row.receptive_field[0] for row in rows([Conv2d(1, kernel, padding="same")] * depth, (1, 9, 9))]
    assert fields == [n * (kernel - 1) + 1 for n in range(1, depth + 1)]


def test_a_pool_doubles_the_growth_of_what_follows():
    layers = [Conv2d(1, 3, padding=1), Conv2d(1, 3, padding=1)]
    fields = [
        row.receptive_field[0] for row in rows([*layers, MaxPool2d(2), *layers, MaxPool2d(2), *layers], (1, 16, 16))
    ]
    assert np.diff([1, *fields]).tolist() == [2, 2, 1, 4, 4, 2, 8, 8]


def test_alexnet_as_in_the_guide():
    """Dang Ha The Hien's example (2017), on images of 227x227 without a border in the first layer."""
    net = [Conv2d(96, 11, stride=4), *alexnet_layers(10, 8, 0.5)[1:13], Conv2d(8, 6), Conv2d(8, 1)]
    table = [
        (row.shape[1], row.jump[0], row.receptive_field[0], row.first_centre[0])
        for row in rows(net, (3, 227, 227))
        if not row.layer.startswith("ReLU")
    ]
    assert table == [
        (55, 4, 11, 5.5),
        (27, 8, 19, 9.5),
        (27, 8, 51, 9.5),
        (13, 16, 67, 17.5),
        (13, 16, 99, 17.5),
        (13, 16, 131, 17.5),
        (13, 16, 163, 17.5),
        (6, 32, 195, 33.5),
        (1, 32, 355, 113.5),
        (1, 32, 355, 113.5),
    ]


def test_vgg_as_in_distill():
    """Araujo, Norris & Sim (2019), table of architectures: VGG-16 has a field of 212 and an effective stride of 32."""
    *_, last = [row for row in rows(vgg_layers(VGG16_FILTERS, 10, False, 8, 0.5), (3, 224, 224)) if len(row.shape) == 3]
    assert (last.receptive_field, last.jump) == ((212, 212), (32, 32))


def test_several_inputs():
    small, large = Input((1, 8, 8)), Input((1, 12, 12))
    y = Add()(Conv2d(2, 3)(small), Conv2d(2, 7)(large))
    vector = Input((5,))
    model = Model([small, large, vector], [y, Linear(2)(vector)], device="reference")
    fields = {row.name: row.receptive_field for row in model.summary(print=False).rows}
    assert fields == {"input0": (1, 1), "input1": (1, 1), "input2": (), "0": (3, 3), "1": (7, 7), "2": (3, 3), "3": ()}


def test_a_fused_pool_is_seen_through():
    x, pool = (2, 11, 12, 3), MaxPool2d(3, stride=2, padding=1)
    conv = Conv2d(4, 3, stride=2, padding=(1, 0), activation="relu", pool=pool)
    assert conv.windows(x) == (Window(7, 4, 3), Window(7, 4, 2))
    assert BatchNorm(pool=pool).windows(x) == pool.windows(x) == (Window(3, 2, 1),) * 2


def test_an_op_that_moves_pixels_must_say_so():
    @dataclass(frozen=True, repr=False)
    class Crop(Layer):
        def out_shape(self, x):
            n, h, w, c = x
            return n, h - 1, w, c

    with pytest.raises(TypeError, match="Crop does not define windows"):
        Crop().windows((1, 4, 4, 1))
    assert ReLU().windows((1, 4, 4, 1)) == (Window(), Window())


def test_windows_of_a_convolution():
    assert sliding((3, 5), (2, 1), (1, 1, 0, 3)) == (Window(3, 2, 1), Window(5, 1, 0))
    assert Window(3, 2, 1).centre == 0.5 and Window(2, 2).centre == 1


@pytest.mark.parametrize(
    "span, stride, before", [(2, 2, 0), (3, 3, 0), (4, 2, 1), (3, 2, 1), (5, 2, 0), (3, 1, 2), (1, 3, 0)]
)
def test_windows_of_a_convolution_read_backwards(span, stride, before):
    """Counted: value o sees position i if tap t of window i falls on it, o = i * stride + t - before."""
    window = transposed(span, stride, before)
    inputs, middle = 40, range(30, 30 + stride)
    sights = [[i for i in range(inputs) if 0 <= o + before - i * stride < span] for o in middle]
    assert max(map(len, sights)) == window.span
    assert window.step == Fraction(1, stride)
    for o, positions in zip(middle, sights, strict=True):
        centre = window.centre + o * window.step
        assert all(abs(i + Fraction(1, 2) - centre) <= Fraction(window.span, 2) for i in positions)
    mean = sum(sum(p) / len(p) + 0.5 if p else 0 for p in sights) / stride
    if all(sights) and span % stride == 0:
        assert mean == pytest.approx(float(window.centre + np.mean(middle) * window.step))


def test_a_net_that_enlarges():
    """After repetition by 2, three taps see two values, of a field of 3 each: 4 pixels."""
    enlarged = Window(3, 1, 1).then(transposed(2, 2)).then(Window(3, 1, 1))
    assert (enlarged.span, enlarged.step, enlarged.centre) == (4, Fraction(1, 2), Fraction(1, 4))
