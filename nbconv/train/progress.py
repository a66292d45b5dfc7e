"""What is shown while a net trains: what is compiled, a bar for the epoch that runs, a line for each that ended."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter

from ..engine.registry import Device
from ..errors import OptionError
from .callbacks import Callback, Logs

REFRESH_SECONDS = 0.1


class ProgressBar(Callback):
    """Show a bar on a terminal, and a line per epoch.

    ``ProgressBar(epochs=20, samples=1437, batch_size=32)`` prints after the third epoch::

        epoch  3/20  loss 0.1234  accuracy 0.9651  val_loss 0.1010  val_accuracy 0.9722  12345 images/s

    ``verbose`` is Keras's: 0 shows nothing, 1 the bar and the lines, 2 the lines. Where the error stream is no terminal
    there is no bar. The bar is drawn at most ten times a second; a batch costs one look at the clock. The rate counts
    training alone, without validation.
    """

    def __init__(self, epochs: int, samples: int, batch_size: int, verbose: int = 1):
        if verbose not in (0, 1, 2):
            raise OptionError(f"verbose must be 0 (nothing), 1 (bar and lines) or 2 (lines), got {verbose!r}")
        self.epochs = epochs
        self.samples = samples
        self.batch_size = batch_size
        self.verbose = verbose
        self._bar = None

    def on_epoch_begin(self, epoch, logs):
        if self.verbose == 1 and sys.stderr.isatty():
            self._bar = _bar(self._title(epoch), self.samples)
        self._began = self._last = self._drawn = perf_counter()

    def on_batch_end(self, step, logs):
        self._last = perf_counter()
        if self._bar is not None and self._last - self._drawn >= REFRESH_SECONDS:
            self._drawn = self._last
            self._bar.set_postfix_str(numbers(logs), refresh=False)
            self._bar.n = min(self.samples, (step + 1) * self.batch_size)
            self._bar.refresh()

    def on_epoch_end(self, epoch, logs):
        self._close()
        if self.verbose:
            rate = self.samples / max(self._last - self._began, 1e-9)
            print(f"{self._title(epoch)}  {numbers(logs)}  {rate:.0f} images/s", flush=True)

    def on_train_end(self):
        self._close()

    def _title(self, epoch: int) -> str:
        return f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"

    def _close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class CompileLine:
    """Say on the error stream which kernel is being compiled; a ``report`` for a device's ``on_compile``.

    ``with memory.on_compile(CompileLine("cpu")): ...`` shows::

        compiling kernels for cpu, once per version: convolve (3) ...

    On a terminal that is one line, renewed for each kernel and gone when the last is done; elsewhere a line per kernel.
    Where nothing has to be compiled there is none.
    """

    def __init__(self, device: str):
        self._device = device
        self._count = 0

    def __call__(self, kernel: str | None) -> None:
        """Take the name of a kernel that is about to be compiled, or ``None`` when it is done."""
        renewed = sys.stderr.isatty()
        if kernel is not None:
            self._count += 1
            line = f"compiling kernels for {self._device}, once per version: {kernel} ({self._count}) ..."
            print(f"\r\x1b[K{line}" if renewed else line, end="" if renewed else "\n", file=sys.stderr, flush=True)
        elif renewed:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def showing_compilation(device: Device, verbose: int = 1) -> AbstractContextManager:
    """Return a context in which a line says what is compiled, or for ``verbose=0`` nothing does."""
    return device.memory.on_compile(CompileLine(str(device))) if verbose else nullcontext()


def numbers(logs: Logs) -> str:
    """Write the numbers of an epoch: ``numbers({"loss": 0.25}) == "loss 0.2500"``."""
    return "  ".join(f"{name} {_number(value)}" for name, value in logs.items())


def _number(value: float) -> str:
    return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4f}"


def _bar(description: str, samples: int):
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread that wakes the bar

    return Bar(total=samples, desc=description, unit=" images", leave=False, dynamic_ncols=True)
