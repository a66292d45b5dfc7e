"""What the machine code of the cuda device's kernels takes of a GPU, found without one, and what was recorded."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

from nbconv.io.cache import COMPILERS
from nbconv.requirements import LIBRARIES

RECORDED = Path(__file__).parent / "recorded" / "machine_code.json"
HOW_TO_RECORD = "python tests/record_machine_code.py"

TARGETS = dict.fromkeys(("float32", "float64"), ((7, 5), (8, 0), (9, 0, "a"), (12, 0)))
"""By dtype: compute capabilities of a T4, an A100, an H100 and a GeForce RTX 50."""

NUMBERS = ("registers", "bytes of stack", "bytes of spills", "bytes of shared memory")
"""What is held for a kernel and a target: of a thread, and shared memory of a block."""

MARGIN = 8
"""How many more registers than recorded are no fault where other versions of the compilers are installed."""


def missing():
    """Why machine code cannot be made here; ``None`` if it can."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return "machine code is made outside the simulator"
    absent = [name for name in ("numba-cuda", "cuda-bindings") if not _installed(name)]
    absent += [f"CUDA's {name}" for name, packages in LIBRARIES.items() if not any(map(_installed, packages))]
    return f"{', '.join(absent)} not installed; pip install nbconv[cuda13] or nbconv[cuda12]" if absent else None


def toolchain():
    """The versions of the packages that make machine code."""
    return {name: _installed(name) for name in COMPILERS["cuda"] if _installed(name)}


def measure(processes=2):
    """Compile every kernel of every case, and return what each takes: numbers by target, by kernel and types."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_measure_part, range(processes), [processes] * processes))
    return dict(sorted(item for part in parts for item in part.items()))


def recorded():
    """Versions of the compilers, and what ``measure`` returned with them."""
    kept = json.loads(RECORDED.read_text(encoding="utf-8"))
    return kept["toolchain"], kept["kernels"]


def record(kernels):
    """Keep what ``measure`` returned, a line per kernel."""
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(targets)}" for name, targets in kernels.items())
    text = f'{{\n  "toolchain": {json.dumps(toolchain())},\n  "kernels": {{\n{lines}\n  }}\n}}\n'
    RECORDED.write_text(text, encoding="utf-8")


def excess(found, kept, margin):
    """What takes more than was recorded, in words; ``margin`` is how many more registers are no fault."""
    return [
        f"{kernel}, {target}: {number} {name}, {before} recorded"
        for kernel, targets in found.items()
        for target, numbers in targets.items()
        for name, number, before in zip(NUMBERS, numbers, kept[kernel][target], strict=True)
        if number > before + (margin if name == "registers" else 0)
    ]


def _measure_part(part, parts):
    """Every ``parts``-th kernel, in a process of its own, where Numba may be as slow and as big as it likes."""
    from launches import specialisations

    from nbconv.cuda.compiler import architecture, compile_kernel

    jobs = [(name, dtype, *what) for dtype, kernels in specialisations().items() for name, what in kernels.items()]
    return {
        name: {architecture(target): [*compile_kernel(kernel, types, target)[1]] for target in TARGETS[dtype]}
        for name, dtype, kernel, types in jobs[part::parts]
    }


def _installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
