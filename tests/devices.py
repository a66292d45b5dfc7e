"""Which devices tests are repeated for.

    @pytest.mark.parametrize("device", DEVICES)        # on each that every process can use
    @pytest.mark.parametrize("device", WITH_CUDA)      # and, in the runs of ``pytest -m cuda``, on cuda

``pytest --device cuda tests/test_model.py`` runs either on that device and the reference, whatever it takes.
"""

from functools import cache

import pytest

from nbconv.engine.registry import open_device
from nbconv.errors import NbconvError

DEVICES: tuple = ("reference", "cpu")
WITH_CUDA: tuple = (*DEVICES, pytest.param("cuda", marks=pytest.mark.cuda))


def choose(device: str) -> None:
    """Repeat tests on this device and the reference; to be said before any of them is imported."""
    global DEVICES, WITH_CUDA
    DEVICES = WITH_CUDA = ("reference", device)


@cache
def cuda_problem() -> str | None:
    """Why this process cannot use the cuda device, if so: with no GPU it needs the simulator, from the start."""
    try:
        return open_device("cuda").memory.available()
    except (ImportError, NbconvError) as error:
        return str(error)
