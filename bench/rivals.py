"""Who is measured beside nbconv. Who is not installed is named, and left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

from nbconv.engine.registry import Device
from nbconv.errors import OptionError

INSTALL = {"torch": "pip install torch", "jax": "pip install 'jax[cpu]'"}
RIVALS = (*INSTALL, "reference", "naive")
"""PyTorch, JAX, nbconv's plain NumPy device, and textbook loops compiled for one thread (``naive.py``)."""


def choose(against: str | None, device: str = "cpu") -> tuple[tuple[str, ...], list[str]]:
    """Return the rivals of a list such as "torch,jax" that are here, and a sentence about each that is not.

    On a GPU, PyTorch alone is a rival, if it finds the GPU, too. Raises ``OptionError`` for a name that is no rival.
    """
    names = [name.strip() for name in (against or "").split(",") if name.strip()]
    unknown = [name for name in names if name not in RIVALS]
    if unknown:
        raise OptionError(f"--against must be some of {', '.join(RIVALS)}, got {', '.join(unknown)}")
    absent = [name for name in names if name in INSTALL and find_spec(name) is None]
    said = [f"{name} is not installed, and left out; {INSTALL[name]}" for name in absent]
    if device.startswith("cuda"):
        here = [name for name in names if name not in absent]
        on_host = [name for name in here if name != "torch"]
        said += [f"{name} is left out: it does not run on the GPU here" for name in on_host]
        absent += on_host
        if "torch" in here and not _torch_finds_gpu():
            said.append("torch is left out: PyTorch finds no GPU; install a build of it for CUDA (pytorch.org)")
            absent.append("torch")
    return tuple(dict.fromkeys(name for name in names if name not in absent)), said


def _torch_finds_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def finish(device: Device, rivals: tuple[str, ...]) -> Callable[[], object] | None:
    """Return what waits for all that was launched on a GPU; ``None`` where calls return when their work is done."""
    if device.name != "cuda":
        return None
    if "torch" not in rivals:
        return device.memory.synchronize
    import torch

    def wait():
        device.memory.synchronize()
        torch.cuda.synchronize(device.index)

    return wait


def prepare(rivals: tuple[str, ...], threads: int) -> None:
    """Give rivals as many threads as nbconv has."""
    if "torch" in rivals:
        import torch

        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True  # it may choose, and compute in float32, as nbconv does
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if "jax" in rivals:
        os.environ.setdefault("NPROC", str(threads))  # the size of XLA's thread pool, read when it is made


def begin(name: str, threads: int) -> None:
    """Give PyTorch its threads again: where the two share OpenMP, each parallel loop of Numba's sets them anew."""
    if name.split()[0] in ("torch", "naive-torch"):
        import torch

        torch.set_num_threads(threads)


def versions(rivals: tuple[str, ...]) -> dict[str, str]:
    """The versions of those that are measured."""
    return {name: version(name) for name in rivals if name in INSTALL}
