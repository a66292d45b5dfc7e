"""The CPU device beside its kernels: threads, memory, and where machine code is kept."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from processes import succeeds

from nbconv.cpu import device, vector
from nbconv.errors import OptionError

MOST = numba.config.NUMBA_NUM_THREADS


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
