"""Launches in a row: what the driver is asked for at the first call, and at the next ones."""

import gc
import struct

import numpy as np
import pytest
from numba import cuda

from nbconv.cuda.kernel import kernel
from nbconv.errors import DeviceError, KernelFault, OutOfDeviceMemory
from standin import control


@kernel
def mix(x, rows, bias, count, big, factor, scale, shift, flag, mask, out):
    i = cuda.grid(1)
    if i < count and flag and mask:
        value = x[i, 0] * factor + scale + shift + big + rows[0]
        if bias is not None:
            value += bias[0]
        out[i, 0, 0, 0] = value


@kernel
def double(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + x[i]


@kernel
def halve(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] / 2


@pytest.fixture
def arrays(gpu):
    """Two arrays, and a clean log."""
    found = gpu.put(np.ones(1000, "float32")), gpu.empty((1000,), "float32")
    gpu.synchronize()
    control.clear()
    return found


def step(x, out, times=5):
    """Launches as a step of training has them: lists within a list."""
    return [double.over(1000)(x, out), [[halve.over(1000)(out, x)] * times, double[7, (16, 2)](x, out)]]


def names():
    return [launch.kernel.partition("kB")[0].rpartition("double")[1] or "halve" for launch in control.launches()]


def test_nothing_happens_before_the_first_call(gpu, arrays):
    gpu.sequence(step(*arrays))
    assert control.log() == []


def test_a_step_is_captured_once_and_then_is_one_launch(gpu, arrays):
    run = gpu.sequence(step(*arrays))
    for _ in range(10):
        run()
    assert len(control.log("capture")) == 1
    assert control.log("instantiate") == [("instantiate", "7")]
    assert control.log("graph") == [("graph", "7")] * 10
    launches = control.launches()
    assert names() == ["double", *["halve"] * 5, "double"]
    assert all(launch.captured for launch in launches)
    assert [launch.grid for launch in launches] == [(8, 1, 1)] * 6 + [(7, 1, 1)]
    assert [launch.block for launch in launches] == [(128, 1, 1)] * 6 + [(16, 2, 1)]


def test_capture_is_on_a_stream_where_nothing_runs_and_leaves_other_threads_alone(gpu, arrays):
    gpu.sequence(step(*arrays))()
    assert control.log("capture") == [("capture", "2")]  # CU_STREAM_CAPTURE_MODE_RELAXED
    gpu.write(arrays[0], 1)
    assert control.log("copy")[-1][2] == "direct"


def test_nothing_is_allocated_or_loaded_after_the_first_step(gpu, arrays):
    run = gpu.sequence(step(*arrays))
    samples, labels, hyper = np.ones((5000, 10), "float32"), np.zeros((5000,), "int64"), np.zeros(2)
    batch, batch_labels, on_device = gpu.empty((8, 10), "float32"), gpu.empty((8,), "int64"), gpu.empty((2,), "float64")

    def train():
        gpu.take(batch, samples, np.arange(8))
        gpu.take(batch_labels, labels, np.arange(8))
        gpu.write(on_device, hyper)
        run()
        return gpu.fetch([on_device])

    train().arrays()
    control.clear()
    for _ in range(10):
        train().arrays()
    assert {kind for kind, *_ in control.log()} == {"copy", "graph"}
    assert [what for _, what, *_ in control.log("copy")] == ["in", "in", "in", "out"] * 10


def test_a_kernel_is_compiled_and_loaded_once_for_each_of_its_types(gpu, arrays):
    gpu.sequence(step(*arrays))()
    loaded = len(control.log("load"))
    gpu.sequence(step(arrays[1], arrays[0], times=2))()
    assert len(control.log("load")) == loaded
    wide = gpu.put(np.ones(4))
    gpu.sequence([double.over(4)(wide, wide)])()
    assert len(control.log("load")) == loaded + 1


def test_one_launch_needs_no_graph(gpu, arrays):
    run = gpu.sequence([double.over(1000)(*arrays)])
    run()
    run()
    assert not control.log("capture", "graph")
    assert [launch.captured for launch in control.launches()] == [False, False]


def test_no_launch_is_nothing(gpu):
    gpu.sequence([])()
    gpu.sequence([[], [[]]])()
    assert control.log() == []


def test_a_sequence_may_be_part_of_another(gpu, arrays):
    update = gpu.sequence([halve.over(1000)(*arrays), halve.over(1000)(*arrays)])
    gpu.sequence([double.over(1000)(*arrays), update])()
    assert names() == ["double", "halve", "halve"]


def test_what_arguments_point_to_lives_as_long_as_the_sequence(gpu):
    x = gpu.put(np.ones(100, "float32"))
    run = gpu.sequence([double.over(100)(x, x), halve.over(100)(x, x)])
    run()
    gpu.synchronize()
    control.clear()
    del x
    gc.collect()
    assert not control.log("free", "destroy")
    del run
    gc.collect()
    assert control.log("free") == [("free", "400")]
    assert control.log("destroy") == [("destroy",)]


@pytest.mark.parametrize("with_bias", [True, False])
def test_arguments_are_packed_as_the_machine_code_takes_them(gpu, with_bias):
    x = gpu.put(np.zeros((6, 5), "float32"))
    rows = gpu.put(np.zeros(9, "int64"))
    bias = gpu.put(np.zeros(3)) if with_bias else None
    out = gpu.put(np.zeros((4, 3, 2, 1), "float64"))
    control.clear()
    numbers = 6, 2**40, np.float32(0.5), 2.5, -3, True, np.bool_(False)
    gpu.sequence([mix.over(6)(x, rows, bias, *numbers, out)])()
    (launch,) = control.launches()

    def array(a, *strides):
        return [struct.pack("<q", v) for v in (0, 0, a.size, a.itemsize, a.data.ptr, *a.shape, *strides)]

    assert list(launch.arguments) == [
        *array(x, 20, 4),
        *array(rows, 8),
        *(array(bias, 8) if with_bias else [bytes(8)]),
        struct.pack("<i", 6),
        struct.pack("<q", 2**40),
        struct.pack("<f", 0.5),
        struct.pack("<d", 2.5),
        struct.pack("<i", -3),
        b"\1",
        b"\0",
        *array(out, 48, 16, 8, 8),
    ]


def test_a_constant_is_copied_to_the_device_once(gpu, arrays):
    _, out = arrays
    run = gpu.sequence([double.over(4)(np.arange(4, dtype="float32"), out[:4]), halve.over(1000)(*arrays)])
    for _ in range(3):
        run()
    assert len(control.log("alloc")) == 1
    assert [(what, how, size) for _, what, how, size, *_ in control.log("copy")] == [("in", "direct", "16")]
    pointer = int.from_bytes(control.launches()[0].arguments[4], "little")
    assert pointer == int(control.log("copy")[0][4])
    gc.collect()
    assert not control.log("free")


def test_a_slice_is_a_pointer_into_the_array(gpu, arrays):
    x, out = arrays
    gpu.sequence([double.over(10)(x[20:30], out[:10])])()
    (launch,) = control.launches()
    pointer, size = (int.from_bytes(launch.arguments[i], "little") for i in (4, 2))
    assert (pointer, size) == (x.data.ptr + 80, 10)


def test_much_shared_memory_is_asked_permission_for(gpu, arrays):
    gpu.sequence([double.over(1000)(*arrays)._replace(shared=99328)])()
    ((_, _, attribute, value),) = control.log("attribute")
    assert (attribute, value) == ("8", "99328")  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert control.launches()[0].shared == 99328


# what goes wrong


def test_a_launch_that_is_refused_is_described(gpu, arrays):
    run = gpu.sequence([double[(1, 70000), 32](*arrays)])
    with pytest.raises(DeviceError, match=r"double.*grid of \(1, 70000, 1\).*\(32, 1, 1\).*INVALID_VALUE"):
        run()


def test_a_launch_that_is_refused_ends_the_capture(gpu, arrays):
    run = gpu.sequence([halve.over(1000)(*arrays), double[1, 2048](*arrays)])
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"double.*\(2048, 1, 1\)"):
            run()
    gpu.sequence(step(*arrays))()
    assert control.log("graph")


