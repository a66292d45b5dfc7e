"""Every case, on every device, forward and backward, against the reference in float64."""

import numpy as np
import pytest
from cases import CASES, DTYPES, Case, tolerance
from running import Bound, bits, distance, exact

from nbconv.engine.bind import gradient_names
from nbconv.engine.registry import DEVICES
from nbconv.ops.conv import Conv2d

THREADS = (1, 2)

every_case = pytest.mark.parametrize("case", CASES, ids=str)
differentiable = pytest.mark.parametrize("case", [c for c in CASES if c.op.differentiable], ids=str)
every_device = pytest.mark.parametrize("device", DEVICES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@both_dtypes
@every_device
@every_case
def test_forward_equals_reference(case, device, dtype):
    got, want = Bound(case, device, dtype).forward(), exact(case, dtype).forward()
    assert got.keys() == want.keys()
    if isinstance(case.op, Conv2d) and case.op.pool:
        check_winners(case, dtype, got.pop("argmax"), want.pop("argmax"))
    check(case, dtype, got, want)


@both_dtypes
@every_device
@differentiable
def test_backward_equals_reference(case, device, dtype):
    bound, reference = Bound(case, device, dtype), exact(case, dtype)
    reference.adopt(bound.forward())
    got, want = bound.backward(), reference.backward()
    assert got.keys() == want.keys()
    check(case, dtype, got, want)


@both_dtypes
@every_device
@differentiable
def test_unwanted_gradients(case, device, dtype):
    """Each gradient alone is the same, to the last bit, as all together."""
    bound = Bound(case, device, dtype)
    bound.forward()
    together = bound.backward()
    for name in together:
        assert bits(bound.backward(wanted=[name])) == bits({name: together[name]})


@both_dtypes
@every_device
@every_case
def test_same_bits_again_and_for_any_number_of_threads(case, device, dtype):
    bound = Bound(case, device, dtype)
    results = [bits(bound.forward(threads, calls)) for threads in THREADS for calls in (1, 2)]
    assert all(result == results[0] for result in results)
    if case.op.differentiable:
        gradients = [bits(bound.backward(None, threads, calls)) for threads in THREADS for calls in (1, 2)]
        assert all(result == gradients[0] for result in gradients)


@every_case
def test_case_is_what_it_says(case):
    """A case's values are the same each time, and reach the kernel."""
    first, second = (case.operands("float32") for _ in range(2))
    assert bits(first) == bits(second)
    assert set(case.op.inputs) <= set(first)
    assert {name for name in gradient_names(case.op) if name in case.op.inputs} <= set(first)


def check(case: Case, dtype: str, got: dict, want: dict) -> None:
    distances = {name: distance(got[name], want[name]) for name in want}
    assert max(distances.values()) <= tolerance(case, dtype), distances


def check_winners(case: Case, dtype: str, got: np.ndarray, want: np.ndarray) -> None:
    """Another winner is right only where rounding decides: where it is a little less, by the reference."""
    op = case.op
    unpooled = exact(Case(Conv2d(**{**op.options(), "pool": None}), case.x, case.values), dtype).forward()["out"]
    n, i, j, k = np.nonzero(got != want)
    value = {}
    for name, argmax in ("got", got), ("want", want):
        r, s = np.divmod(argmax[n, i, j, k].astype(int), op.pool.kernel_size[1])
        top, _, left, _ = op.pool.pads(unpooled.shape)
        h = i * op.pool.stride[0] + r * op.pool.dilation[0] - top
        w = j * op.pool.stride[1] + s * op.pool.dilation[1] - left
        assert (h >= 0).all() and (w >= 0).all()
        value[name] = unpooled[n, h, w, k]
    assert (value["got"] < value["want"]).all()
    assert (value["want"] - value["got"] <= tolerance(case, dtype) * np.abs(unpooled).max()).all()
