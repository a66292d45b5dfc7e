"""Nets with names: each is a function that builds one, untrained, and returns logits."""

from .alexnet import AlexNet
from .cifar import CIFARNet
from .course import DeepConvNet, ThreeLayerConvNet
from .digits import digits_net
from .lenet import LeNet5
from .resnet import ResNet8, ResNet20
from .vgg import VGG11, VGG16

__all__ = [
    "VGG11",
    "VGG16",
    "AlexNet",
    "CIFARNet",
    "DeepConvNet",
    "LeNet5",
    "ResNet8",
    "ResNet20",
    "ThreeLayerConvNet",
    "digits_net",
]
