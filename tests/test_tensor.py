"""Tensors, and samples that lie on the model's device already."""

import numpy as np
import pytest
from devices import DEVICES, WITH_CUDA
from second_memory import late_device

import nbconv as nc
from nbconv import functional as F
from nbconv.errors import DataError, DeviceError, ShapeError

on_every_device = pytest.mark.parametrize("device", WITH_CUDA)


def samples(count=11, shape=(3, 6, 5)):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.integers(0, 4, count)


def model_on(device, data_format="NCHW", **options):
    shape = (3, 6, 5) if data_format == "NCHW" else (6, 5, 3)
    model = nc.Sequential(
        nc.Conv2d(4, 3), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(4), input_shape=shape, device=device,
        data_format=data_format, **{"seed": 1, **options},
    )  # fmt: skip
    model.compile(nc.SGD(lr=0.1, momentum=0.9))
    return model


@on_every_device
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_there_and_back(device, dtype):
    x = (10 * samples()[0]).astype(dtype)
    tensor = nc.Tensor(x, device)
    assert (tensor.shape, tensor.dtype, tensor.ndim, tensor.size, len(tensor)) == (x.shape, x.dtype, 4, x.size, 11)
    assert repr(tensor) == f"Tensor(shape=(11, 3, 6, 5), dtype={dtype}, device='{device}')"
    for host in tensor.numpy(), np.asarray(tensor), np.array(tensor, copy=True):
        assert host.dtype == x.dtype
        np.testing.assert_array_equal(host, x)
    x[0] = 0
    assert np.asarray(tensor)[0].any()  # a copy
    assert np.asarray(tensor, np.float32).dtype == np.float32


@on_every_device
def test_to_another_device(device):
    tensor = nc.Tensor(samples()[0], device)
    assert tensor.to(device) is tensor and nc.Tensor(tensor, device).shape == tensor.shape
    other = tensor.to("reference")
    assert str(other.device) == "reference"
    np.testing.assert_array_equal(other.numpy(), tensor.numpy())


@pytest.mark.parametrize("device", DEVICES)
def test_dlpack_shares_memory_on_the_host(device):
    tensor = nc.Tensor(np.arange(6.0), device)
    shared = np.from_dlpack(tensor)
    shared[0] = 5
    assert tensor.numpy()[0] == 5
    assert not hasattr(tensor, "__cuda_array_interface__")


@pytest.mark.parametrize(
    "values, error, message",
    [
        ([[1.0], [2.0, 3.0]], DataError, "values is ragged"),
        (np.array(["a"]), DataError, "a tensor holds real numbers that NumPy knows, got dtype <U1"),
        (np.ones(2) * 1j, DataError, "got dtype complex128"),
    ],
)
def test_what_makes_no_tensor(values, error, message):
    with pytest.raises(error, match=message):
        nc.Tensor(values, "reference")


@pytest.mark.parametrize(
    "dtype, message", [("V2", r"got dtype \|V2; convert it to float32"), ("c8", "dtype complex64$")]
)
def test_shared_memory_of_other_dtypes_makes_no_tensor(monkeypatch, dtype, message):
    """bfloat16, which NumPy does not know, has the kind of raw bytes."""
    device = late_device()
    monkeypatch.setattr(device.memory, "adopt", lambda values: np.zeros(3, dtype), raising=False)
    with pytest.raises(DataError, match=message):
        nc.Tensor(OnGpu(), device)


def test_a_tensor_becomes_an_array_by_a_copy_alone():
    with pytest.raises(ValueError, match="leave copy=False out"):
        nc.Tensor([1.0], "reference").__array__(copy=False)
    with pytest.raises(TypeError, match="no length"):
        len(nc.Tensor(1.0, "reference"))


