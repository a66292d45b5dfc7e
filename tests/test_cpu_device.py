"""The CPU device beside its kernels: threads, memory, and where machine code is kept."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from nbconv.cpu import compile as compiling
from nbconv.cpu import device, vector
from nbconv.errors import OptionError

MOST = numba.config.NUMBA_NUM_THREADS

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


def python(code, warnings="error", **environment):
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", warnings, "-c", USE_KERNELS + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def succeeds(code, **environment):
    result = python(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("shape", [(), (1,), (3, 5, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_memory_is_aligned(shape, dtype):
    array = device.empty(shape, dtype)
    assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
    assert array.ctypes.data % 64 == 0


def test_put_and_get_copy():
    given = np.arange(12.0).reshape(3, 4).T
    array = device.put(given)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, given)
    got = device.get(array)
    got[...] = 0
    np.testing.assert_array_equal(array, given)


def test_sequence_keeps_order():
    done = []
    device.sequence([lambda: done.append(1), lambda: done.append(2)])()
    assert done == [1, 2]


@pytest.mark.parametrize("threads", range(1, MOST + 1))
def test_sequence_has_its_threads_and_gives_them_back(threads):
    seen, before = [], numba.get_num_threads()
    device.sequence([lambda: seen.append(numba.get_num_threads())], threads)()
    assert seen == [threads] and numba.get_num_threads() == before


def test_threads_are_given_back_after_an_error():
    def fail():
        raise RuntimeError("on purpose")

    before = numba.get_num_threads()
    with pytest.raises(RuntimeError, match="on purpose"):
        device.sequence([fail], 1)()
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, -1, MOST + 1, 1.5, "2", True])
def test_impossible_thread_counts(threads):
    with pytest.raises(OptionError, match=f"from 1 to {MOST}.*NUMBA_NUM_THREADS"):
        device.sequence([], threads)


def test_workqueue_sequences_take_turns():
    """Numba's workqueue ends the process when two Python threads start parallel loops at once."""
    assert "all equal" in succeeds(
        """
from threading import Barrier, Thread
import numba
alone = [[(call(), out.copy())[1] for call, out in [bound(op, SHAPE)]][0] for op in OPS]
assert cpu.device.threading_layer() == "workqueue"
start, failed = Barrier(2), []

def work():
    mine = [bound(op, SHAPE) for op in OPS]
    start.wait()
    for _ in range(100):
        for (call, out), want in zip(mine, alone):
            out[...] = np.nan
            call()
            if not np.array_equal(out, want):
                failed.append(out)

workers = [Thread(target=work) for _ in range(2)]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert not failed
print("all equal")
""",
        NUMBA_THREADING_LAYER="workqueue",
    )


def test_workqueue_sequence_inside_a_sequence(monkeypatch):
    monkeypatch.setattr(device, "threading_layer", lambda: "workqueue")
    done = []
    inner = device.sequence([lambda: done.append(1)])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(device.sequence([inner])).result(timeout=10)
    assert done == [1]


def test_workqueue_lock_is_shared(monkeypatch):
    """A second thread's sequence waits until the first one's is done."""
    monkeypatch.setattr(device, "threading_layer", lambda: "workqueue")
    inside, leave, done = threading.Event(), threading.Event(), []

    def first():
        inside.set()
        assert leave.wait(10)
        done.append("first")

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(device.sequence([first]))]
        assert inside.wait(10)
        jobs.append(pool.submit(device.sequence([lambda: done.append("second")])))
        leave.set()
        for job in jobs:
            job.result(timeout=10)
    assert done == ["first", "second"]