def test_no_memory_for_a_graph(gpu, arrays):
    run = gpu.sequence(step(*arrays))
    control.fail("cuGraphInstantiateWithFlags", 2)
    with pytest.raises(OutOfDeviceMemory, match=r"cuda:0 is out of memory: cuGraphInstantiate.* bytes are free"):
        run()
    run()
    assert control.log("graph")


def test_a_kernel_fault_names_the_kernels_and_the_mend(gpu, arrays):
    gpu.sequence([halve.over(1000)(*arrays)])()
    run = gpu.sequence(step(*arrays))
    control.fault(700)
    run()  # the host does not know yet
    ran = r"Last was asked for .*double, .*halve; before it .*halve\."
    mend = rf"outside of its arrays.*ILLEGAL_ADDRESS.*{ran}.*started again.*compute-sanitizer.*CUDASIM"
    with pytest.raises(KernelFault, match=mend):
        gpu.synchronize()
    with pytest.raises(KernelFault):
        run()
    with pytest.raises(KernelFault):
        gpu.fetch([arrays[0]])
    with pytest.raises(KernelFault):
        gpu.put(np.ones(3))


def test_code_that_cannot_be_loaded(gpu, arrays):
    wide = gpu.put(np.ones(3, "int32"))
    control.fail("cuLibraryLoadData", 209)
    run = gpu.sequence([halve.over(3)(wide, wide)])
    with pytest.raises(DeviceError, match=r"cuda:0: the machine code of .*halve> cannot be loaded"):
        run()