@on_every_device
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_training_on_tensors_is_training_on_arrays(device, data_format, kind):
    x, y = samples()
    x = np.abs(x if kind == np.float32 else 10 * x).astype(kind)
    x = x if data_format == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    host, there = model_on(device, data_format), model_on(device, data_format)
    tensors = nc.Tensor(x, device), nc.Tensor(y.astype(np.int32), device)
    histories = [
        model.fit(*data, batch_size=4, epochs=2, verbose=0, validation_data=data).history
        for model, data in ((host, (x, y)), (there, tensors))
    ]
    assert histories[0] == histories[1]
    for name, value in host.state_dict().items():
        np.testing.assert_array_equal(there.state_dict()[name], value)
    assert there.evaluate(*tensors) == host.evaluate(x, y)
    assert there.evaluate(tensors[0], y) == host.evaluate(x, y)  # the one here, the other there
    assert there.train_on_batch(*tensors) == host.train_on_batch(x, y)
    predicted = there.predict(tensors[0], batch_size=4)
    assert isinstance(predicted, nc.Tensor) and predicted.device == there.device
    np.testing.assert_array_equal(predicted.numpy(), host.predict(x, batch_size=4))
    labels, probabilities = there.classify(tensors[0])
    np.testing.assert_array_equal(labels, host.classify(x)[0])
    np.testing.assert_array_equal(probabilities, host.classify(x)[1])


@on_every_device
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 7)])
def test_images_and_sequences_go_in_and_out_in_the_callers_layout(device, data_format, shape):
    x = samples(5, shape)[0]
    x = x if data_format == "NCHW" else np.ascontiguousarray(np.moveaxis(x, 1, -1))
    layer = nc.Conv2d(3, 3) if len(shape) == 3 else nc.Conv1d(3, 3)
    model = nc.Sequential(layer, input_shape=x.shape[1:], data_format=data_format, device=device, seed=1)
    tensor = nc.Tensor(x, device)
    for wanted, got in (
        (model.predict(x, batch_size=2), model.predict(tensor, batch_size=2)),
        (model.forward(x), model.forward(tensor)),
        (model.forward(x, training=True), model.forward(tensor, training=True)),
    ):
        assert isinstance(got, nc.Tensor) and isinstance(wanted, np.ndarray)
        np.testing.assert_array_equal(got.numpy(), wanted)
    dy = np.random.default_rng(1).standard_normal(wanted.shape).astype(np.float32)
    gradients = []
    for given, back in (x, dy), (tensor, nc.Tensor(dy, device)):
        model.forward(given, training=True, input_gradients=True)
        gradients.append(model.backward(back))
    for name, gradient in gradients[0].items():
        np.testing.assert_array_equal(gradients[1][name], gradient)


@on_every_device
def test_targets_and_labels_per_pixel(device):
    x, _ = samples(5)
    targets = np.random.default_rng(1).standard_normal((5, 2, 4, 3)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 2, (5, 4, 3))
    for loss, y in ("mse", targets), ("cross_entropy", labels):
        losses = []
        for data in (x, y), (nc.Tensor(x, device), nc.Tensor(y, device)):
            model = nc.Sequential(nc.Conv2d(2, 3), input_shape=(3, 6, 5), device=device, seed=1)
            model.compile("sgd", loss, metrics=None)
            losses.append(model.fit(*data, batch_size=2, epochs=2, verbose=0).history["loss"])
        assert losses[0] == losses[1]


def spoilt(value, place=(3, 0, 2, 1)):
    x = samples()[0]
    x[place] = value
    return x


@on_every_device
@pytest.mark.parametrize(
    "x, y, error, message",
    [
        (spoilt(np.nan), samples()[1], DataError, r"x has 1 value that is not finite in float32, the first at index"),
        (spoilt(-np.inf), samples()[1], DataError, r"at index \(3, 0, 2, 1\); repair the data"),
        (spoilt(0).astype(float) + 1e300, samples()[1], DataError, r"x has 990 values that are not finite in float32"),
        (samples()[0], samples()[1] + 1, DataError, r"y has \d labels, the first at index .*not from 0 to 3"),
        (samples()[0], samples()[1] - 1, DataError, r"labels.*for 4 classes"),
        (samples()[0], samples()[1].astype(float), DataError, r"integer labels from 0 to 3, got dtype float64"),
        (samples()[0], samples()[1][:-1], ShapeError, r"one label per row, of shape \(11,\), got \(10,\)"),
        (samples()[0][:, 0], samples()[1], ShapeError, r"x must have shape \(N, 3, 6, 5\)"),
        (samples()[0].transpose(0, 2, 3, 1), samples()[1], ShapeError, r'use data_format="NHWC"'),
        (samples()[0][:0], samples()[1][:0], DataError, r"x is empty"),
        (samples()[0].astype(np.float16), samples()[1], DataError, r"x has dtype float16, which kernels do not read"),
    ],
)
def test_bad_data_is_named_before_the_first_step(device, x, y, error, message):
    model = model_on(device)
    with pytest.raises(error, match=message):
        model.fit(nc.Tensor(x, device), nc.Tensor(y, device), verbose=0)
    assert model.step == 0


