"""What a person sees while a net trains: a bar for the epoch that runs, a line for each that ended."""

from __future__ import annotations

import sys
from time import perf_counter

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
