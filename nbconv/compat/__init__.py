"""What other people's code expects, computed by nbconv."""

from . import cs231n

__all__ = ["cs231n"]
