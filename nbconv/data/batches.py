"""Which samples form which batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..ops.options import integer


class Batches:
    """Cut ``count`` samples into batches, in an order that depends on seed and epoch alone.

    ``for index in Batches(100, 32).epoch(0): x[index]`` sees batches of 32, 32, 32 and 4 samples.

    An epoch allocates one array, the order of the samples, of which every batch is a view; with ``shuffle=False`` the
    batches are slices. Raises ``OptionError`` for sizes that are not positive integers or a negative seed.
    """

    def __init__(self, count: int, batch_size: int, *, shuffle: bool = True, seed: int = 0):
        self.count = integer(count, "count")
        self.batch_size = integer(batch_size, "batch_size")
        self.shuffle = shuffle
        self.seed = integer(seed, "seed", least=0)

    def __len__(self) -> int:
        """The number of batches of an epoch, the last and smaller one included."""
        return -(-self.count // self.batch_size)

    def epoch(self, number: int) -> Iterator[np.ndarray | slice]:
        """Yield the batches of one epoch (from 0), each as something to index samples with."""
        order = np.random.default_rng((self.seed, number)).permutation(self.count) if self.shuffle else None
        for start in range(0, self.count, self.batch_size):
            end = start + self.batch_size
            yield slice(start, min(end, self.count)) if order is None else order[start:end]
