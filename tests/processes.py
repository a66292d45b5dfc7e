"""Code run in processes of their own, for what a process does once: open a device, start threads, compile."""

import os
import subprocess
import sys

USE_KERNELS = """
import numpy as np
from nbconv import cpu
from nbconv.ops.activation import ReLU
from nbconv.ops.norm import BatchNorm
from nbconv.ops.pool import MaxPool2d

def bound(op, shape):
    x = cpu.device.put(np.random.default_rng(0).standard_normal(shape).astype("float32"))
    channels = {name: cpu.device.put(np.ones(shape[-1], "float32")) for name in op.params + op.state}
    saved = dict.fromkeys(op.saved)
    saved |= {name: cpu.device.empty(*b) for name, b in op.saved_shapes(shape).items()}
    out = cpu.device.empty(op.out_shape(shape), "float32")
    forward_scratch = cpu.SCRATCH.get(type(op), (None, None))[0]
    scratch = {}
    if forward_scratch:
        buffers = forward_scratch(op, "float32", shape)
        scratch = {"scratch": {name: cpu.device.empty(*b) for name, b in buffers.items()}}
    call = cpu.KERNELS[type(op)][0](op, x, *channels.values(), out=out, **saved, **scratch)
    return cpu.device.sequence([call]), out

SHAPE = 16, 32, 32, 16  # large enough for all threads
OPS = ReLU(), MaxPool2d(2), BatchNorm()
"""


def start(code, warnings="error", before="", **environment):
    """Begin to run code in a process of its own, ``before`` even before anything is imported."""
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", before + USE_KERNELS + code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(code, **options):
    """Run code as ``start`` does, to its end."""
    return _finished(start(code, **options))


def succeeds(code, **options):
    """Run code that must succeed; return what it prints."""
    return output(start(code, **options))


def output(process):
    """Wait for a process that must succeed; return what it prints."""
    result = _finished(process)
    assert result.returncode == 0, result.stderr
    return result.stdout


def _finished(process):
    try:
        printed = process.communicate(timeout=900)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, *printed)
