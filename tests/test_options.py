"""Options: what is accepted is stored as plain Python values, and what is not is named."""

import json

import numpy as np
import pytest

from nbconv import (
    SGD,
    Adam,
    AdamW,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropy,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalMaxPool2d,
    GroupNorm,
    Hinge,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool1d,
    MaxPool2d,
    Pad2d,
    ReLU,
    RMSProp,
    Upsample,
)
from nbconv.errors import OptionError
from nbconv.ops.options import number

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "given, wanted",
    [
        (SGD(lr=np.float32(0.5), momentum=np.float16(0.5), clip_norm=np.int64(2)), SGD(0.5, 0.5, clip_norm=2)),
        (SGD(momentum=0.5, nesterov=np.bool_(True)), SGD(momentum=0.5, nesterov=True)),
        (Adam(betas=[np.float32(0.5), np.float64(0.75)]), Adam(betas=(0.5, 0.75))),
        (AdamW(eps=np.float32(0.5), weight_decay=np.float32(0)), AdamW(eps=0.5, weight_decay=0)),
        (
            BatchNorm(eps=np.float32(0.5), momentum=np.float32(1), affine=np.bool_(False)),
            BatchNorm(eps=0.5, momentum=1, affine=False),
        ),
        (Conv2d(np.int32(8), 3, bias=np.bool_(False), init=np.float32(0.5)), Conv2d(8, 3, bias=False, init=0.5)),
        (Linear(np.uint8(8), np.bool_(True), init=np.float32(0)), Linear(8, init=0)),
        (AvgPool2d(2, divisor_override=np.int64(3)), AvgPool2d(2, divisor_override=3)),
        (MaxPool2d(np.int64(2), ceil_mode=np.bool_(True)), MaxPool2d(2, ceil_mode=True)),
        (Dropout(np.float32(0.25)), Dropout(0.25)),
        (Conv2d(2, 3, flip=np.bool_(True)), Conv2d(2, 3, flip=True)),
        (Conv1d(np.int32(8), (3,), (2,), [1, 1], flip=np.bool_(True)), Conv1d(8, 3, 2, 1, flip=True)),
        (MaxPool1d((2,), padding=(1,)), MaxPool1d(2, padding=1)),
        (ConvTranspose2d(8, [3, 3], np.int64(2), output_padding=(1, 1)), ConvTranspose2d(8, 3, 2, output_padding=1)),
        (Pad2d([np.int64(1)] * 4, "edge"), Pad2d(1, "edge")),
        (Upsample([2, 2]), Upsample(2)),
        (LeakyReLU(np.float32(0.25)), LeakyReLU(0.25)),
        (Dropout2d(np.float32(0.25)), Dropout2d(0.25)),
        (LayerNorm(eps=np.float32(0.5), affine=np.bool_(False)), LayerNorm(eps=0.5, affine=False)),
        (
            GroupNorm(np.int64(4), eps=np.float32(0.5), affine=np.bool_(False)),
            GroupNorm(4, eps=0.5, affine=False),
        ),
        (InstanceNorm(eps=np.float32(0.5), affine=np.bool_(True)), InstanceNorm(eps=0.5, affine=True)),
        (RMSProp(np.float32(0.5), np.float64(0.75), centered=np.bool_(True)), RMSProp(0.5, 0.75, centered=True)),
        (
            CrossEntropy(label_smoothing=np.float32(0.5), weight=np.array([1, 2])),
            CrossEntropy(label_smoothing=0.5, weight=(1.0, 2.0)),
        ),
        (Hinge(np.int64(2)), Hinge(2.0)),
    ],
    ids=str,
)
def test_numpy_scalars_become_python_numbers(given, wanted):
    assert given == wanted
    assert json.loads(json.dumps(given.options())) == json.loads(json.dumps(wanted.options()))
    assert repr(given) == repr(wanted)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SGD(lr="0.1"), "lr must be zero or more, and finite, got '0.1'"),
        (lambda: SGD(lr=None), "lr must be zero or more, and finite, got None"),
        (lambda: SGD(lr=NAN), "lr must be zero or more, and finite, got nan"),
        (lambda: SGD(lr=INF), "lr must be zero or more, and finite, got inf"),
        (lambda: SGD(lr=True), "lr must be zero or more, and finite, got True"),
        (lambda: SGD(lr=10**400), "lr must be zero or more, and finite, got 1000"),
        (lambda: SGD(momentum=INF), "momentum must be zero or more, and finite, got inf"),
        (lambda: SGD(weight_decay=NAN), "weight_decay must be zero or more, and finite, got nan"),
        (lambda: SGD(clip_norm=INF), "clip_norm must be positive and finite, got inf"),
        (lambda: SGD(clip_norm=0), "clip_norm must be positive and finite, got 0"),
        (lambda: SGD(momentum=0.9, nesterov=1), "nesterov must be True or False, got 1"),
        (lambda: Adam(eps=0), "eps must be positive and finite, got 0"),
        (lambda: Adam(eps=INF), "eps must be positive and finite, got inf"),
        (lambda: Adam(betas=(0.9, 1)), "each of betas must be a number of at least 0 and less than 1, got 1"),
        (lambda: Adam(betas=("a", 0.9)), "each of betas must be a number of at least 0 and less than 1, got 'a'"),
        (lambda: Adam(betas=0.9), "betas must be two numbers, at least 0 and less than 1, got 0.9"),
        (lambda: RMSProp(alpha=1), "alpha must be a number of at least 0 and less than 1, got 1"),
        (lambda: RMSProp(eps=0), "eps must be positive and finite, got 0"),
        (lambda: RMSProp(momentum=-1), "momentum must be zero or more, and finite, got -1"),
        (lambda: RMSProp(weight_decay=INF), "weight_decay must be zero or more, and finite, got inf"),
        (lambda: RMSProp(centered=1), "centered must be True or False, got 1"),
        (lambda: RMSProp(clip_norm=0), "clip_norm must be positive and finite, got 0"),
        (lambda: CrossEntropy(label_smoothing=1.5), "label_smoothing must be a number between 0 and 1, got 1.5"),
        (
            lambda: CrossEntropy(weight=2.0),
            r"weight must be one number per class, got 2.0; pass a list with one weight per class, such as \[1, 5, 1\]",
        ),
        (lambda: CrossEntropy(weight={0: 1.0, 1: 5.0}), r"weight must be .*got \{0: 1.0, 1: 5.0\}; pass a list"),
        (lambda: CrossEntropy(weight={1.0, 5.0}), "weight must be .*pass a list with one weight per class"),
        (lambda: CrossEntropy(weight="12"), "weight must be .*got '12'; pass a list"),
        (lambda: CrossEntropy(weight=np.ones((1, 2))), "weight must be .*pass a list"),
        (lambda: CrossEntropy(weight=[[1], [2, 3]]), "each weight must be zero or more, and finite"),
        (lambda: CrossEntropy(weight=(1, -2)), "each weight must be zero or more, and finite, got -2"),
        (lambda: CrossEntropy(weight=(0, 0)), r"weight must have a class that counts, got \(0, 0\)"),
        (lambda: Hinge(0), "margin must be positive and finite, got 0"),
        (lambda: BatchNorm(eps="small"), "eps must be positive and finite, got 'small'"),
        (lambda: BatchNorm(momentum=None), r"momentum \(the weight of the new value\) must be .* 0 and 1, got None"),
        (lambda: BatchNorm(affine=None), "affine must be True or False, got None"),
        (
            lambda: BatchNorm(16),
            r"BatchNorm\(16\): the channels are inferred: write BatchNorm\(\); other options .* by name, such as eps",
        ),
        (lambda: LayerNorm(64), r"the channels are inferred: write LayerNorm\(\)"),
        (lambda: LayerNorm((3, 8, 8)), r"LayerNorm\(\(3, 8, 8\)\): the channels are inferred: write LayerNorm\(\)"),
        (lambda: InstanceNorm(16, affine=True), r"the channels are inferred: write InstanceNorm\(\)"),
        (lambda: GroupNorm(4, 16), r"GroupNorm\(4, 16\): the channels are inferred: write GroupNorm\(4\)"),
        (lambda: LayerNorm(eps=0), "eps must be positive and finite, got 0"),
        (lambda: LayerNorm(affine=1), "affine must be True or False, got 1"),
        (lambda: GroupNorm(0), "num_groups must be an integer of at least 1, got 0"),
        (lambda: GroupNorm(2, eps=NAN), "eps must be positive and finite, got nan"),
        (lambda: InstanceNorm(affine="no"), "affine must be True or False, got 'no'"),
        (lambda: Dropout2d(2), "must be a number between 0 and 1, got 2"),
        (lambda: Dropout("x"), r"p \(the probability of dropping a value\) must be a number between 0 and 1, got 'x'"),
        (lambda: LeakyReLU(INF), "negative_slope must be zero or more, and finite, got inf"),
        (lambda: LeakyReLU("steep"), "negative_slope must be zero or more, and finite, got 'steep'"),
        (lambda: Dropout(NAN), "must be a number between 0 and 1, got nan"),
        (lambda: Conv2d(2, 3, bias="no"), "bias must be True or False, got 'no'"),
        (lambda: Linear(2, bias=0), "bias must be True or False, got 0"),
        (lambda: MaxPool2d(2, ceil_mode="no"), "ceil_mode must be True or False, got 'no'"),
        (lambda: AvgPool2d(2, ceil_mode=0), "ceil_mode must be True or False, got 0"),
        (lambda: AvgPool2d(2, count_include_pad="no"), "count_include_pad must be True or False, got 'no'"),
        (lambda: Conv2d(2, 3, flip=1), "flip must be True or False, got 1"),
        (lambda: Conv1d(2, (3, 3)), r"kernel_size must be an integer of at least 1, got \(3, 3\)"),
        (
            lambda: Conv1d(2, 3, padding=(1, 2, 3)),
            r"of a sequence takes 1 or 2 \(left, right\) integers, got \(1, 2, 3\)",
        ),
        (lambda: Conv1d(2, 3, padding="half"), 'padding must be "same", "valid", "full", an integer'),
        (lambda: Conv1d(2, 3, padding=-1), "padding must be an integer of at least 0, got -1"),
        (lambda: Conv1d(2, 3, padding_mode="reflect"), "padding_mode must be one of .* got 'reflect'"),
        (lambda: Conv1d(3, 3, groups=2), "out_channels 3 does not divide by groups 2"),
        (lambda: Conv1d(2, 3, algorithm="winograd"), "for square filters on images; use algorithm='auto'"),
        (lambda: MaxPool1d(2, padding=2), "exceeds half of the window"),
        (lambda: MaxPool1d(2, padding="full"), 'padding must be "same", "valid", an integer'),
        (lambda: AvgPool1d(2, ceil_mode=0), "ceil_mode must be True or False, got 0"),
        (lambda: ConvTranspose2d(2, 3, padding="same"), "padding must be an integer, a pair or a 4-tuple, got 'same'"),
        (lambda: ConvTranspose2d(2, 3, output_padding=1), r"must be less than the stride \(1, 1\) on both axes"),
        (lambda: ConvTranspose2d(3, 3, groups=2), "out_channels 3 does not divide by groups 2"),
        (lambda: ConvTranspose2d(2, 4, algorithm="winograd"), "needs a kernel of 3x3 or 5x5"),
        (lambda: ConvTranspose2d(2, 3, algorithm="im2col"), "algorithm must be one of .* got 'im2col'"),
        (lambda: ConvTranspose2d(2, 3, activation="tanh"), "activation must be one of .* got 'tanh'"),
        (lambda: Pad2d("same"), "padding must be an integer, a pair or a 4-tuple, got 'same'"),
        (lambda: Pad2d(1, "replicate"), "mode must be one of .* got 'replicate'"),
        (lambda: Upsample(1.5), "scale_factor must be an integer or a pair .* got 1.5"),
        (lambda: Upsample(0), "scale_factor must be an integer of at least 1, got 0"),
        (lambda: AvgPool2d(2, divisor_override="3"), "divisor_override must be an integer of at least 1, got '3'"),
    ],
)
def test_a_wrong_option_is_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


