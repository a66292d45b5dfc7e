"""Every case, on every device, forward and backward, against the reference in float64.

The reference itself is among the devices: in float64 that compares it with itself, and checks no more than the harness.
What holds the reference to account is ``test_reference.py``, ``test_oracles.py`` and ``test_gradients.py``.
"""

import pytest
from cases import CASES, DTYPES
from checking import check_backward, check_forward
from running import Bound, bits

from nbconv.engine.bind import gradient_names
from nbconv.engine.registry import DEVICES

THREADS = (1, 2)

every_case = pytest.mark.parametrize("case", CASES, ids=str)
differentiable = pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=str)
every_device = pytest.mark.parametrize("device", DEVICES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@both_dtypes
@every_device
@every_case
def test_forward_equals_reference(case, device, dtype):
    check_forward(case, device, dtype)


@both_dtypes
@every_device
@differentiable
def test_backward_equals_reference(case, device, dtype):
    check_backward(case, device, dtype)


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
    if case.differentiable:
        gradients = [bits(bound.backward(None, threads, calls)) for threads in THREADS for calls in (1, 2)]
        assert all(result == gradients[0] for result in gradients)


@every_case
def test_case_is_what_it_says(case):
    """A case's values are the same each time, and reach the kernel."""
    first, second = (case.operands("float32") for _ in range(2))
    assert bits(first) == bits(second)
    assert set(case.op.input_names()) <= set(first)
    assert {name for name in gradient_names(case.op) if name in case.op.input_names()} <= set(first)
