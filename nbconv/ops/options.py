"""What an option may be: each function returns it as a plain Python value, or says which option is wrong."""

from __future__ import annotations

from math import inf
from numbers import Integral, Real

import numpy as np

from ..errors import OptionError

LARGEST_SEED = 2**63 - 1


def integer(value, name: str, *, least: int = 1, most: int | None = None) -> int:
    """Return an integer of at least ``least``: ``integer(np.int64(3), "stride") == 3``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise OptionError(f"{name} must be an integer of at least {least}, got {value!r}")
    if most is not None and int(value) > most:
        raise OptionError(f"{name} must be an integer of at most {most}, got {value!r}")
    return int(value)


def number(
    value, name: str, *, least: float = -inf, above: float = -inf, most: float = inf, below: float = inf
) -> float:
    """Return a finite number in this range as a float: ``number(np.float32(0.5), "lr", least=0) == 0.5``."""
    try:
        given = float(value) if isinstance(value, Real) and not isinstance(value, bool) else None
    except OverflowError:
        given = None
    if given is None or not (least <= given <= most and above < given < below and abs(given) < inf):
        raise OptionError(f"{name} must be {_range(least, above, most, below)}, got {value!r}")
    return given


def flag(value, name: str) -> bool:
    """Return a truth value: ``flag(np.bool_(False), "bias") is False``. Numbers and strings are none."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(value, name: str, choices: tuple):
    """Return one of the choices: ``choice("same", "padding", ("valid", "same")) == "same"``."""
    if value not in choices:
        raise OptionError(f"{name} must be one of {choices}, got {value!r}")
    return value


def initializer(value):
    """Return the name of an initialiser, or a standard deviation as a float; ``initialize`` knows which there are."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def settle(op, **values) -> None:
    """Set fields of a frozen op, from its ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(op, name, value)


def _range(least: float, above: float, most: float, below: float) -> str:
    """Say a range in words, both of its ends: ``_range(-inf, 0, 1, inf) == "a number above 0 and at most 1"``."""
    low = f"at least {least}" if least > above else f"above {above}" if above > -inf else ""
    high = f"at most {most}" if most < below else f"less than {below}" if below < inf else ""
    if low == "above 0" and not high:
        return "positive and finite"
    if low == "at least 0" and not high:
        return "zero or more, and finite"
    if least > above and most < below:
        return f"a number between {least} and {most}"
    if low and high:
        return f"a number {'of ' if least > above else ''}{low} and {high}"
    if low or high:
        return f"a number {low or high}, and finite".replace("number at", "number of at")
    return "a finite number"
