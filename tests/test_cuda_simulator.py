"""The simulator of the cuda device: that it finds what a GPU would suffer from."""

import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from barriers import functions_with_barriers, refusing, replaced, without_barrier
from numba import cuda
from running import Bound, bits
from test_cuda_kernels import PLAIN, one_of_each, work

from nbconv.cuda.kernel import THREADS, kernel
from nbconv.cuda.reduce import block_sum
from nbconv.cuda.simulator import strict
from nbconv.engine.registry import open_device

pytestmark = pytest.mark.cuda
device = open_device("cuda").memory


def launched(kernel, *arguments, grid=1, block=4, out=8, dtype=np.float32):
    """What a kernel writes to ``out``, which held -1."""
    result = device.put(np.full(out, -1, dtype))
    device.sequence([kernel[grid, block](*arguments, result)])()
    return device.get(result)


@kernel
def _note_positions(out):
    i, j = cuda.grid(2)
    out[i, j] = cuda.gridsize(2)[0] * j + i + 100 * cuda.blockIdx.x + 1000 * cuda.blockIdx.y


def test_threads_know_their_position():
    positions = launched(_note_positions, grid=(2, 2), block=(3, 2), out=(6, 4))
    i, j = np.mgrid[:6, :4]
    np.testing.assert_array_equal(positions, 6 * j + i + 100 * (i // 3) + 1000 * (j // 2))


@kernel
def _share_in_first_block(out):
    shared = cuda.shared.array(4, np.float32)
    i = cuda.threadIdx.x
    if cuda.blockIdx.x == 0:
        shared[i] = i
    cuda.syncthreads()
    out[cuda.grid(1)] = shared[3 - i]


def test_shared_memory_belongs_to_a_block_and_holds_nothing_at_first():
    np.testing.assert_array_equal(launched(_share_in_first_block, grid=2), [3, 2, 1, 0] + [np.nan] * 4)


@kernel
def _sum_two_lines(out):
    first = cuda.shared.array(4, np.int64)
    second = cuda.shared.array(4, np.int64)
    i = cuda.threadIdx.x
    first[i] = i
    cuda.syncthreads()
    out[i] = first[3 - i] + second[i]


def test_arrays_in_shared_memory_are_apart():
    np.testing.assert_array_equal(launched(_sum_two_lines, dtype=np.int64)[:4], [104, 103, 102, 101])


@kernel
def _read_local(out):
    local = cuda.local.array(2, np.float32)
    i = cuda.grid(1)
    local[0] = i
    out[i] = local[0] + local[i % 2]


def test_local_memory_holds_nothing_at_first():
    np.testing.assert_array_equal(launched(_read_local)[:4], [0, np.nan, 4, np.nan])


@kernel
def _wait_if(first, last, out):
    if first <= cuda.threadIdx.x <= last:
        cuda.syncthreads()
    out[cuda.grid(1)] = 0


@pytest.mark.parametrize(
    "first, last, message",
    [
        (0, 1, "_wait_if>: 2 of 4 threads wait at a barrier for the rest"),
        (1, 3, "a thread waits at a barrier that the first thread of its block did not come to"),
        (3, 3, "a thread waits at a barrier that the first thread of its block did not come to"),
    ],
)
def test_all_threads_of_a_block_must_come_to_a_barrier(first, last, message):
    with pytest.raises(RuntimeError, match=message):
        launched(_wait_if, first, last)
    assert launched(_wait_if, 0, 3).tolist() == [0] * 4 + [-1] * 4  # and the next launch is not disturbed


@pytest.mark.parametrize(
    "dtype, value", [("float32", np.nan), ("float64", np.nan), ("int64", 101), ("uint8", 101), ("bool", True)]
)
def test_memory_that_no_launch_has_written_is_seen(dtype, value):
    empty = device.empty((2, 3), dtype)
    assert (empty.shape, empty.dtype) == ((2, 3), dtype)
    np.testing.assert_array_equal(device.get(empty), np.full((2, 3), value))


@kernel
def _write_at(offset, out):
    out[cuda.grid(1) + offset] = 0


@pytest.mark.parametrize("mode", [nullcontext, strict])
def test_an_index_beyond_the_end_raises(mode):
    with mode(), pytest.raises(IndexError):
        launched(_write_at, 5)


@kernel
def _read_negative(out):
    local = cuda.local.array(3, np.float32)
    out[0] = local[cuda.grid(1) - 4]


@kernel
def _write_corner(column, out):
    out[cuda.grid(1), column] = 0


def test_a_negative_index_raises_if_strict():
    assert launched(_write_at, -1).tolist() == [0, 0, 0, -1, -1, -1, -1, 0]
    with strict():
        for case in (_write_at, (-1,), 8), (_read_negative, (), 8), (_write_corner, (-1,), (8, 2)):
            with pytest.raises(IndexError):
                launched(case[0], *case[1], out=case[2])


@kernel
def _count_turns(turns, out):
    out[cuda.grid(1)] = turns[0]
    turns[0] += 1


def test_turns_are_taken_from_the_last_if_strict():
    turns = device.put(np.zeros(1))
    assert launched(_count_turns, turns, grid=2).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    with strict():
        assert launched(_count_turns, turns, grid=2).tolist() == [15, 14, 13, 12, 11, 10, 9, 8]


@kernel
def _take_constant(table, out):
    out[cuda.grid(1)] = table[cuda.grid(1)]


@kernel
def _spoil_constant(table, out):
    table[0] = out[0]


def test_constants_are_read_and_not_written():
    table = np.arange(8)
    assert launched(_take_constant, table, grid=2).tolist() == table.tolist()
    with pytest.raises(ValueError, match="read-only"):
        launched(_spoil_constant, table)


@kernel
def _divide(x, out):
    cuda.syncthreads()
    out[cuda.grid(1)] = x[0] / x[1]


def test_numbers_that_are_not_finite_warn_no_more_than_on_a_gpu():
    np.testing.assert_array_equal(launched(_divide, device.put(np.zeros(2, np.float32)))[:4], [np.nan] * 4)


def test_the_host_cannot_look_into_the_device():
    array = device.put(np.ones((2, 3)))
    for look in (np.asarray, float, list, np.sum, lambda a: a + 1, lambda a: [*a[0]]):
        with pytest.raises(TypeError):
            look(array)
    assert (array.shape, array.ndim, array.size, array.nbytes, len(array)) == ((2, 3), 2, 6, 48, 2)
    np.testing.assert_array_equal(device.get(array[1:].reshape(3)), [1, 1, 1])


def test_views_share_memory():
    array = device.put(np.arange(6.0))
    device.write(array.reshape(2, -1)[1], np.zeros(3))
    assert device.get(array).tolist() == [0, 1, 2, 0, 0, 0]
    with pytest.raises(ValueError, match="not contiguous"):
        array.reshape(3, 2)[:, 0].reshape(-1, 1)


def test_what_the_simulator_needs_is_named():
    code = """
import sys
sys.modules["greenlet"] = None
import nbconv.cuda.simulator
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "DeviceError: the simulator of the cuda device needs numba-cuda and greenlet" in done.stderr
    assert "pip install nbconv[cudasim]" in done.stderr


@kernel
def _sum_twice(out):
    partial = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    out[0, thread] = block_sum(partial, np.float64(thread))
    out[1, thread] = block_sum(partial, np.float64(1))


def two_sums():
    return launched(_sum_twice, block=THREADS, out=(2, THREADS), dtype=np.float64)


def test_each_thread_has_the_sum_of_its_block():
    expected = np.repeat([[THREADS * (THREADS - 1) / 2], [THREADS]], THREADS, axis=1)
    np.testing.assert_array_equal(two_sums(), expected)


BARRIERS = [(function, index) for function, count in functions_with_barriers() for index in range(count)]
USERS = [two_sums, *sorted(one_of_each(PLAIN), key=work)]


@pytest.mark.parametrize("function, index", BARRIERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_barrier_is_needed(function, index):
    """Without it something fails or has other results, so that the tests see where one is missing."""
    spoiled = without_barrier(function, index)
    assert any(_differs(user, function, spoiled) for user in USERS if _calls(user, function))


def _calls(user, function) -> bool:
    with replaced(function, refusing(function)):
        try:
            _results(user)
        except NotImplementedError:
            return True
    return False


def _results(user):
    """What a case, or a function, computes, to the last bit."""
    if callable(user):
        return user().tobytes()
    bound = Bound(user, "cuda", "float32")
    return bits(bound.forward()), bits(bound.backward()) if user.op.differentiable else None


def _differs(user, function, code) -> bool:
    right = _results(user)
    for mode in (nullcontext, strict):
        with mode(), replaced(function, code):
            try:
                if _results(user) != right:
                    return True
            except RuntimeError:  # threads wait for others that do not come
                return True
    return False
