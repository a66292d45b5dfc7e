"""The vectors of the processor that Numba compiles for."""

from __future__ import annotations

import numba
import numpy as np
from numba.core.codegen import get_host_cpu_features


def target_features() -> frozenset[str]:
    """Return the names of the target's features, LLVM's spelling: those of the host, or ``NUMBA_CPU_FEATURES``."""
    chosen = numba.config.CPU_FEATURES
    flags = get_host_cpu_features() if chosen is None else chosen
    return frozenset(flag[1:] for flag in flags.split(",") if flag.startswith("+"))


def vector_bits(features: frozenset[str]) -> int:
    """Return the width of the widest vectors: ``vector_bits({"avx2", "fma"}) == 256``; 128 is SSE2 or NEON."""
    if "avx512f" in features:
        return 512
    return 256 if "avx2" in features else 128


FEATURES = target_features()
VECTOR_BITS = vector_bits(FEATURES)
HAS_FMA = bool(FEATURES & {"fma", "avx512f", "neon", "fp-armv8"})


def lanes(dtype) -> int:
    """Return how many numbers one vector holds: ``lanes("float32") == 8`` with AVX2."""
    return VECTOR_BITS // (8 * np.dtype(dtype).itemsize)
