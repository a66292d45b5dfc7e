"""The library that starts threads: which one is taken, and that results do not depend on it."""

import platform
import sys

import pytest
from processes import python, succeeds

from nbconv.cpu import threads

has_tbb = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="tbb has no wheels for this machine"
)
"""Elsewhere it is a dependency of nbconv, and must be installed."""

NO_OPENMP = "import sys; sys.modules['numba.np.ufunc.omppool'] = None\n"
NO_TBB = "import importlib.metadata as m; m.files = lambda name: None\n"
COMPUTE = """
for op in OPS:
    call, out = bound(op, SHAPE)
    call()
    print(out.tobytes().hex()[::1001])
print(cpu.device.describe()["threading layer"])
"""


def compute(before="", layer="default"):
    """Return what kernels compute, and what ``nbconv doctor`` says of the layer that ran them."""
    *results, described = succeeds(COMPUTE, before=before, NUMBA_THREADING_LAYER=layer).splitlines()
    return results, described


@has_tbb
def test_without_openmp_tbb_starts_threads_and_computes_the_same():
    results, layer = compute(NO_OPENMP)
    assert layer == "tbb", "pip install tbb"
    assert results == compute()[0]


@pytest.mark.skipif(not threads._has_openmp(), reason="no OpenMP is installed here")
def test_openmp_comes_first_where_there_is_one():
    assert compute()[1] == "omp"


@has_tbb
def test_tbb_is_loaded_if_it_is_asked_for():
    assert compute(layer="tbb")[1] == compute(layer="safe")[1] == "tbb"


@pytest.mark.parametrize(
    "before, layer", [(NO_OPENMP + NO_TBB, "default"), (NO_OPENMP, "workqueue"), ("", "workqueue")]
)
def test_workqueue_is_the_last_resort_or_the_users_choice(before, layer):
    _, described = compute(before, layer)
    assert described.startswith("workqueue: ")
    assert "libgomp1 on Debian" in described and "pip install tbb" in described


def test_a_choice_that_cannot_be_met_is_said():
    why = succeeds("print(cpu.device.available())", before=NO_OPENMP, NUMBA_THREADING_LAYER="omp")
    assert why.startswith("Numba can start no threads: No threading layer could be loaded")


@pytest.mark.skipif(not threads._has_openmp(), reason="no OpenMP is installed here")
@pytest.mark.parametrize(
    "chosen, spins", [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_threads_that_wait_let_go_of_the_core_soon(chosen, spins):
    """libgomp says which count it took; the environment is left as it was."""
    code = "import os; print([os.environ.get(name) for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')])"
    result = python(code, OMP_DISPLAY_ENV="verbose", **chosen)
    assert f"GOMP_SPINCOUNT = '{spins}'" in result.stderr
    assert result.stdout.strip() == str([chosen.get(name) for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")])
