"""What the course's four loops cost beside the functions that replace them, on its notebooks' own shapes.

``naive`` is ``conv_forward_naive`` and the others of ``nbconv.compat.cs231n``: loops of Python over NumPy arrays, as
CS231n has students write them. ``naive-torch`` runs the same loops over PyTorch's tensors, as EECS 498 does, whose
shape of the convolution this is. A residual is the largest difference from the naive result in float64, relative to its
largest number; of several gradients, that of the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from nbconv.compat import cs231n
from nbconv.compat.cs231n.naive_layers import convolve, convolve_back
from nbconv.engine.registry import open_device

from .arrays import residuals
from .machine import threads_of
from .rivals import begin
from .row import Row
from .timing import compare

CONV = {"N": 10, "C": 3, "H": 31, "W": 31, "K": 25, "R": 3, "S": 3, "stride": 2, "padding": 1}
POOL = {"N": 40, "C": 3, "H": 32, "W": 32, "R": 2, "S": 2, "stride": 2}
DTYPES = ("float64", "float32")


class Work(NamedTuple):
    """A fast and a naive function, forward and backward, and what both are given."""

    op: str
    shape: dict
    operands: Callable[[np.random.Generator], list[np.ndarray]]
    param: dict
    fast: tuple[Callable, Callable]
    naive: tuple[Callable, Callable]


class Bench:
    """``Bench().rows()`` yields a row per function, direction and dtype, whose rivals are the loops."""

    def __init__(self, *, device: str = "cpu", torch: bool = False, threads: int | None = None, seconds: float = 0.5):
        self._device, self._torch, self._seconds = device, torch, seconds
        self._threads = threads
        self._begin = partial(begin, threads=threads_of(threads))

    def rows(self) -> Iterator[Row]:
        """Measure every function, forward and backward, in both dtypes."""
        for work in (_conv(), _pool()):
            for dtype in DTYPES:
                yield from self._rows(work, dtype)

    def _rows(self, work: Work, dtype: str) -> Iterator[Row]:
        rng = np.random.default_rng(0)
        exact = [operand.astype(dtype).astype(np.float64) for operand in work.operands(rng)]
        given = [operand.astype(dtype) for operand in exact]
        out, cache = work.fast[0](*given, work.param, device=self._device)
        dout = rng.standard_normal(out.shape).astype(dtype)
        want, exact_cache = work.naive[0](*exact, work.param)
        wanted = {"forward": want, "backward": work.naive[1](dout.astype(np.float64), exact_cache)}
        _, naive_cache = work.naive[0](*given, work.param)
        calls = {
            "forward": {
                "nbconv": lambda: work.fast[0](*given, work.param, device=self._device)[0],
                "naive": lambda: work.naive[0](*given, work.param),
            },
            "backward": {
                "nbconv": lambda: work.fast[1](dout, cache, device=self._device),
                "naive": lambda: work.naive[1](dout, naive_cache),
            },
        }
        if self._torch and work.op == "conv":
            for direction, call in tensor_loops(given, work.param, dout).items():
                calls[direction]["naive-torch"] = call
        sequence = open_device(self._device).memory.sequence
        for direction, rivals in calls.items():
            got = _listed(rivals["nbconv"]())
            rivals["nbconv"] = sequence([rivals["nbconv"]], self._threads)
            _, residual = residuals([g.astype(np.float64) for g in got], _listed(wanted[direction]))
            timings = compare(rivals, self._seconds, self._begin)
            yield Row(
                op=work.op,
                shape=work.shape,
                direction=direction,
                timing=timings.pop("nbconv"),
                residual=residual,
                rivals=timings,
                extra={"dtype": dtype},
            )


def tensor_loops(operands, param, dout) -> dict[str, Callable]:
    """The calls of the convolution's loops on PyTorch's tensors, by direction; each returns what it computed."""
    import torch

    x, w, b = map(torch.from_numpy, operands)
    dout, pad, stride = torch.from_numpy(dout), param["pad"], param["stride"]

    def padded():
        return torch.nn.functional.pad(x, (pad, pad, pad, pad))

    def forward():
        out = torch.zeros(tuple(dout.shape), dtype=x.dtype)
        convolve(padded(), w, b, stride, out)
        return out

    def backward():
        source = padded()
        dsource, dw, db = torch.zeros_like(source), torch.zeros_like(w), torch.zeros_like(b)
        convolve_back(dout, source, w, stride, dsource, dw, db)
        return dsource[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db

    return {"forward": forward, "backward": backward}


def label(row: Row) -> str:
    """``10x3x31x31 k25 3x3/2 p1``, as in the shapes of the kernels' benchmark."""
    s = row.shape
    image = "x".join(str(s[name]) for name in "NCHW")
    filters = f" k{s['K']}" if "K" in s else ""
    return f"{image}{filters} {s['R']}x{s['S']}/{s['stride']}" + (f" p{s['padding']}" if "padding" in s else "")


def _conv() -> Work:
    s = CONV
    shapes = (s["N"], s["C"], s["H"], s["W"]), (s["K"], s["C"], s["R"], s["S"]), (s["K"],)
    return Work(
        "conv",
        s,
        lambda rng: [rng.standard_normal(shape) for shape in shapes],
        {"stride": s["stride"], "pad": s["padding"]},
        (cs231n.conv_forward_fast, cs231n.conv_backward_fast),
        (cs231n.conv_forward_naive, cs231n.conv_backward_naive),
    )


def _pool() -> Work:
    s = POOL
    return Work(
        "max pool",
        s,
        lambda rng: [rng.standard_normal(tuple(s[name] for name in "NCHW"))],
        {"pool_height": s["R"], "pool_width": s["S"], "stride": s["stride"]},
        (cs231n.max_pool_forward_fast, cs231n.max_pool_backward_fast),
        (cs231n.max_pool_forward_naive, cs231n.max_pool_backward_naive),
    )


def _listed(results) -> list[np.ndarray]:
    return list(results) if isinstance(results, tuple) else [results]
