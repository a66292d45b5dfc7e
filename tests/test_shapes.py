"""Window arithmetic against counting one by one, and kernels on whatever shapes Hypothesis thinks of."""

import pytest
from cases import Case
from checking import check_backward, check_forward
from devices import DEVICES
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nbconv import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d, Pad2d
from nbconv.errors import OptionError, ShapeError

FEW = settings(max_examples=150, deadline=None, derandomize=True)
SHAPES_ONLY = settings(max_examples=500, deadline=None, derandomize=True)


def pairs(most):
    return st.tuples(st.integers(1, most), st.integers(1, most))


def paddings(most):
    return st.one_of(
        st.sampled_from(["same", "valid"]),
        st.integers(0, most),
        st.tuples(*[st.integers(0, most)] * 2),
        st.tuples(*[st.integers(0, most)] * 4),
    )


@st.composite
def convs(draw, channels):
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    return Conv2d(
        groups * draw(st.integers(1, 9)),
        draw(pairs(4)),
        draw(pairs(3)),
        draw(st.one_of(paddings(4), st.just("full"))),
        draw(pairs(3)),
        groups,
        draw(st.booleans()),
        draw(st.sampled_from(["zeros", "circular"])),
        draw(st.booleans()),
        activation=draw(st.sampled_from([None, "relu"])),
        pool=draw(
            st.sampled_from([None, MaxPool2d(2), MaxPool2d(3, stride=2, padding=1), MaxPool2d((1, 2), stride=1)])
        ),
    )


@st.composite
def pools(draw):
    options = dict(kernel_size=draw(pairs(4)), stride=draw(pairs(4)), padding=draw(paddings(2)))
    options["ceil_mode"] = draw(st.booleans())
    try:
        if draw(st.booleans()):
            return MaxPool2d(dilation=draw(pairs(3)), **options)
        divisor = draw(st.sampled_from([None, None, 3]))
        return AvgPool2d(count_include_pad=draw(st.booleans()), divisor_override=divisor, **options)
    except OptionError:  # more padding than half a window
        assume(False)


@st.composite
def conv_cases(draw):
    channels = draw(st.integers(1, 18))
    return Case(draw(convs(channels)), (*draw(st.tuples(*[st.integers(1, m) for m in (2, 8, 8)])), channels), "ties")


@st.composite
def transposed_cases(draw):
    channels, stride = draw(st.integers(1, 18)), draw(pairs(3))
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    op = ConvTranspose2d(
        groups * draw(st.integers(1, 9)),
        draw(pairs(4)),
        stride,
        draw(st.tuples(*[st.integers(0, 3)] * 4)),
        tuple(draw(st.integers(0, s - 1)) for s in stride),
        groups,
        draw(st.booleans()),
        draw(pairs(3)),
        activation=draw(st.sampled_from([None, "relu"])),
    )
    return Case(op, (*draw(st.tuples(*[st.integers(1, m) for m in (2, 6, 6)])), channels), "ties")


@st.composite
def pad_cases(draw):
    op = Pad2d(
        draw(st.tuples(*[st.integers(0, 4)] * 4)), draw(st.sampled_from(["zeros", "reflect", "edge", "circular"]))
    )
    return Case(op, draw(st.tuples(*[st.integers(1, m) for m in (2, 6, 6, 5)])), "ties")


@st.composite
def pool_cases(draw):
    return Case(draw(pools()), draw(st.tuples(*[st.integers(1, m) for m in (2, 8, 8, 5)])), "ties")


def count(size, kernel, stride, dilation, padding, ceil_mode):
    """How many windows there are on one axis, one by one; ``padding`` is (before, after), "same" or "full"."""
    if padding == "same":
        return len(range(0, size, stride))
    if padding == "full":
        return len(range(-(kernel - 1) * dilation, size, stride))
    before, after = padding
    covered = [t * dilation for t in range(kernel)][-1] + 1
    starts = range(-before, size + after, stride)
    windows = [start for start in starts if start + covered <= size + after]
    hanging = [start for start in starts if 0 < start + covered - (size + after) < stride and start < size]
    return len(windows) + (len(hanging) if ceil_mode else 0)


def counted(op, x, dilation, ceil_mode=False):
    """(H_out, W_out), counted."""
    paddings = [op.padding] * 2 if isinstance(op.padding, str) else [op.padding[:2], op.padding[2:]]
    return tuple(
        count(*axis, ceil_mode) for axis in zip(x[1:3], op.kernel_size, op.stride, dilation, paddings, strict=True)
    )


@SHAPES_ONLY
@given(case=pool_cases())
def test_pool_shapes_are_counted(case):
    op, x = case.op, case.x
    check_shape(op.out_shape, x, counted(op, x, getattr(op, "dilation", (1, 1)), op.ceil_mode), x[3])


@SHAPES_ONLY
@given(case=conv_cases())
def test_conv_shapes_are_counted(case):
    op, x = case.op, case.x
    if op.padding_mode == "circular" and any(p > x[1 + i // 2] for i, p in enumerate(op.pads(x))):
        with pytest.raises(ShapeError, match="wraps more than once"):
            op.conv_shape(x)
    else:
        check_shape(op.conv_shape, x, counted(op, x, op.dilation), op.out_channels)


def check_shape(out_shape, x, windows, channels):
    if 0 in windows:
        with pytest.raises(ShapeError, match="does not fit"):
            out_shape(x)
    else:
        assert out_shape(x) == (x[0], *windows, channels)


@pytest.mark.parametrize("device", [d for d in DEVICES if d != "reference"])
@FEW
@given(case=conv_cases(), dtype=st.sampled_from(["float32", "float64"]))
def test_convolutions_equal_the_reference(device, case, dtype):
    assume(fits(case))
    check_forward(case, device, dtype)
    check_backward(case, device, dtype)


@SHAPES_ONLY
@given(case=transposed_cases())
def test_transposed_convolution_makes_the_shape_that_its_convolution_takes(case):
    op, x = case.op, case.x
    assume(fits(case))
    assert op.as_conv2d(x[3]).conv_shape(op.out_shape(x)) == x


@pytest.mark.parametrize("device", [d for d in DEVICES if d != "reference"])
@FEW
@given(case=st.one_of(transposed_cases(), pad_cases()), dtype=st.sampled_from(["float32", "float64"]))
def test_transposed_convolutions_and_borders_equal_the_reference(device, case, dtype):
    assume(fits(case))
    check_forward(case, device, dtype)
    check_backward(case, device, dtype)


@pytest.mark.parametrize("device", [d for d in DEVICES if d != "reference"])
@FEW
@given(case=pool_cases(), dtype=st.sampled_from(["float32", "float64"]))
def test_pools_equal_the_reference(device, case, dtype):
    assume(fits(case))
    check_forward(case, device, dtype)
    check_backward(case, device, dtype)


def fits(case):
    try:
        case.op.out_shape(case.x)
    except ShapeError:
        return False
    return True
