"""The nets a user works with."""

from .files import load
from .model import Model, Sequential

__all__ = ["Model", "Sequential", "load"]
