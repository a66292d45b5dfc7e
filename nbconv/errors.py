"""Errors a user can meet: what was given, what is needed, and the way out where there is one."""


class NbconvError(Exception):
    """Base class of every error raised on purpose."""


class ShapeError(NbconvError, ValueError):
    """A shape, or an option that fixes a shape, does not fit."""


class GraphError(NbconvError, ValueError):
    """Layers are wired in a way that makes no net."""


class DataError(NbconvError, ValueError):
    """Values given to a model are not what it can use: NaN, labels out of range, a wrong dtype, nothing at all."""


class OptionError(NbconvError, ValueError):
    """An option has a value that is not one of its choices or lies outside its range."""


class DeviceError(NbconvError, RuntimeError):
    """A device is unknown, absent or cannot do what was asked."""


class OutOfDeviceMemory(DeviceError):
    """A GPU has less free memory than was asked for (bytes: ``free``, ``asked``); the model is as it was."""

    def __init__(self, message: str, *, asked: int = 0, free: int = 0):
        super().__init__(message)
        self.asked, self.free = asked, free


class KernelFault(DeviceError):
    """A kernel failed while it ran; nothing more can be computed on its GPU in this process."""


class UnsupportedOp(NbconvError, NotImplementedError):
    """A device has no kernel for an op."""


class FileFormatError(NbconvError, ValueError):
    """A file is truncated, of another kind, or does not fit the model."""


class NonFiniteError(NbconvError, ArithmeticError):
    """Training met a NaN or an infinity and stopped; the parameters are those before the bad step."""
