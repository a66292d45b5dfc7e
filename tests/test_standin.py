"""What the host asks a GPU for, seen by a driver library with no GPU behind it: a pytest run in its own process."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import standin

NEEDED = ("numba_cuda", "cupy", "cuda.core")


def _lacking():
    """Why there can be no such run here; with NBCONV_REQUIRE_STANDIN=1 there must be one."""
    missing = [name for name in NEEDED if not find_spec(name.partition(".")[0]) or not find_spec(name)]
    if missing:
        return f"needs the packages of pip install nbconv[cuda13]: {', '.join(missing)} missing"
    if sys.platform != "linux":
        return "the stand-in driver is a Linux library"
    return None if standin.compiler() else "needs a C compiler, for the stand-in driver"


def test_the_host_side_over_the_stand_in_driver(tmp_path):
    if reason := _lacking():
        assert not os.environ.get("NBCONV_REQUIRE_STANDIN"), reason
        pytest.skip(reason)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(standin.HERE)]
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    run = subprocess.run(
        command, env={**environment, **standin.build(tmp_path)}, capture_output=True, text=True, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
