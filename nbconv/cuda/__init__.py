"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from ..ops.conv import Conv2d
from ..ops.conv_transpose import ConvTranspose2d
from ..ops.linear import Linear
from ..ops.resize import Pad2d, Upsample
from ..ops.sequence import AvgPool1d, Conv1d, GlobalAvgPool1d, MaxPool1d
from . import activation, conv, conv_transpose, device, linear, resize, sequence

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    Conv2d: (conv.conv2d, conv.conv2d_backward),
    Conv1d: (sequence.conv1d, sequence.conv1d_backward),
    ConvTranspose2d: (conv_transpose.conv_transpose2d, conv_transpose.conv_transpose2d_backward),
    Linear: (linear.linear, linear.linear_backward),
    MaxPool1d: (sequence.max_pool1d, sequence.max_pool1d_backward),
    AvgPool1d: (sequence.avg_pool1d, sequence.avg_pool1d_backward),
    GlobalAvgPool1d: (sequence.global_avg_pool1d, sequence.global_avg_pool1d_backward),
    Pad2d: (resize.pad2d, resize.pad2d_backward),
    Upsample: (resize.upsample, resize.upsample_backward),
    ReLU: (activation.relu, activation.relu_backward),
}
SCRATCH: dict = {
    Conv2d: (conv.forward_scratch, conv.backward_scratch),
    Conv1d: (sequence.forward_scratch, sequence.backward_scratch),
    ConvTranspose2d: (None, conv_transpose.backward_scratch),
    Linear: (None, linear.backward_scratch),
}
PREPARE: dict = {}
