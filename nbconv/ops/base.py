"""What an op is: a frozen value that knows its shapes, its parameters and the arguments of its kernels.

The names listed on the class *are* the signature of its kernels, on every device::

    forward(op, *inputs, *params, *state, *context, *, out, *saved[, scratch])
    backward(op, dy, *backward_reads, *, d<input>..., d<param>...[, scratch])

``tests/test_registry.py`` holds each device to it. What an op does not use in its present form (the bias of
``Conv2d(bias=False)``, a gradient nobody wants) is passed as ``None``. A ``variadic`` op reads any number of values by
one name: its kernels take that operand, and its gradient, as a tuple of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar, NamedTuple

from ..errors import GraphError, NbconvError, OptionError
from .receptive import Window

Shape = tuple[int, ...]
RESERVED_NAMES = ("input", "labels")
RESERVED_PREFIX = "optimizer"


class Buffer(NamedTuple):
    """An array a kernel needs besides its inputs and outputs; the plan allocates it."""

    shape: Shape
    dtype: str


@dataclass(frozen=True)
class Op:
    """Base of everything a device has a kernel for: layers, losses, metrics, optimisers.

    Shapes are full shapes, batch first and channels last: (N, H, W, C) or (N, C).
    """

    inputs: ClassVar[tuple[str, ...]] = ("x",)
    variadic: ClassVar[bool] = False
    """Whether the one input stands for two or more values, which backward does not read."""
    integer_inputs: ClassVar[tuple[str, ...]] = ()
    """Inputs that carry integers (labels): no gradient flows into them."""
    constants: ClassVar[tuple[str, ...]] = ()
    """Inputs of floating-point numbers that no gradient flows into: targets."""
    updates: ClassVar[tuple[str, ...]] = ()
    """Inputs that forward changes in place: the parameters that an optimiser moves."""
    params: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ()
    """Arrays that forward updates and that are saved with the model, but not trained."""
    context: ClassVar[tuple[str, ...]] = ()
    """Small arrays that the plan fills at every step: ``rng`` (seed, step, node), ``hyper`` (lr, step)."""
    saved: ClassVar[tuple[str, ...]] = ()
    """What forward keeps for backward beside its operands."""
    backward_reads: ClassVar[tuple[str, ...]] = ()
    """Operands of forward (inputs, params, context, ``out``, saved) that backward takes again."""
    differentiable: ClassVar[bool] = True
    uses_scratch: ClassVar[bool] = False
    """Whether kernels take ``scratch``, a dict of arrays that the device asks for in its ``SCRATCH`` table."""
    takes_bytes: ClassVar[bool] = False
    """Whether kernels take inputs of uint8, as pictures are stored, beside those of floating-point numbers."""
    out_dtype: ClassVar[str | None] = None
    """The dtype of ``out`` where it is always the same, and not the plan's; see ``result_dtype``."""
    includes: ClassVar[tuple[type[Op], ...]] = ()
    """Of a loss, the layers whose work it does itself: no model that it trains may end in one."""
    starts_at_one: ClassVar[tuple[str, ...]] = ()
    """Parameters and state whose initial value is 1; others start at 0, a ``weight`` by the layer's ``init``."""
    canonical_axes: ClassVar[dict[str, tuple[int, ...]]] = {}
    """Axes that take a parameter from the layout inside to PyTorch's: ``np.transpose(weight, axes)``.

    A parameter with another number of axes has the same layout everywhere.
    """

    def axes_outside(self, name: str, ndim: int) -> tuple[int, ...]:
        """The axes that take a parameter of ``ndim`` axes from the layout inside to PyTorch's."""
        axes = self.canonical_axes.get(name, ())
        return axes if len(axes) == ndim else tuple(range(ndim))

    def input_names(self) -> tuple[str, ...]:
        """A name for each value that this form of the op reads: ``inputs``, or as many as a variadic op has."""
        return self.inputs

    def out_shape(self, *shapes: Shape) -> Shape:
        """The shape of the output; raises ``ShapeError`` where the inputs do not fit."""
        raise TypeError(f"{type(self).__name__} does not define out_shape")

    def result_dtype(self, *dtypes: str) -> str:
        """The dtype of the output for inputs of these: "uint8", "int64", "float64", or "float" for the plan's.

        Raises ``GraphError`` for uint8 where kernels take floating-point numbers only.
        """
        if "uint8" in dtypes and not self.takes_bytes:
            raise GraphError(
                f"{type(self).__name__} needs floating-point numbers, but its input is uint8; put Normalize() before "
                f"it, which makes numbers from 0 to 1 of bytes"
            )
        return self.out_dtype or "float"

    def param_shapes(self, *shapes: Shape) -> dict[str, Shape]:
        """The parameters present in this form of the op, in the layout inside."""
        return {}

    def fans(self, *shapes: Shape) -> tuple[int, int]:
        """Inputs that feed one output, and outputs that one input feeds: (fan_in, fan_out) of ``weight``."""
        return 1, 1

    def regularized(self) -> tuple[str, ...]:
        """The parameters that L2 regularisation draws to zero: no biases, and no scales, which start at one."""
        return tuple(name for name in self.params if name == "weight" and name not in self.starts_at_one)

    def state_shapes(self, *shapes: Shape) -> dict[str, Shape]:
        """The state arrays present in this form of the op."""
        return {}

    def saved_shapes(self, *shapes: Shape) -> dict[str, Buffer]:
        """The saved arrays present in this form of the op; dtype ``"float"`` stands for the plan's."""
        return {}

    def hands_on(self) -> tuple[str, ...]:
        """Working arrays of forward that whoever reads the output finds among its own, where the device has them."""
        return ()

    def reads_in_backward(self) -> tuple[str, ...]:
        """The members of ``backward_reads`` that this form of the op needs; the others are passed as ``None``."""
        return self.backward_reads

    def check_batch(self, *shapes: Shape) -> None:
        """Raise ``ShapeError`` for what only the batch size can break."""

    def windows(self, *shapes: Shape) -> tuple[Window, ...] | None:
        """Through which window a value looks at each axis of its input, or ``None`` if it depends on the whole.

        As it stands: a value sees the one at its place, and a feature vector sees the whole of the images it is made
        of. An op that looks at more, or that moves values, says so. (The statistics of a batch do not count.)
        """
        (_, *seen, _), (_, *made, _) = shapes[0], self.out_shape(*shapes)
        if seen and not made:
            return None
        if seen != made:
            raise TypeError(f"{type(self).__name__} does not define windows")
        return (Window(),) * len(made)

    def macs(self, *shapes: Shape) -> int:
        """Multiply-accumulates of forward with learned weights."""
        return 0

    def flops(self, *shapes: Shape) -> int:
        """Floating-point operations of forward: a multiply-add counts as two."""
        return 0

    def elements_moved(self, *shapes: Shape) -> int:
        """The fewest array elements that forward must read and write."""
        return 0

    def options(self) -> dict:
        """The fields that differ from their defaults: ``type(op)(**op.options()) == op``."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {f.name: values[f.name] for f in fields(self) if _short(values[f.name]) != f.default}

    def __repr__(self):
        positional = [f.name for f in fields(self) if not f.kw_only][:1]
        options = {name: _short(value) for name, value in self.options().items() if name != "name"}
        shown = [repr(value) if name in positional else f"{name}={value!r}" for name, value in options.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def _short(value):
    """Write equal integers once: ``_short((3, 3)) == 3``."""
    same = isinstance(value, tuple) and all(isinstance(v, int) for v in value) and len(set(value)) == 1
    return value[0] if same else value


@dataclass(frozen=True, repr=False)
class Layer(Op):
    """An op that a user places in a net.

    ``Conv2d(16, 3)(x)`` adds a node to the graph of which ``x`` is a part. A layer is a value: calling it twice makes
    two nodes, each with parameters of its own.
    """

    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self):
        if self.name is not None:
            _check_name(self.name)

    def placed(self, *shapes: Shape) -> Layer:
        """This layer where it reads values of these shapes; a variadic one then knows how many they are."""
        return self

    def __call__(self, *inputs: Symbol) -> Symbol:
        fits = len(inputs) >= 2 if self.variadic else len(inputs) == len(self.inputs)
        if not fits or not all(isinstance(i, Symbol) for i in inputs):
            kinds = ", ".join(type(i).__name__ for i in inputs) or "nothing"
            needs = "two or more graph values" if self.variadic else f"{len(self.inputs)} graph value(s)"
            raise GraphError(
                f"{self!r} takes {needs} ({', '.join(self.inputs)}), got {kinds}; "
                f"start from nbconv.Input((C, H, W)), or use nbconv.functional for arrays"
            )
        shapes = [(1, *i.shape) for i in inputs]
        try:
            op = self.placed(*shapes)
            shape = op.out_shape(*shapes)[1:]
            dtype = op.result_dtype(*(i.dtype for i in inputs))
        except NbconvError as error:
            index = len({id(s) for i in inputs for s in i.upstream() if s.op is not None})
            raise type(error)(f"{describe(index, self)}: {error}") from None
        return Symbol(op, inputs, shape, dtype=dtype)


def _check_name(name) -> None:
    """Raise ``OptionError`` for a name that would not be a clear prefix in ``state_dict`` and in model files."""
    if not isinstance(name, str) or not name or "." in name:
        raise OptionError(f'the name of a layer must be a string without ".", such as "stem", got {name!r}')
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX):
        raise OptionError(
            f"the name {name!r} is reserved: {', '.join(RESERVED_NAMES)} and names that begin with {RESERVED_PREFIX} "
            f"mean something else in a model file; choose another name"
        )


def describe(index: int, op: Op) -> str:
    """Name a layer in a message: ``layer 3 (Conv2d "stem")``."""
    name = getattr(op, "name", None)
    return f"layer {index} ({type(op).__name__}{f' {name!r}' if name else ''})"


@dataclass(frozen=True, eq=False)
class Symbol:
    """A value of a graph under construction: the layer that makes it and the shape of one sample, channels last.

    ``dtype`` is "uint8", or "float" for the model's.
    """

    op: Layer | None
    inputs: tuple[Symbol, ...]
    shape: Shape
    name: str | None = None
    dtype: str = "float"

    def upstream(self) -> list[Symbol]:
        """This value and all it is made from, each once, producers before consumers."""
        order: list[Symbol] = []
        seen: set[int] = set()
        stack = [(self, False)]
        while stack:
            symbol, finished = stack.pop()
            if finished:
                order.append(symbol)
            elif id(symbol) not in seen:
                seen.add(id(symbol))
                stack.append((symbol, True))
                stack.extend((i, False) for i in reversed(symbol.inputs))
        return order
