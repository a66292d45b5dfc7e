"""Microseconds of the host per step of training, over the stand-in driver: ``cd tests && python -m standin.time_host``.

A real driver takes its own time for each of these calls, much of it for the launch of the graph; what is measured is
what Python adds. The processor's time is counted, in the thread that trains: others on the machine disturb it less.
"""

import os
import subprocess
import sys
import tempfile
from time import thread_time

import numpy as np

import standin

BATCH = 32


def measure(times=200, rounds=50):
    """Return microseconds by what is done: the least of several rounds."""
    import nbconv as nc
    from standin import control
    from standin.test_training import good_steps

    gpu = control.gpu()
    good_steps()
    layers = nc.Conv2d(8, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.25), nc.Flatten(), nc.Linear(10)
    net = nc.Sequential(*layers, input_shape=(1, 8, 8), device="cuda")
    net.compile(nc.SGD(0.1, momentum=0.9))
    samples, labels = np.zeros((BATCH * times, 1, 8, 8), "float32"), np.zeros(BATCH * times, "int64")

    def fit():
        net.fit(samples, labels, batch_size=BATCH, epochs=1, verbose=0)

    fit()
    control.pause()
    try:
        parts = _parts(gpu, samples, labels)
        found = {name: _least(part, times, rounds, gpu.synchronize) / times for name, part in parts.items()}
        return {**found, "a step of fit, all in all": _least(fit, 1, rounds, gpu.synchronize) / times}
    finally:
        control.pause(False)


def _parts(gpu, samples, labels):
    """What a step asks the device for, by name."""
    from cuda.bindings import driver as api

    from standin.test_memory import in_a_row
    from standin.test_sequence import double

    rows, numbers = np.arange(BATCH), np.ones(2)
    batch, some_labels = in_a_row(gpu, [((BATCH, 1, 8, 8), "float32"), ((BATCH,), "int64")])
    few, scores = gpu.empty((2,), "float64"), gpu.put(np.ones((gpu.steps_at_once, 4)))
    stage = gpu.intake([batch, some_labels])
    run = gpu.sequence([double.over(batch.size)(batch.reshape(-1), batch.reshape(-1))] * 30)
    run()
    graph, stream = run._graph, gpu._driver.stream
    return {
        "stage a batch (32 x 8 x 8 float32) and labels": lambda: stage((samples, labels), rows),
        "launch 30 kernels": run,
        "  of which the driver's launch of a graph": lambda: api.cuGraphLaunch(graph, stream),
        "fetch and read the numbers of four steps": lambda: gpu.fetch([scores]).arrays(),
        "write two numbers, when they have changed": lambda: gpu.write(few, numbers),
    }


def _least(part, times, rounds, settle):
    least = float("inf")
    for _ in range(rounds):
        begin = thread_time()
        for _ in range(times):
            part()
        least = min(least, thread_time() - begin)
        settle()
    return least * 1e6


def main():
    """Measure, in a process that finds the stand-in driver."""
    if "NBCONV_STANDIN" in os.environ:
        for name, microseconds in measure().items():
            print(f"{name:45s} {microseconds:6.2f} us")
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(standin.HERE.parent), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, **standin.build(folder), "PYTHONPATH": os.pathsep.join(paths)}
        subprocess.run([sys.executable, "-m", "standin.time_host"], env=environment, check=True)


if __name__ == "__main__":
    main()
