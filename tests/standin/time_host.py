"""Microseconds of the host per step of training, over the stand-in driver: ``python -m standin.time_host`` says them.

A real driver takes its own time for each of these calls; what is measured here is what Python adds to it.
"""

import os
import subprocess
import sys
import tempfile
from time import perf_counter

import standin

KERNELS = 30


def main():
    import numpy as np
    from cuda.bindings import driver as api
    from numba import cuda

    from nbconv.cuda.kernel import kernel
    from standin import control

    @kernel
    def scale(x, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = x[i] + x[i]

    gpu = control.gpu()
    samples, labels = np.ones((512, 784), "float32"), np.zeros(512, "int64")
    batch, batch_labels = gpu.empty((32, 784), "float32"), gpu.empty((32,), "int64")
    hyper, loss = gpu.put(np.ones(2)), gpu.put(np.ones(1))
    host, rows = np.ones(2), np.arange(32)
    run = gpu.sequence([scale.over(batch.size)(batch.reshape(-1), batch.reshape(-1))] * KERNELS)
    run()
    control.pause()
    stream, graph = gpu._driver.stream, run._graph

    def take():
        gpu.take(batch, samples, rows)
        gpu.take(batch_labels, labels, rows)

    def nothing_but_the_gather():
        samples.take(rows, axis=0, out=gathered, mode="clip")

    gathered = np.empty((32, 784), "float32")
    held = []

    def fetch():
        held.append(gpu.fetch([loss]))
        if len(held) > 4:
            held.pop(0).arrays()

    def step():
        gpu.write(hyper, host)
        take()
        run()
        fetch()

    parts = {
        "write (lr, step)": lambda: gpu.write(hyper, host),
        "take (32 x 784 float32, 32 labels)": take,
        "  of which NumPy's gather": nothing_but_the_gather,
        "step": run,
        "  of which cuGraphLaunch": lambda: api.cuGraphLaunch(graph, stream),
        "fetch and read a loss": fetch,
        "all": step,
    }
    for name, part in parts.items():
        print(f"{name:40s} {best(part, gpu):6.2f} us")


def best(part, gpu, times=200, rounds=40):
    least = float("inf")
    for _ in range(rounds):
        begin = perf_counter()
        for _ in range(times):
            part()
        least = min(least, (perf_counter() - begin) / times)
        gpu.synchronize()
    return least * 1e6


if __name__ == "__main__":
    if "NBCONV_STANDIN" in os.environ:
        main()
    else:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, **standin.build(folder)}
            paths = [str(standin.HERE.parent), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(paths)
            subprocess.run([sys.executable, "-m", "standin.time_host"], env=environment, check=True)