@pytest.mark.parametrize(
    "features, bits", [("", 128), ("+sse2,-avx2", 128), ("+avx2,+fma,-avx512f", 256), ("+avx2,+avx512f", 512)]
)
def test_vector_width_follows_the_target(features, bits, monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    assert vector.vector_bits(vector.target_features()) == bits


def test_lanes():
    assert vector.lanes("float32") == 2 * vector.lanes("float64") == vector.VECTOR_BITS // 32


def test_describe():
    facts = device.describe()
    assert str(vector.VECTOR_BITS) in facts["vectors"]
    assert numba.threading_layer() in facts["threading layer"]
    assert facts["threads"] == f"{numba.get_num_threads()} of {MOST}"
    assert all(isinstance(value, str) and value for value in facts.values())
    assert device.available() is None


def test_cache_is_used_by_the_next_process(tmp_path):
    count = """
for op in OPS: bound(op, SHAPE)[0]()
from nbconv.cpu import activation, norm, pool
kernels = activation._relu, pool._max_pool2d, norm._sum_moments, norm._normalize
print(sum(sum(k.stats.cache_hits.values()) for k in kernels))
"""
    assert succeeds(count, NBCONV_CACHE_DIR=str(tmp_path)).split() == ["0"]
    files = sorted(tmp_path.rglob("*.nb?"))
    assert succeeds(count, NBCONV_CACHE_DIR=str(tmp_path)).split() == ["4"]
    assert files and sorted(tmp_path.rglob("*.nb?")) == files


def test_two_processes_fill_one_cache(tmp_path):
    code = "for op in OPS: call, out = bound(op, SHAPE); call(); print(float(np.abs(out).sum()))"
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: succeeds(code, NBCONV_CACHE_DIR=str(tmp_path)), range(2))
    assert first == second == succeeds(code, NBCONV_CACHE_DIR=str(tmp_path))


def test_warned_once_without_cache(tmp_path):
    """A file stands in the place of the folder: that stops even the superuser."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    code = "for op in OPS: bound(op, SHAPE)[0]()\nprint(cpu.device.describe()['kernel cache'])"
    result = python(code, warnings="always", NBCONV_CACHE_DIR=str(blocked))
    assert result.returncode == 0 and result.stdout.split() == ["none"]
    assert result.stderr.count("CacheWarning") == 1
    assert "set NBCONV_CACHE_DIR" in result.stderr and str(blocked) in result.stderr


def test_cache_folder_is_named_after_the_sources(tmp_path, monkeypatch):
    source = tmp_path / "compile.py"
    source.write_text("one")
    monkeypatch.setattr(compiling, "__file__", str(source))
    before = compiling._sources_hash()
    assert compiling._sources_hash() == before
    (tmp_path / "helper.py").write_text("another")
    assert compiling._sources_hash() != before


def test_numba_is_left_as_the_user_set_it(tmp_path):
    """Neither its settings nor where the user's own kernels are cached change."""
    (tmp_path / "mine.py").write_text("import numba\n@numba.njit(cache=True)\ndef twice(x):\n    return x + x\n")
    succeeds(
        f"""
import os, sys
from pathlib import Path
import numba
assert numba.config.CACHE_DIR == {str(tmp_path / "users")!r}
for op in OPS: bound(op, SHAPE)[0]()
assert numba.config.CACHE_DIR == {str(tmp_path / "users")!r}
assert numba.config.THREADING_LAYER == "default" and numba.config.BOUNDSCHECK is None
sys.path.insert(0, {str(tmp_path)!r})
import mine
assert mine.twice(2.0) == 4.0 and not mine.twice.targetoptions.get("fastmath")
assert list(Path({str(tmp_path / "users")!r}).rglob("mine.twice*.nbi"))
assert not list(Path({str(tmp_path / "users")!r}).rglob("*relu*"))
assert list(Path({str(tmp_path / "ours")!r}).rglob("*relu*.nbi"))
""",
        NUMBA_CACHE_DIR=str(tmp_path / "users"),
        NBCONV_CACHE_DIR=str(tmp_path / "ours"),
    )


def test_setting_is_restored_after_an_error(tmp_path):
    before = numba.config.CACHE_DIR

    class OnPurpose(Exception):
        pass

    with pytest.raises(OnPurpose), compiling._numba_cache(tmp_path):
        assert str(tmp_path) == numba.config.CACHE_DIR
        raise OnPurpose
    assert before == numba.config.CACHE_DIR


def test_serial_and_parallel_builds_are_kept_apart(tmp_path):
    """Two builds of one function under one name would be taken for each other."""
    code = """
for shape in (SHAPE, (2, 2, 2, 3)): bound(ReLU(), shape)[0]()
from nbconv.cpu.activation import _relu
from nbconv.cpu.compile import serial
for kernel, parallel in ((_relu, True), (serial(_relu), False)):
    assert bool(kernel.targetoptions.get("parallel")) is parallel
    print(kernel._cache.cache_path, sum(kernel.stats.cache_hits.values()))
"""
    succeeds(code, NBCONV_CACHE_DIR=str(tmp_path))
    paths_and_hits = succeeds(code, NBCONV_CACHE_DIR=str(tmp_path)).split()
    assert paths_and_hits[0] != paths_and_hits[2] and paths_and_hits[1::2] == ["1", "1"]
