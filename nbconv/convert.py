"""Models made of models."""

from __future__ import annotations

from collections.abc import Sequence

from .engine.fully_convolutional import fully_convolutional
from .engine.graph import input_symbol
from .errors import GraphError, OptionError, ShapeError
from .model import Model


def fc_to_conv(model: Model, input_shape: Sequence[int] | None = None) -> Model:
    """Return a model with convolutions for linear layers, which slides over larger images, with the same weights.

    ``nc.fc_to_conv(nc.zoo.AlexNet(), (3, 384, 384))`` maps (N, 3, 384, 384) to (N, 1000, 6, 6): in one pass, the logits
    of the 36 crops of 224x224 at steps of 32 pixels, the net's total stride. On images of the model's own size it maps
    to (N, 1000, 1, 1).

    A ``Linear`` behind a ``Flatten`` of (C, H, W) becomes a ``Conv2d`` with a kernel of H x W, any other one of 1x1; a
    ``GlobalAvgPool2d`` becomes an ``AvgPool2d`` of the image it saw, with a stride of 1. Parameters keep their names.
    Softmax at the end is one for each place. The result is a copy: it is not compiled, and both can be trained on.

    Parameters
    ----------
    model : Model
        Of one image; its graph may have branches.
    input_shape : (C, H, W), optional
        Of the larger images, in the model's ``data_format``; the model's own by default.

    Raises
    ------
    GraphError
        For a model that has several inputs, or a layer that cannot slide: one that looks at the whole image otherwise
        (layer, group and instance norm), a pool with ``ceil_mode`` whose windows hang over the edge of the model's own
        images, one that enlarges (``Upsample``, ``ConvTranspose2d`` with a stride), a ``RandomCrop`` that changes the
        size. The message names it.
    ShapeError
        For images with other channels or smaller than the model's, and where branches of different total strides would
        no longer fit together.

    Notes
    -----
    Each output equals that of the separate crop (up to rounding) if no layer pads: then a place computes the same from
    the same pixels. With padding, a crop has zeros where the larger image goes on, so that values near the border of a
    crop differ, and with enough layers all that it has; the sliding net is then as good a classifier, but another one
    (Sermanet et al., "OverFeat", 2014; Long, Shelhamer & Darrell, "Fully convolutional networks for semantic
    segmentation", 2015). Padding "same" with a stride may also begin at another pixel.
    A pool with ``ceil_mode`` whose windows do not hang over becomes one without.
    """
    if not isinstance(model, Model):
        raise OptionError(f"fc_to_conv needs a model, got {model!r}")
    if len(model.input_shapes) != 1:
        raise GraphError(f"fc_to_conv needs a model with one input, got one with {len(model.input_shapes)}")
    (own,) = model.input_shapes
    if len(own) != 3:
        raise GraphError(f"fc_to_conv needs a model of images, got one of samples of shape {own}")
    image = own if input_shape is None else input_shape
    wanted = input_symbol(image, model.data_format).shape
    *sizes, channels = input_symbol(own, model.data_format).shape
    if len(wanted) != 3 or wanted[-1] != channels or any(a < b for a, b in zip(wanted, sizes, strict=False)):
        raise ShapeError(
            f'fc_to_conv needs images at least as large as the {own} of the model (data_format="{model.data_format}"), '
            f"with as many channels, got {tuple(image)}; enlarge smaller images to the model's size"
        )
    graph = fully_convolutional(model.graph, wanted)
    try:
        graph.shapes(1)
    except ShapeError as error:
        raise ShapeError(f"the branches of the net do not fit together on images of {tuple(image)}: {error}") from None
    converted = model._like(model.device, graph)
    shapes = {".".join(key): converted.parameters.shape(key) for key in converted.parameters.names}
    converted.load_state_dict({name: array.reshape(shapes[name]) for name, array in model.state_dict().items()})
    return converted
