"""The devices agree on which ops there are and how they are called, and every op has a case."""

import inspect
import pkgutil
from importlib import import_module
from inspect import Parameter, Signature

import pytest
from cases import CASES
from devices import DEVICES, WITH_CUDA

from nbconv import ops
from nbconv.engine import registry
from nbconv.engine.registry import Device, kernels, open_device
from nbconv.errors import DeviceError, UnsupportedOp
from nbconv.ops.base import Layer, Op
from nbconv.ops.loss import Loss
from nbconv.ops.optimizer import Optimizer

ABSTRACT = {Op, Layer, Loss, Optimizer}


def _op_types():
    """Every op that a module of ``nbconv.ops`` defines, but for base classes."""
    modules = [import_module(f"{ops.__name__}.{m.name}") for m in pkgutil.iter_modules(ops.__path__)]
    classes = {c for m in modules for _, c in inspect.getmembers(m, inspect.isclass) if issubclass(c, Op)}
    return sorted((c for c in classes - ABSTRACT if c.__name__[0] != "_"), key=lambda c: c.__name__)


OPS = _op_types()
FUNCTIONS = {
    "available",
    "empty",
    "put",
    "get",
    "write",
    "take",
    "intake",
    "synchronize",
    "sequence",
    "on_compile",
    "describe",
}

every_op = pytest.mark.parametrize("op_type", OPS)
every_device = pytest.mark.parametrize("device", WITH_CUDA)
every_package = pytest.mark.parametrize("device", registry.DEVICES)


def package_of(device):
    """A device's package; that with kernels for a GPU can be read where there is none."""
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="pip install numba-cuda, to see which kernels the cuda device has")
    return import_module(f"nbconv.{device}")


def expected(op_type, operands, results):
    """The signature that an op's class prescribes."""
    scratch = ["scratch"] if op_type.uses_scratch else []
    return [(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ["op", *operands]] + [
        (name, Parameter.KEYWORD_ONLY) for name in [*results, *scratch]
    ]


def actual(function):
    parameters = inspect.signature(function).parameters.values()
    assert all(p.default is Parameter.empty for p in parameters)
    return [(p.name, p.kind) for p in parameters]


@every_package
@every_op
def test_kernels_have_the_signature_of_their_op(op_type, device):
    forward, backward = kernels(op_type, Device(device, 0, package_of(device)))
    operands = [*op_type.inputs, *op_type.params, *op_type.state, *op_type.context]
    assert actual(forward) == expected(op_type, operands, ["out", *op_type.saved])
    if op_type.differentiable:
        fixed = (*op_type.integer_inputs, *op_type.constants)
        inputs = [name for name in op_type.inputs if name not in fixed]
        gradients = [f"d{name}" for name in (*inputs, *op_type.params)]
        assert actual(backward) == expected(op_type, ["dy", *op_type.backward_reads], gradients)
    else:
        assert backward is None


@every_op
def test_backward_reads_what_forward_had(op_type):
    operands = {*op_type.inputs, *op_type.params, *op_type.state, *op_type.context, "out", *op_type.saved}
    assert operands.issuperset(op_type.backward_reads)


@every_op
def test_a_variadic_op_has_one_input_that_backward_does_not_read(op_type):
    assert not op_type.variadic or (len(op_type.inputs) == 1 and op_type.inputs[0] not in op_type.backward_reads)


@every_package
def test_no_device_has_more_ops(device):
    assert set(package_of(device).KERNELS) == set(OPS)


@every_package
def test_working_memory_is_asked_for_by_ops_that_take_it(device):
    package = package_of(device)
    for op_type in [*package.SCRATCH, *package.PREPARE]:
        assert op_type in OPS and op_type.uses_scratch


@every_op
def test_every_op_has_a_case(op_type):
    assert any(type(case.op) is op_type for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_op_is_its_options(case):
    assert type(case.op)(**case.op.options()) == case.op


@every_device
def test_devices_have_the_same_functions(device):
    memory, reference = (open_device(name).memory for name in (device, "reference"))
    for name in FUNCTIONS:
        assert bare(getattr(memory, name)) == bare(getattr(reference, name)), name


def bare(function):
    """A signature without annotations."""
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=Signature.empty)


@every_device
def test_a_device_is_usable_and_describes_itself(device):
    memory = open_device(device).memory
    assert memory.available() is None
    described = memory.describe()
    assert described and all(isinstance(v, str) for pair in described.items() for v in pair)


def test_a_missing_kernel_is_named():
    class Polish(Op):
        pass

    with pytest.raises(UnsupportedOp, match=r"Polish has no kernel on 'reference', which has .*Conv2d.*"):
        kernels(Polish, open_device("reference"))


@pytest.mark.parametrize("spec", ["gpu", "cpu:0", "", "cuda:", None, 0])
def test_unknown_devices_are_refused(spec):
    with pytest.raises(DeviceError, match='"cpu"'):
        open_device(spec)


def test_devices_are_opened_by_name():
    assert [str(open_device(name)) for name in DEVICES] == list(DEVICES)
    device = open_device("reference")
    assert open_device(device) is device
    assert open_device("auto").name in DEVICES
