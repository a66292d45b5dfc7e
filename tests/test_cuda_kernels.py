"""Every case on the cuda device, forward and backward, against the reference in float64: see ``conftest.py``.

A thread of the simulator takes microseconds per statement, so that most cases come in one dtype each.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from cases import CASES, DTYPES
from checking import check_both
from running import Bound, bits

from nbconv.engine.registry import open_device
from nbconv.errors import UnsupportedOp
from nbconv.reference.dropout import philox4x32

pytestmark = pytest.mark.cuda

FORCED = [case for case in CASES if getattr(case.op, "algorithm", None) in ("winograd", "im2col")]
PLAIN = [case for case in CASES if case not in FORCED]
LITTLE = 20_000
"""Operations of a case that is cheap enough to come in both dtypes."""


def work(case):
    """Operations of forward, and elements it moves, at all steps."""
    return case.steps * (case.op.flops(*case.shapes) + case.op.elements_moved(*case.shapes))


def kind(case):
    """What kernels depend on: the op, operands that it may lack, and options that choose among them."""
    choices = [getattr(case.op, name, None) for name in ("activation", "bias", "affine", "training", "mode")]
    operands = [bool(getattr(case.op, name, None)) for name in ("pool", "momentum", "weight")]
    return (type(case.op), *choices, *operands)


def one_of_each(cases):
    """Of each kind, the case with the most work that is still cheap."""
    chosen = {kind(case): case for case in sorted(cases, key=work, reverse=True)}  # or else the cheapest
    chosen |= {kind(case): case for case in sorted(cases, key=work) if work(case) < LITTLE}
    return list(chosen.values())


RUNS = [
    pytest.param(case, dtype, id=f"{case}-{dtype}")
    for i, case in enumerate(PLAIN)
    for dtype in (DTYPES if work(case) < LITTLE else [DTYPES[i % 2]])
]
one_case_of_each_kind = pytest.mark.parametrize("case", one_of_each(PLAIN), ids=str)


@pytest.mark.parametrize("case, dtype", RUNS)
def test_equals_reference(case, dtype):
    check_both(case, "cuda", dtype)


@pytest.mark.parametrize("case", one_of_each(c for c in PLAIN if c.op.differentiable), ids=str)
def test_unwanted_gradients(case):
    """Each gradient alone is the same, to the last bit, as all together."""
    bound = Bound(case, "cuda", "float32")
    bound.forward()
    together = bound.backward()
    for name in together:
        assert bits(bound.backward(wanted=[name])) == bits({name: together[name]})


@one_case_of_each_kind
def test_same_bits_again_and_in_any_order(case):
    """Also where blocks and threads take turns from the last to the first, and no index may be negative."""
    bound = Bound(case, "cuda", "float32")
    results, gradients = [], []
    for way in (nullcontext, nullcontext, _strict()):
        with way():
            results.append(bits(bound.forward()))
            gradients.append(bits(bound.backward()) if case.op.differentiable else {})
    assert results[0] == results[1] == results[2]
    assert gradients[0] == gradients[1] == gradients[2]


def _strict():
    from nbconv.cuda.kernel import SIMULATED

    if not SIMULATED:
        return nullcontext  # a GPU has an order of its own
    from nbconv.cuda.simulator import strict

    return strict


@pytest.mark.parametrize("case", FORCED, ids=str)
def test_a_forced_algorithm_is_refused(case):
    message = rf"{type(case.op).__name__}.*{case.op.algorithm}.*cuda.*algorithm=\"auto\""
    with pytest.raises(UnsupportedOp, match=message):
        Bound(case, "cuda", "float32").forward()


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_other_algorithms_are_the_plain_one(algorithm):
    case = next(case for case in PLAIN if getattr(case.op, "algorithm", None) == "direct")
    case = case._replace(op=replace(case.op, algorithm=algorithm))
    check_both(case, "cuda", "float32")


def test_the_generator_has_the_words_of_its_authors():
    """The known answers of Random123's kat_vectors, and others that the reference gives."""
    known = {
        (0, 0, 0, 0): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        (2**64 - 1, -1, -1, -1): "408f276d 41c83b0e a20bc7c6 6d5451fd",
        (0x85A308D3243F6A88, 0x13198A2E, 0x03707344, 0x299F31D0A4093822): "d16cfe09 94fdcceb 5001e420 24126ea1",
    }
    for (quad, step, node, seed), words in known.items():
        assert _words(quad, step, node, seed) == [int(word, 16) for word in words.split()]
    low = 0xFFFFFFFF
    for quad, step, node, seed in ((7, 2**40 + 3, 11, 2**33 + 1), (2**32 + 5, 1, low, 2**62 + 12345)):
        words = philox4x32((quad & low, quad >> 32, step & low, node), (seed & low, seed >> 32))
        assert _words(quad, step, node, seed) == [int(word) for word in words]


def _words(quad, step, node, seed):
    from cuda_kernels import four_words

    memory = open_device("cuda").memory
    rng, out = memory.put(np.array([seed, step, node])), memory.put(np.zeros(4, np.uint64))
    memory.sequence([four_words[1, 1](rng, np.uint64(quad), out)])()
    memory.synchronize()
    return memory.get(out).tolist()
