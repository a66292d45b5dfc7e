"""What the benchmark must know of an op: how a shape is written, which op it means, and which shapes have a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nbconv.engine.bind import gradient_names
from nbconv.ops.base import Op

Shape = dict[str, int]
"""As in a shapes file, without "op": ``{"N": 64, "C": 8, "H": 14, "W": 14}``."""

FORWARD_BACKWARD = ("forward", "backward")
FORWARD_GRADIENTS = ("forward", "input_grad", "weight_grad")


def layers_shape(shape: Shape) -> tuple[int, ...]:
    """The input of a layer on images, channels last."""
    return shape["N"], shape["H"], shape["W"], shape["C"]


def layers_label(shape: Shape) -> str:
    """``64x8x14x14``."""
    return "x".join(str(shape[name]) for name in "NCHW")


@dataclass(frozen=True)
class Kind:
    """An op of the benchmark, by the name it has in a shapes file."""

    name: str
    op: Callable[..., Op]
    """From a shape, and options such as ``algorithm``, to the op."""
    needs: tuple[str, ...]
    """Sizes that a shape must have."""
    may_have: Mapping[str, int] = field(default_factory=dict)
    """Sizes that may be left out, and what they are then. A default of ``True`` or ``False`` wants a truth value."""
    named: tuple[tuple[int, ...], ...] = ()
    """Sizes of the shapes measured by default, in the order of ``needs`` and ``may_have``."""
    directions: tuple[str, ...] = FORWARD_BACKWARD
    x: Callable[[Shape], tuple[int, ...]] = layers_shape
    """The shape of the op's inputs; labels have one number per row."""
    label: Callable[[Shape], str] = layers_label
    """A shape in few characters, for tables."""

    def shape(self, *sizes: int) -> Shape:
        """A whole shape from sizes in order; what is not given is the default."""
        names = (*self.needs, *self.may_have)
        return {**self.may_have, **dict(zip(names, sizes, strict=False))}

    def shapes(self) -> list[Shape]:
        """The named shapes."""
        return [self.shape(*sizes) for sizes in self.named]


class Case(NamedTuple):
    """An op on one shape: ``Case.of(KINDS["relu"], {"N": 64, "C": 8, "H": 28, "W": 28})``."""

    kind: Kind
    shape: Shape
    op: Op

    @classmethod
    def of(cls, kind: Kind, shape: Shape, **options) -> Case:
        """Raises ``OptionError`` or ``ShapeError`` where the sizes make no op, or none for this shape."""
        case = cls(kind, shape, kind.op(shape, **options))
        case.op.out_shape(*case.inputs)
        return case

    @property
    def inputs(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the op's inputs, channels last."""
        x = self.kind.x(self.shape)
        return tuple(x[:-1] if name in self.op.integer_inputs else x for name in self.op.inputs)

    @property
    def label(self) -> str:
        return self.kind.label(self.shape)

    def flops(self, direction: str) -> int:
        """Floating-point operations. Backward of what has no weights counts as its forward."""
        if direction in ("input_grad", "weight_grad"):
            return 2 * self.op.macs(*self.inputs)
        return self.op.flops(*self.inputs)

    def gradients(self, direction: str) -> tuple[str, ...]:
        """The operands whose gradients this direction computes."""
        return {
            "forward": (),
            "input_grad": self.op.inputs,
            "weight_grad": self.op.params,
            "backward": gradient_names(self.op),
        }[direction]
