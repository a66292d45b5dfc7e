"""Kernels compiled for older processors than this one, against the reference.

A part of the cases; all of them, in both dtypes, where ``NBCONV_EVERY_CASE=1`` is set, as ``.ci/run`` does.
"""

import os
import platform
from pathlib import Path

import pytest
from processes import output, start

EVERY_CASE = os.environ.get("NBCONV_EVERY_CASE") == "1"
SSE = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt"
PROCESSORS = {
    "haswell": (SSE + ",+avx,+avx2,+fma,+bmi,+bmi2,+f16c", 256),
    "nehalem": (SSE, 128),
}
"""By LLVM's name: a processor without AVX-512 and one without AVX, their features, and the width of their vectors."""

CHECK = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from itertools import groupby
from cases import CASES, DTYPES
from checking import check_backward, check_forward
from nbconv.cpu.vector import VECTOR_BITS

every_case = {EVERY_CASE}
by_op = [list(cases) for _, cases in groupby(CASES, key=lambda case: type(case.op))]
cases = CASES if every_case else [case for listed in by_op for case in listed[::4]]
for case in cases:
    for dtype in DTYPES if every_case else DTYPES[:1]:
        try:
            check_forward(case, "cpu", dtype)
            if case.differentiable:
                check_backward(case, "cpu", dtype)
        except AssertionError as error:
            raise AssertionError(f"{{case}} in {{dtype}}") from error
print(VECTOR_BITS, len(cases) > 40)
"""


@pytest.fixture(scope="module")
def running():
    """A process for each processor, at the same time: most of what they do is to compile."""
    environments = {
        name: {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_NUM_THREADS": "1"}
        for name, (features, _) in PROCESSORS.items()
    }
    processes = {name: start(CHECK, **environment) for name, environment in environments.items()}
    yield processes
    for process in processes.values():
        process.kill()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these processors are x86-64")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_kernels_on(processor, running):
    assert output(running[processor]).split() == [str(PROCESSORS[processor][1]), "True"]
