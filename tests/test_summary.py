"""The summary of a net: the material's own numbers, the table, and plain data."""

import json

import pytest

from nbconv import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, zoo
from nbconv.errors import OptionError

COURSE = [Conv2d(10, 3, padding=1), MaxPool2d(2), Conv2d(10, 3, padding=1), MaxPool2d(2), Flatten(), Linear(3)]
"""CONV3-10, POOL2, CONV3-10, POOL2, FLATTEN, FC-3 of CS 182, on 28x28x1."""


def net(*layers, **options):
    return Sequential(*(layers or COURSE), **{"input_shape": (1, 28, 28), "device": "reference", **options})


def column(summary, name):
    return [getattr(row, name) for row in summary.rows[1:]]


def test_the_material_s_table():
    summary = net().summary(print=False)
    assert column(summary, "parameters") == [100, 0, 910, 0, 0, 1473]
    assert column(summary, "shape") == [(10, 28, 28), (10, 14, 14), (10, 14, 14), (10, 7, 7), (490,), (3,)]
    assert column(summary, "macs") == [784 * 10 * 9, 0, 196 * 10 * 90, 0, 0, 490 * 3]
    assert column(summary, "activation_bytes") == [4 * n for n in (7840, 1960, 1960, 490, 490, 3)]
    assert column(summary, "receptive_field") == [(n, n) for n in (3, 4, 8, 10, 28, 28)]
    assert column(summary, "jump") == [(n, n) for n in (1, 2, 2, 4, 0, 0)]
    assert column(summary, "first_centre") == [(n, n) for n in (0.5, 1, 1, 2, 14, 14)]
    assert (summary.parameters, summary.macs) == (2483, 70_560 + 176_400 + 1470)
    assert summary.activation_bytes == 4 * (784 + 7840 + 1960 + 1960 + 490 + 490 + 3)


def test_shapes_and_bytes_follow_the_model():
    summary = net(input_shape=(28, 28, 1), data_format="NHWC", dtype="float64").summary(print=False)
    assert summary.rows[0].shape == (28, 28, 1) and summary.rows[1].shape == (28, 28, 10)
    assert summary.rows[1].activation_bytes == 8 * 7840


def test_a_convolution_counts_as_in_the_notes():
    """CS231n: ten 5x5 filters on 32x32x3 have 760 parameters; 96 of 11x11 at stride 4 make 55x55x96 of 227x227x3."""
    assert net(Conv2d(10, 5, padding=2), input_shape=(3, 32, 32)).summary(print=False).parameters == 760
    row = net(Conv2d(96, 11, stride=4), input_shape=(3, 227, 227)).summary(print=False).rows[1]
    assert row.shape == (96, 55, 55) and row.macs == 55 * 55 * 96 * 363


def test_it_is_printed_once_and_returned(capsys):
    summary = net().summary()
    assert capsys.readouterr().out == f"{summary}\n"
    assert net().summary(print=False) == summary
    assert capsys.readouterr().out == ""
    assert repr(summary) == "<Summary of 6 layers: 2,483 parameters, 248,430 multiply-adds>"
    with pytest.raises(OptionError, match="print must be True or False, got 'no'"):
        net().summary(print="no")


def test_the_table():
    head, rule, *lines, second_rule, total = str(net().summary(print=False)).splitlines()
    assert " ".join(head.split()) == "layer kind output parameters multiply-adds bytes field jump centre"
    assert set(rule) == set(second_rule) == {"-"}
    assert " ".join(lines[0].split()) == "input Input 1x28x28 0 0 3,136 1 1 0.5"
    assert " ".join(lines[4].split()) == "3 MaxPool2d(2) 10x7x7 0 0 1,960 10 4 2"
    assert " ".join(total.split()) == "total 2,483 248,430 54,108"


def test_uneven_windows_are_shown_in_full():
    line = str(net(Conv2d(2, (3, 1), stride=(2, 1))).summary(print=False)).splitlines()[3]
    assert line.split()[-3:] == ["3x1", "2x1", "1.5x0.5"]


def test_nets_on_vectors_see_no_image():
    summary = net(Linear(4), ReLU(), input_shape=(6,)).summary(print=False)
    assert column(summary, "receptive_field") == [(), ()]
    assert " ".join(str(summary).splitlines()[3].split()) == "0 Linear(4) 4 28 24 16"


@pytest.mark.parametrize("build", [zoo.ResNet20, zoo.CIFARNet, zoo.digits_net])
def test_the_table_fits_a_terminal(build):
    text = str(build(device="reference").summary(print=False))
    assert max(map(len, text.splitlines())) <= 120
    assert "Conv2d(" in text


def test_plain_data_is_json():
    data = net().summary(print=False).as_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["parameters"], data["macs"], data["activation_bytes"]) == (2483, 248_430, 54_108)
    assert data["layers"][2] == {
        "name": "1",
        "layer": "MaxPool2d(2)",
        "shape": [10, 14, 14],
        "parameters": 0,
        "macs": 0,
        "activation_bytes": 7840,
        "receptive_field": [4, 4],
        "jump": [2, 2],
        "first_centre": [1, 1],
    }
