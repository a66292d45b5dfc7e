"""Arrays of the device: what is copied where, when, and through which memory."""

import gc
from threading import Thread

import numpy as np
import pytest
from cuda.bindings import driver as api

import nbconv as nc
from nbconv.cuda.memory import Memory
from nbconv.cuda.staging import Ring
from nbconv.errors import DataError, DeviceError, KernelFault, OutOfDeviceMemory
from standin import control

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape, dtype", [((3, 5), "float32"), ((), "float64"), ((0, 4), "uint8"), ((7,), "int64")])
def test_what_is_put_is_got(gpu, shape, dtype):
    array = RNG.integers(0, 100, shape).astype(dtype)
    on_device = gpu.put(array)
    assert (on_device.shape, on_device.dtype) == (shape, dtype)
    np.testing.assert_array_equal(gpu.get(on_device), array)


def test_put_makes_a_contiguous_copy(gpu):
    array = RNG.random((4, 6))
    np.testing.assert_array_equal(gpu.get(gpu.put(array.T)), array.T)


def test_views_share_memory(gpu):
    arena = gpu.put(np.zeros(64, "uint8"))
    part = arena[16:48].view("float32").reshape((2, 4))
    gpu.write(part, np.arange(8).reshape(2, 4))
    expected = np.zeros(64, "uint8")
    expected[16:48] = np.arange(8, dtype="float32").view("uint8")
    np.testing.assert_array_equal(gpu.get(arena), expected)
    np.testing.assert_array_equal(gpu.get(part[1]), [4, 5, 6, 7])


def test_the_host_cannot_look_into_an_array(gpu):
    with pytest.raises(TypeError):
        np.asarray(gpu.empty((3,), "float32"))


def test_a_written_array_may_be_changed_at_once(gpu):
    target, array = gpu.empty((100,), "float32"), np.ones(100)
    gpu.write(target, array)
    array[:] = 2  # nothing was copied yet: the stand-in driver works only when it is waited for
    assert (gpu.get(target) == 1).all()


def test_write_broadcasts_and_converts(gpu):
    target = gpu.empty((2, 3), "float32")
    gpu.write(target, 5)
    gpu.write(target[1], [1, 2, 3])
    np.testing.assert_array_equal(gpu.get(target), [[5, 5, 5], [1, 2, 3]])


def test_the_ring_waits_for_the_gpu_before_it_is_used_again(gpu):
    # 120 MB through a ring of 32 MiB, of which the GPU has copied nothing when the host goes on
    targets = [gpu.empty((1_000_000,), "float32") for _ in range(30)]
    for number, target in enumerate(targets):
        gpu.write(target, number)
    for number, target in enumerate(targets):
        assert (gpu.get(target) == number).all()
    assert len(control.log("pin")) <= 8


@pytest.mark.parametrize("shape", [(5, 1_000_000), (3, 2_500_000), (11_000_000,)])
def test_an_array_larger_than_the_ring_arrives_in_pieces(gpu, shape):
    array = RNG.integers(0, 1000, shape).astype("float32")
    np.testing.assert_array_equal(gpu.get(gpu.put(array)), array)


