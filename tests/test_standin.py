"""What the host asks a GPU for, seen by a driver library with no GPU behind it: a pytest run in its own process."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import standin

NEEDED = ("numba_cuda", "cupy", "cuda.core")


def _lacking():
    """Why there can be no such run here."""
    missing = [name for name in NEEDED if not find_spec(name.partition(".")[0]) or not find_spec(name)]
    if missing:
        return f"needs the packages of pip install nbconv[cuda13]: {', '.join(missing)} missing"
    if sys.platform != "linux":
        return "the stand-in driver is a Linux library"
    return None


def test_the_host_side_over_the_stand_in_driver(tmp_path):
    if reason := _lacking():
        pytest.skip(reason)
    if not standin.compiler():
        assert not os.environ.get("NBCONV_REQUIRE_CC"), "NBCONV_REQUIRE_CC is set, and there is no C compiler"
        pytest.skip("needs a C compiler, for the stand-in driver")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(standin.HERE)]
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    run = subprocess.run(
        command, env={**environment, **standin.build(tmp_path)}, capture_output=True, text=True, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
