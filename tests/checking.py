"""How far a device may be from the reference, and whether it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cases import Case, tolerance
from running import Bound, exact


def check_forward(case: Case, device: str, dtype: str) -> None:
    """Assert that a device computes what the reference computes in float64 from the same rounded inputs."""
    _check_results(case, dtype, Bound(case, device, dtype).forward())


def check_backward(case: Case, device: str, dtype: str) -> None:
    """Assert the same of all gradients; the reference starts from the device's own results of forward."""
    bound = Bound(case, device, dtype)
    _check_gradients(case, dtype, bound, bound.forward())


def check_both(case: Case, device: str, dtype: str) -> None:
    """Assert both of one run, for a device on which each takes long."""
    bound = Bound(case, device, dtype)
    results = bound.forward()
    _check_results(case, dtype, results)
    if case.op.differentiable:
        _check_gradients(case, dtype, bound, results)


def _check_results(case, dtype, results: dict) -> None:
    got, want = dict(results), exact(case, dtype).forward()
    if getattr(case.op, "pool", None):
        same = got["argmax"] == want["argmax"]
        _check_winners(case, dtype, got.pop("argmax"), want.pop("argmax"))
        if "winners" in got:
            np.testing.assert_array_equal(got.pop("winners")[same], want.pop("winners")[same])
    _check(case, dtype, got, want)


def _check_gradients(case, dtype, bound: Bound, results: dict) -> None:
    reference = exact(case, dtype)
    reference.adopt(results)
    _check(case, dtype, bound.backward(), reference.backward())


def _check(case, dtype, got: dict, want: dict) -> None:
    assert got.keys() == want.keys()
    distances = {name: distance(got[name], want[name]) for name in want}
    assert max(distances.values()) <= tolerance(case, dtype), distances


def _check_winners(case, dtype, got: np.ndarray, want: np.ndarray) -> None:
    """Another winner is right only where rounding decides: where it is a little less, by the reference."""
    op, pool = case.op, case.op.pool
    pooled = exact(case._replace(op=replace(op, pool=None)), dtype).forward()["out"]
    if pooled.ndim == 3:  # sequences are images of height 1
        pool, pooled, got, want = pool.as_2d, pooled[:, None], got[:, None], want[:, None]
    n, i, j, k = np.nonzero(got != want)
    value = {}
    for name, argmax in ("got", got), ("want", want):
        r, s = np.divmod(argmax[n, i, j, k].astype(int), pool.kernel_size[1])
        top, _, left, _ = pool.pads(pooled.shape)
        h = i * pool.stride[0] + r * pool.dilation[0] - top
        w = j * pool.stride[1] + s * pool.dilation[1] - left
        assert (h >= 0).all() and (w >= 0).all()
        value[name] = pooled[n, h, w, k]
    assert (value["got"] < value["want"]).all()
    assert (value["want"] - value["got"] <= tolerance(case, dtype) * np.abs(pooled).max()).all()


def distance(got: np.ndarray, want: np.ndarray) -> float:
    """The larger of norm(got - want) / norm(want) and the same with the largest absolute value for a norm.

    NaN and infinities must be in the same places, or the distance is infinite.
    """
    want = want.astype(got.dtype)
    if got.shape != want.shape or not _same_non_finite(got, want):
        return np.inf
    finite = np.isfinite(want)
    a, b = got[finite].astype(np.float64), want[finite].astype(np.float64)
    if np.array_equal(a, b):
        return 0.0
    norms = (lambda v: np.sqrt(np.sum(v**2))), (lambda v: np.abs(v).max())
    return float(max(_ratio(norm(a - b), norm(b)) for norm in norms))


def _same_non_finite(a, b) -> bool:
    special = ~np.isfinite(b)
    return np.array_equal(special, ~np.isfinite(a)) and np.array_equal(a[special], b[special], equal_nan=True)


def _ratio(a, b):
    return a / b if b else np.inf