@pytest.mark.parametrize("device", DEVICES)
def test_targets_out_of_range_are_named(device):
    model = nc.Sequential(nc.Linear(2), input_shape=(3,), device=device)
    model.compile("sgd", "bce_with_logits")
    x, y = nc.Tensor(np.ones((4, 3)), device), np.zeros((4, 2), np.float32)
    y[2, 1] = 1.5
    with pytest.raises(DataError, match=r"y has 1 value that is not from 0 to 1, the first at index \(2, 1\)"):
        model.fit(x, nc.Tensor(y, device), verbose=0)
    with pytest.raises(ShapeError, match=r"y must have the shape of the output, \(4, 2\), got \(4, 1\)"):
        model.fit(x, nc.Tensor(y[:, :1], device), verbose=0)


def test_tensors_of_other_devices():
    x, _ = samples()
    model = model_on("reference")
    wanted = model.predict(x)
    np.testing.assert_array_equal(model.predict(nc.Tensor(x, "cpu")), wanted)  # through the host, where it is anyway
    with pytest.raises(DeviceError, match="x lies on another device .* and is wanted on 'reference'; copy it there"):
        model.predict(OnGpu())
    with pytest.raises(DeviceError, match=r'wanted on .cpu.; pass device="cuda", or copy it .*x.cpu\(\) in PyTorch'):
        F.relu(OnGpu())
    with pytest.raises(DataError, match="x lies on a GPU, and is wanted on the host here"):
        nc.verify(nc.ReLU(), OnGpu(), device="reference")


@pytest.mark.cuda
def test_a_tensor_on_the_gpu_where_it_is_wanted_on_the_host():
    x = nc.Tensor(samples()[0], "cuda")
    with pytest.raises(
        DeviceError, match=r"x lies on cuda, .* on 'cpu'; pass device=\"cuda\", or use x\.to\(\"cpu\"\)$"
    ):
        F.relu(x)  # the device is "cpu" unless said otherwise
    with pytest.raises(DeviceError, match=r"x lies on cuda, .* on 'cpu'; use x\.to\(\"cpu\"\)$"):
        model_on("cpu").predict(x)


class OnGpu:
    """As a library's array on a GPU shows itself."""

    shape, dtype = (4, 3, 6, 5), np.dtype("float32")
    __cuda_array_interface__ = {"shape": shape, "typestr": "<f4", "data": (0, False), "version": 3}

    def __dlpack_device__(self):
        return 2, 0

    def __array__(self, *args, **kwargs):
        raise TypeError("no implicit conversion")


@on_every_device
def test_functions_of_tensors(device):
    x, y = samples()
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((4, 3, 3, 3)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    tensor = nc.Tensor(x, device)
    wanted = F.conv2d(x, weight, bias, padding=1, device=device)
    for parameters in (weight, bias), (nc.Tensor(weight, device), nc.Tensor(bias, device)):
        got = F.conv2d(tensor, *parameters, padding=1, device=device)
        assert isinstance(got, nc.Tensor) and str(got.device) == device
        np.testing.assert_array_equal(got.numpy(), wanted)
    gradients = F.conv2d_backward(
        nc.Tensor(wanted, device), tensor, nc.Tensor(weight, device), padding=1, device=device
    )
    for got, want in zip(gradients, F.conv2d_backward(wanted, x, weight, padding=1, device=device), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(F.concat(tensor, tensor, device=device).numpy(), np.concatenate([x, x], axis=1))
    logits = nc.Tensor(rng.standard_normal((11, 4)), device)
    assert F.cross_entropy(logits, nc.Tensor(y, device), device=device) == F.cross_entropy(
        logits.numpy(), y, device=device
    )


def test_samples_stay_where_they_are():
    """Neither a training step nor ``predict`` brings samples or outputs to the host."""
    x, y = samples()
    device = late_device(0)
    brought = []
    tensors = nc.Tensor(x, device), nc.Tensor(y, device)
    model = model_on(device)
    get = device.memory.get
    device.memory.get = lambda array: brought.append(array.shape) or get(array)
    model.fit(*tensors, batch_size=4, epochs=2, verbose=0)
    model.predict(tensors[0])
    assert set(brought) == {(2,)}  # how many values are out of range, and the first
