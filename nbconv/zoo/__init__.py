"""Nets with names: each is a function that builds one, untrained."""

from .digits import digits_net

__all__ = ["digits_net"]
