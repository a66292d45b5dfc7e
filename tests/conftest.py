"""What must be settled before Numba is imported, and which tests run where.

Tests marked ``cuda`` compute on the cuda device. ``pytest -m cuda`` runs them: on the GPU, or in the simulator where
``NUMBA_ENABLE_CUDASIM=1`` is in the environment. Without ``-m cuda`` they are left out. ``NBCONV_REQUIRE_CUDA=1`` makes
failures of what would be skipped.
"""

import os

import devices
import pytest

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("NUMBA_NUM_THREADS", str(max(2, cores)))  # one core can tell, too, if results depend on threads

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"
REQUIRED = os.environ.get("NBCONV_REQUIRE_CUDA", "0") != "0"
HOW_TO_RUN_CUDA = "NUMBA_ENABLE_CUDASIM=1 pytest -m cuda (simulator), NBCONV_REQUIRE_CUDA=1 pytest -m cuda (GPU)"
LEFT_OUT = pytest.StashKey[int]()

collect_ignore = [] if SIMULATED else ["test_cuda_simulator.py"]  # there is no simulator to test


def pytest_addoption(parser):
    parser.addoption("--device", help="a device for the tests that are repeated on each: cuda, for example")


def pytest_configure(config):
    if config.option.device:
        devices.choose(config.option.device)


def pytest_collection_modifyitems(config, items):
    if "cuda" not in config.option.markexpr:
        left_out = {item for item in items if item.get_closest_marker("cuda")}
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.stash[LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"{count} tests of the cuda device were left out: {HOW_TO_RUN_CUDA}")


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and (problem := devices.cuda_problem()):
        (pytest.fail if REQUIRED else pytest.skip)(f"{problem}; {HOW_TO_RUN_CUDA}")
