"""Models from files."""

from __future__ import annotations

from os import PathLike

from ..engine import serialize
from ..engine.registry import Device, open_device
from ..errors import DeviceError, FileFormatError, NbconvError
from ..io import checkpoint
from ..ops.options import integer
from .model import Model


def load(
    path: str | PathLike, device: str | Device = "auto", threads: int | None = None, rewrite: bool = True
) -> Model:
    """Return a model that ``save`` wrote, on any device, ready to predict or to train on.

    ``model = nbconv.load("digits.safetensors", device="cpu")``. Raises ``FileFormatError`` for a file that is missing,
    truncated, of another kind, or whose arrays do not fit its net; ``DeviceError`` where the device cannot hold it.
    """
    arrays, description = checkpoint.read(path)
    target = open_device(device)
    threads = None if threads is None else integer(threads, "threads")
    target.check_threads(threads)
    try:
        graph = serialize.graph_from_dict(description["graph"])
        model = Model.__new__(Model)
        dtype, seed, data_format = (description[key] for key in ("dtype", "seed", "data_format"))
        model._build(graph, target, dtype, seed, data_format, rewrite, threads)
        model.load_state_dict({name: a for name, a in arrays.items() if not name.startswith("optimizer.")})
        model.step, model.epochs_trained = (
            integer(description[key], key, least=0) for key in ("step", "epochs_trained")
        )
        training = description.get("training")
        if training:
            optimizer, loss, *metrics = map(
                serialize.op_from_dict, (training["optimizer"], training["loss"], *training["metrics"])
            )
            model._resume(optimizer, loss, metrics, training.get("l2", 0.0), arrays)
            model.lr, model._compiled().count = training["lr"], integer(training["count"], "count", least=0)
    except DeviceError:  # the file is not to blame
        raise
    except (NbconvError, KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path} does not hold a net that fits its arrays: {detail}") from None
    return model
