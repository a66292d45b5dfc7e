"""Kernels broken on purpose: what checks must find."""

from nbconv.engine.registry import open_device


def break_kernel(monkeypatch, device, op_type, spoil, *, backward=False):
    """Have a device's kernel of an op spoil its results: ``spoil(results)`` gets what it writes, by name."""
    table = open_device(device).package.KERNELS
    kernels = list(table[op_type])
    right = kernels[backward]

    def wrong(*operands, **results):
        call = right(*operands, **results)

        def run():
            call()
            spoil(results)

        return run

    kernels[backward] = wrong
    monkeypatch.setitem(table, op_type, tuple(kernels))
