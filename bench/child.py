"""A process of its own that trains a net and reports on itself.

``bench.child.main()``, with ``nbconv lenet 64 10 cpu`` on the command line: library, net, batch, steps, device,
threads if given. It imports nothing before the library whose start is measured.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter, time


def main() -> None:
    library, name, batch, steps, device, *threads = sys.argv[1:]
    began = perf_counter()
    if library == "nbconv":
        import nbconv  # noqa: F401
    else:
        import torch  # noqa: F401
    imported = perf_counter() - began
    before = resident()
    step = (_nbconv if library == "nbconv" else _torch)(name, int(batch), device, *map(int, threads))
    loss = step()
    now = time()
    for _ in range(int(steps) - 1):
        step()
    said = {"first_step_at": now, "import_seconds": imported, "loss": loss}
    print(json.dumps({**said, "imported_bytes": before, "peak_bytes": resident()}))


def _nbconv(name: str, batch: int, device: str, threads: int | None = None):
    from .nbconv_nets import Trained
    from .nets import NETS, images

    return Trained(name, *images(NETS[name], batch), device=device, threads=threads).step


def _torch(name: str, batch: int, device: str, threads: int | None = None):
    import torch

    from .nets import NETS, images
    from .torch_nets import Trained

    if threads:
        torch.set_num_threads(threads)
    return Trained(name, *images(NETS[name], batch), torch.channels_last).step


def resident() -> int:
    """The most bytes that this process has had in memory so far.

    ``ru_maxrss`` counts what the parent had when it started this process, too; Linux tells the two apart.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        from resource import RUSAGE_SELF, getrusage

        return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