@pytest.mark.parametrize("rows", [np.array([3, 0, 3, 9]), slice(2, 8), slice(9, None, -3), np.array([], int)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_take_gathers_rows(gpu, rows, dtype):
    samples = RNG.integers(0, 100, (10, 4, 3)).astype("float32")
    expected = samples[rows].copy()
    target = gpu.empty(expected.shape, dtype)
    gpu.take(target, samples, rows)
    samples[:] = -1
    np.testing.assert_array_equal(gpu.get(target), expected.astype(dtype))


def test_take_gathers_more_than_the_ring_holds(gpu):
    samples = RNG.integers(0, 100, (6, 700_000)).astype("float32")
    rows = RNG.integers(0, 6, 20)
    target = gpu.empty((20, 700_000), "float32")
    gpu.take(target, samples, rows)
    np.testing.assert_array_equal(gpu.get(target), samples[rows])


def in_a_row(gpu, shapes_and_dtypes):
    """Arrays one after the other, each at a multiple of 64 bytes, as a plan has its sources."""
    memory, arrays, at = gpu.empty((1 << 20,), "uint8"), [], 0
    for shape, dtype in shapes_and_dtypes:
        nbytes = np.dtype(dtype).itemsize * int(np.prod(shape))
        arrays.append(memory[at : at + nbytes].view(dtype).reshape(shape))
        at += -(-nbytes // 64) * 64
    return arrays


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (4, 30_000)])
def test_batches_come_together_and_in_order(gpu, shape, scattered):
    # more than there are places for, of which the GPU has copied nothing when the host goes on
    arrays = [RNG.random((50, *shape[1:]), "float32"), RNG.integers(0, 9, 50), RNG.integers(0, 99, (50, 3))]
    kinds = [(shape, "float32"), (shape[:1], "int64"), (shape[:1] + (3,), "uint8")]
    targets = in_a_row(gpu, kinds)
    take = gpu.intake(targets[::-1] if scattered else targets)
    batches = [RNG.integers(0, 50, shape[0]) for _ in range(50)] + [slice(7, 7 + shape[0])]
    for batch in batches:
        given = [array.copy() for array in arrays]
        take(given[::-1] if scattered else given, batch)
        for array in given:
            array[...] = 0
        seen = [gpu.fetch([target]) for target in targets]
        if batch is batches[-1] or RNG.random() < 0.1:
            for fetched, array in zip(seen, arrays, strict=True):
                np.testing.assert_array_equal(fetched.arrays()[0], array[batch])
    copies = [entry for entry in control.log("copy") if entry[1] == "in"]
    assert len(copies) == len(batches) * (1 if shape == (3, 5) and not scattered else 3)


def test_what_waits_to_be_read_is_not_overwritten(gpu):
    (target,) = in_a_row(gpu, [((2,), "float64")])
    take, samples = gpu.intake([target]), np.arange(100.0)
    seen = []
    for i in range(99):
        take([samples], np.array([i, i + 1]))
        seen.append(gpu.fetch([target]))
    assert [fetched.arrays()[0].tolist() for fetched in seen] == [[i, i + 1] for i in range(99)]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("value", [0, 1])
def test_fill(gpu, dtype, value):
    array = gpu.put(np.full((3, 5), 7, dtype))
    gpu.fill(array[1], value)
    expected = np.full((3, 5), 7, dtype)
    expected[1] = value
    np.testing.assert_array_equal(gpu.get(array), expected)


@pytest.mark.parametrize("value", [np.nan, -0.1, np.inf])
def test_fill_with_numbers_of_eight_bytes(gpu, value):
    array = gpu.empty((33,), "float64")
    gpu.fill(array, value)
    np.testing.assert_array_equal(gpu.get(array), np.full(33, value))


def test_copy_stays_on_the_device(gpu):
    source, target = gpu.put(np.arange(6.0)), gpu.empty((6,), "float64")
    gpu.synchronize()
    control.clear()
    gpu.copy(target, source)
    assert [(kind, what) for kind, what, *_ in control.log()] == [("copy", "within")]
    np.testing.assert_array_equal(gpu.get(target), np.arange(6.0))


def test_fetched_arrays_are_those_of_the_moment(gpu):
    loss, logits = gpu.put(np.array([1.5])), gpu.put(np.ones((2, 3), "float32"))
    fetched = gpu.fetch([loss, logits])
    gpu.fill(loss, 0)
    again = gpu.fetch([loss])
    assert not control.log("wait") and not fetched.ready()
    first, second = fetched.arrays()
    np.testing.assert_array_equal(first, [1.5])
    np.testing.assert_array_equal(second, np.ones((2, 3)))
    np.testing.assert_array_equal(again.arrays()[0], [0])
    assert fetched.arrays()[0] is first and fetched.ready() and again.ready()


def test_what_is_fetched_and_forgotten_costs_no_memory(gpu):
    loss = gpu.put(np.array([1.5]))
    gpu.fetch([loss]).arrays()
    control.clear()
    for _ in range(20):
        gpu.fetch([loss])
    gc.collect()
    assert not control.log("pin")


def test_what_is_fetched_in_a_circle_of_references_is_forgotten_too(gpu):
    loss = gpu.put(np.array([1.5]))
    circle = [gpu.fetch([loss])]
    circle.append(circle)
    control.clear()
    del circle
    gc.collect()
    assert not control.log("unpin")
    assert gpu.fetch([loss]).arrays() == [1.5]
    assert not control.log("pin")


def test_one_object_per_gpu(gpu):
    assert control.gpu() is gpu
    other = control.gpu(1)
    assert other is not gpu
    np.testing.assert_array_equal(other.get(other.put(np.arange(3))), np.arange(3))
    np.testing.assert_array_equal(gpu.get(gpu.put(np.arange(3))), np.arange(3))


def test_any_thread_may_come(gpu):
    results = []
    threads = [Thread(target=lambda i=i: results.append((i, gpu.get(gpu.put(np.full(1000, i)))))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all((array == i).all() for i, array in results)


def test_any_thread_may_wait(gpu):
    fetched, results = gpu.fetch([gpu.put(np.arange(3))]), []
    thread = Thread(target=lambda: results.extend([fetched.ready(), fetched.arrays(), gpu.synchronize()]))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(results[1], [np.arange(3)])


def test_the_context_of_others_is_left_alone(gpu):
    other = control.gpu(1)._driver
    with other.turn:
        array = gpu.put(np.arange(3))
        gpu.sequence([])()
        assert int(api.cuCtxGetCurrent()[1]) == int(other.turn._context)
        np.testing.assert_array_equal(gpu.get(array), np.arange(3))


def test_a_thread_without_a_context_has_none_afterwards(gpu):
    """What others allocate without saying where lands on the GPU of the current context."""
    seen = []

    def look():
        seen.append(int(api.cuCtxGetCurrent()[1]))

    def use():
        other = control.gpu(1)
        look()
        array = other.put(np.arange(3))
        look()
        other.sequence([])()
        fetched = other.fetch([array])
        look()
        fetched.ready()
        look()
        fetched.arrays()
        other.synchronize()
        look()
        with other._driver.turn, gpu._driver.turn, other._driver.turn:
            other.get(array)
            seen.append(int(api.cuCtxGetCurrent()[1]) - int(other._driver.turn._context))
        look()
        Ring(other._driver).write(array, 1)  # and forgets its memory
        gc.collect()
        look()
        with pytest.raises(OutOfDeviceMemory):
            other.empty((2**40,), "float32")
        look()

    thread = Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [0] * 9


def test_cupy_learns_of_the_stream_in_the_context_of_its_gpu(gpu, monkeypatch):
    """It notes the current GPU as the stream's, and refuses to use the stream on another."""
    driver, current = control.gpu(1)._driver, []
    handle = 0, int(driver.stream)
    monkeypatch.setattr(
        type(driver), "__cuda_stream__", lambda self: current.append(int(api.cuCtxGetCurrent()[1])) or handle
    )
    with gpu._driver.turn:
        Memory(driver)
    assert current == [int(driver.turn._context)]


def test_nothing_is_copied_of_an_array_without_elements(gpu):
    array = gpu.put(np.ones((0, 3)))
    gpu.fill(array, 1)
    gpu.copy(array, array)
    assert gpu.fetch([array]).arrays()[0].shape == (0, 3)
    assert not control.log("copy", "fill")


# arrays of other libraries


class Foreign:
    """An array on a GPU as another library shows it."""

    def __init__(self, array, strides=None, stream=None):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.data.ptr, False),
            "strides": strides,
            "version": 3,
            "stream": stream,
        }


def test_a_foreign_array_shares_memory(gpu):
    own = gpu.put(RNG.random((2, 3)).astype("float32"))
    gpu.synchronize()
    control.clear()
    adopted = gpu.adopt(Foreign(own))
    assert (adopted.data.ptr, adopted.shape, adopted.dtype) == (own.data.ptr, (2, 3), "float32")
    assert not control.log("copy")


def test_a_foreign_array_lives_as_long_as_what_shares_it(gpu):
    foreign = Foreign(gpu.put(np.arange(5.0)))
    adopted = gpu.adopt(foreign)
    del foreign
    gc.collect()
    assert not control.log("free")
    np.testing.assert_array_equal(gpu.get(adopted), np.arange(5.0))


def test_a_foreign_array_is_given_back_when_the_gpu_has_read_it(gpu):
    source, target = gpu.put(np.arange(5.0)), gpu.empty((5,), "float64")
    adopted = gpu.adopt(Foreign(source))
    gpu.copy(target, adopted)
    del adopted
    gc.collect()
    assert control.log()[-1] == ("wait",)


def test_a_tensors_array_is_handed_out_when_it_is_computed(gpu):
    tensor = nc.Tensor(np.arange(5.0), "cuda")
    assert nc.Tensor(tensor, "cuda")._array is tensor._array and not control.log("wait")  # our own stream is in order
    assert tensor.array is tensor._array
    assert control.log()[-1] == ("wait",)


def test_the_gpu_waits_for_the_other_library(gpu):
    gpu.adopt(Foreign(gpu.put(np.arange(5.0)), stream=1))
    assert control.log("order")


@pytest.mark.parametrize("array", [np.ones(3), [1, 2], 3.5, None, "text"])
def test_what_is_on_the_host_is_not_adopted(gpu, array):
    assert gpu.adopt(array) is None


class HostArray:
    """An array on the host as PyTorch's and JAX's show themselves, which know of no stream there."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, *, stream=None, **options):
        assert stream is None, "stream should be None on cpu"
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __array__(self, *args, **options):
        return self._array


def test_an_array_of_another_library_on_the_host_is_copied(gpu):
    array = RNG.random((2, 3))
    assert gpu.adopt(HostArray(array)) is None
    np.testing.assert_array_equal(nc.Tensor(HostArray(array), "cuda").numpy(), array)


def test_a_foreign_array_on_another_gpu_is_not_adopted(gpu):
    foreign = Foreign(control.gpu(1).put(np.arange(5.0)))
    assert gpu.adopt(foreign) is None
    assert control.gpu(1).adopt(foreign) is not None


def test_a_foreign_array_must_be_contiguous(gpu):
    with pytest.raises(DataError, match=r"contiguous.*\(4, 3\).*\.contiguous\(\)"):
        gpu.adopt(Foreign(gpu.put(np.ones((4, 3))), strides=(8, 32)))


# what goes wrong


def test_out_of_memory_says_how_much_there_is(gpu, monkeypatch):
    monkeypatch.setenv("STANDIN_MEMORY", str(2**30))
    with pytest.raises(OutOfDeviceMemory, match="4,294,967,296 bytes were asked for, .* free; use a smaller") as caught:
        gpu.empty((2**30,), "float32")
    assert caught.value.asked == 2**32 and 0 < caught.value.free <= 2**30
    np.testing.assert_array_equal(gpu.get(gpu.put(np.ones(3))), np.ones(3))


def test_out_of_pinned_memory_is_named(gpu):
    array = gpu.put(np.ones(300_000))
    control.fail("cuMemHostAlloc", 2)
    with pytest.raises(OutOfDeviceMemory):
        gpu.fetch([array])
    np.testing.assert_array_equal(gpu.fetch([array]).arrays(), [np.ones(300_000)])


def test_a_ring_that_found_no_memory_can_be_used_later(gpu):
    ring, array = Ring(gpu._driver), gpu.empty((200_000,), "float32")
    ring.write(array, 1)
    control.fail("cuMemHostAlloc", 2)
    with pytest.raises(OutOfDeviceMemory):
        ring.write(array, 2)
    ring.write(array, 3)
    assert (gpu.get(array) == 3).all()


def test_a_fault_of_another_call_is_one(gpu):
    array = gpu.put(np.ones(3))
    control.fail("cuMemcpyDtoHAsync", 700)
    with pytest.raises(KernelFault, match="outside of its arrays"):
        gpu.get(array)


def test_a_gpu_that_is_not_there(gpu):
    with pytest.raises(DeviceError, match="7"):
        control.gpu(7)


def test_description(gpu):
    described = gpu.describe()
    assert described["gpu"] == "Stand-in 0 (compute capability 9.0)"
    assert described["driver"] == "for CUDA 13.0"
    assert "of 1.0 GiB" in described["memory"]