LAYERS = [
    lambda name: Conv2d(2, 3, name=name),
    lambda name: Linear(2, name=name),
    lambda name: MaxPool2d(2, name=name),
    lambda name: AvgPool2d(2, name=name),
    lambda name: BatchNorm(name=name),
    lambda name: LayerNorm(name=name),
    lambda name: GroupNorm(2, name=name),
    lambda name: InstanceNorm(name=name),
    lambda name: Dropout(name=name),
    lambda name: Dropout2d(name=name),
    lambda name: GlobalMaxPool2d(name=name),
    lambda name: ReLU(name=name),
    lambda name: Flatten(name=name),
]


@pytest.mark.parametrize("make", LAYERS)
def test_names_of_layers(make):
    assert make("stem").name == "stem"
    for name in 5, "", "a.b":
        with pytest.raises(OptionError, match=f"the name of a layer must be a string without .* got {name!r}"):
            make(name)
    for name in "input", "labels", "optimizer", "optimizer2":
        with pytest.raises(OptionError, match=f"the name '{name}' is reserved: .* choose another name"):
            make(name)


@pytest.mark.parametrize(
    "bounds, words",
    [
        ({}, "a finite number"),
        ({"least": 0}, "zero or more, and finite"),
        ({"least": 2}, "a number of at least 2, and finite"),
        ({"above": 0}, "positive and finite"),
        ({"above": 3}, "a number above 3, and finite"),
        ({"most": 1}, "a number of at most 1, and finite"),
        ({"below": 1}, "a number less than 1, and finite"),
        ({"least": 0, "most": 1}, "a number between 0 and 1"),
        ({"least": 0, "below": 1}, "a number of at least 0 and less than 1"),
        ({"above": 0, "most": 1}, "a number above 0 and at most 1"),
        ({"above": 0, "below": 1}, "a number above 0 and less than 1"),
    ],
)
def test_the_range_of_a_number_is_said(bounds, words):
    with pytest.raises(OptionError, match=f"^it must be {words}, got nan$"):
        number(NAN, "it", **bounds)
    for value in bounds.values():
        outside = value - 1 if bounds.keys() & {"least", "above"} and value == min(bounds.values()) else value + 1
        with pytest.raises(OptionError, match=f"^it must be {words}, got {outside}$"):
            number(outside, "it", **bounds)
