"""The command ``nbconv``: each command is a few calls of the API."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from . import __version__
from .data.digits import digits
from .data.images import as_bytes, read_images, read_labelled
from .data.layout import channels_last
from .engine.registry import open_device, why_no_cuda
from .errors import DataError, NbconvError, NonFiniteError, OptionError
from .filters import BORDERS, FILTERS, filter_picture
from .io import cache
from .io.checkpoint import check_path
from .model import Model, load
from .ops.optimizer import SGD
from .train.callbacks import LearningRate
from .train.progress import showing_compilation
from .train.schedules import cosine
from .zoo import digits_net

DATASETS = {"digits": (digits, digits_net)}
"""By name: the function that loads a data set, and the one that builds a net for it."""


class Commands(click.Group):
    """Commands that report an expected error in one line, with exit code 2 (Ctrl-C: 130) and no traceback."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except NbconvError as error:
            click.echo(f"nbconv: error: {' '.join(str(error).split())}", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("nbconv: interrupted", err=True)
            context.exit(130)


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, reference or cuda.")
threads_option = click.option("--threads", type=int, help="Threads that run the kernels.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nbconv", message="%(prog)s %(version)s")
def main():
    """Train small convolutional nets, and use them."""


@main.command()
@click.argument("dataset")
@click.option("--epochs", type=int, default=20, show_default=True)
@click.option("--batch-size", type=int, default=32, show_default=True)
@click.option("--lr", type=float, default=0.05, show_default=True, help="Highest learning rate of the schedule.")
@click.option("--seed", type=int, default=0, show_default=True)
@device_option
@threads_option
@click.option("--out", type=click.Path(path_type=Path), help="Model file.  [default: DATASET.safetensors]")
def train(dataset, epochs, batch_size, lr, seed, device, threads, out):
    """Train a net on a data set that comes with nbconv: digits."""
    load_data, build = _dataset(dataset)
    out = out or Path(f"{dataset}.safetensors")
    replaced = check_path(out).exists()
    model = build(device=device, seed=seed, threads=threads)
    model.compile(SGD(lr=lr, momentum=0.9, weight_decay=5e-4), "cross_entropy", ["accuracy"])
    schedule = LearningRate(cosine(lr, epochs, warmup=1))
    (x, y), test = load_data()
    click.echo(f"training on {len(y)} images, testing on {len(test[1])}, device {model.device}")
    done = f"saved {out}{' (replaced)' if replaced else ''}"
    try:
        model.fit(x, y, batch_size, epochs, validation_data=test, callbacks=[schedule])
    except (NonFiniteError, KeyboardInterrupt):
        if model.step > 1:  # else nothing has been learnt
            model.save(out)
            click.echo(f"{done}: the parameters of epoch {model.epochs_trained + 1}, where training stopped")
        raise
    model.save(out)
    click.echo(done)
    click.echo(f"test accuracy {model.evaluate(*test)['accuracy']:.4f}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--invert", is_flag=True, help="Make dark light: for dark ink on white paper.")
@device_option
@threads_option
def predict(model, files, invert, device, threads):
    """Print the class and its probability for images in FILE...

    A file is an image of any size, or an .npy or .npz array of the model's shape (integers are pixels from 0 to 255,
    floats are taken as they are).
    """
    net = load(model, device, threads)
    for file in files:
        images = read_images(file, _image_shape(net), invert=invert)
        with _naming(file), showing_compilation(net.device):
            labels, probabilities = net.classify(_as_input(images, net))
        for i, (label, probability) in enumerate(zip(labels, probabilities, strict=True)):
            click.echo(f"{file}[{i}]  class {label}  {probability:.4f}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset")
@device_option
@threads_option
def evaluate(model, dataset, device, threads):
    """Print loss and accuracy on the test images of a data set, or on an .npz file with arrays x and y."""
    net = load(model, device, threads)
    if dataset.endswith(".npz"):
        x, y = read_labelled(dataset, _image_shape(net))
    else:
        load_data, _ = _dataset(dataset)
        _, (x, y) = load_data()
    if net.optimizer is None:
        net.compile()
    with _naming(dataset), showing_compilation(net.device):
        numbers = net.evaluate(_as_input(x, net), y)
    for name, value in numbers.items():
        click.echo(f"test {name} {value:.4f}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
def summary(model):
    """Print what the layers of a model make, hold, cost and see: shapes, parameters, multiply-adds, bytes, fields."""
    load(model, "reference").summary()


@main.command("filter", epilog=f"Filters: {', '.join(FILTERS)}.")
@click.argument("name")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--size", type=int, help="Pixels on a side, odd: box, gaussian, gabor.")
@click.option("--sigma", type=float, help="Width in pixels: gaussian, gabor.")
@click.option("--amount", type=float, help="Strength: sharpen.")
@click.option("--wavelength", type=float, help="Width of a stripe and a gap in pixels: gabor.")
@click.option("--angle", type=float, help="Direction of the wave in degrees, counter-clockwise: gabor.")
@click.option("--aspect", type=float, help="Width along the wave by that along the stripes: gabor.")
@click.option("--phase", type=float, help="0 for lines, 90 for edges: gabor.")
@click.option("--diagonal", is_flag=True, default=None, help="Count diagonal neighbours, too: laplacian.")
@click.option("--border", type=click.Choice(list(BORDERS)), default="reflect", show_default=True)
@click.option("--grey", is_flag=True, help="Make colours grey first.")
@device_option
def filter_command(name, source, target, border, grey, device, **options):
    """Filter a picture of any size, grey or colour: NAME is box, gaussian, sharpen, sobel, ...

    Edges are stretched to the full range of brightness; a line says what it means.
    """
    given = {option: value for option, value in options.items() if value is not None}
    with showing_compilation(open_device(device)):
        shown = filter_picture(source, target, name, border=border, grey=grey, device=device, **given)
    height, width = shown.shape[:2]
    click.echo(f"saved {target}{' (replaced)' if shown.replaced else ''}: {width} x {height}, {shown.meaning}")


@main.command()
def doctor():
    """Print versions, the CPU and what its kernels use, and the GPU or why there is none."""
    facts = {"nbconv": __version__, "python": f"{platform.python_version()} ({platform.platform()})"}
    facts |= {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    facts |= open_device("cpu").memory.describe()
    facts["gpu"] = f"none: {why_no_cuda()}"
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")


@main.group("cache")
def kernel_cache():
    """Show or delete the compiled kernels that are kept between runs."""


@kernel_cache.command("info")
def cache_info():
    """Print where compiled kernels are kept, of which versions, how many and of which size."""
    click.echo(cache.info())


@kernel_cache.command("clear")
@click.option("--old", is_flag=True, help="Keep those of this version.")
def cache_clear(old):
    """Delete compiled kernels; they are compiled again when they are needed."""
    deleted = cache.clear(old=old)
    for kept in deleted.versions:
        click.echo(f"deleted {kept.path}: {kept.size}")
    if not deleted.versions:
        click.echo(f"no {'old ' if old else ''}kernels in {deleted.location}")


def _dataset(name: str):
    try:
        return DATASETS[name]
    except KeyError:
        raise OptionError(f"there is no data set {name!r}; there is {', '.join(DATASETS)}") from None


@contextmanager
def _naming(file) -> Iterator[None]:
    """Put the file that data came from before what is wrong with the data."""
    try:
        yield
    except NbconvError as error:
        raise type(error)(f"{file}: {error}") from None


def _image_shape(model: Model) -> tuple[int, int, int]:
    """(C, H, W) of the images a model takes."""
    shapes = model.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise DataError(f"the model takes {' and '.join(map(str, shapes))}, not one image; use model.predict in Python")
    a, b, c = shapes[0]
    return (a, b, c) if model.data_format == "NCHW" else (c, a, b)


def _as_input(images: np.ndarray, model: Model) -> np.ndarray:
    """Images (N, C, H, W) in the order of axes, and of the dtype, that the model takes."""
    images = as_bytes(images) if model.input_dtypes == ["uint8"] else images
    return images if model.data_format == "NCHW" else channels_last(images, "NCHW")
