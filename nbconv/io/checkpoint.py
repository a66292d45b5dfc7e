"""A model file: named arrays in safetensors, and a description in JSON in its header. Never pickle."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import FileFormatError

FORMAT = 1
"""Version of the description; a file of a later version is refused."""


MENDS = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room, or choose another disk",
}
"""What to do where a system call fails, by the number of its error."""


class Checkpoint(NamedTuple):
    """What a model file holds."""

    arrays: dict[str, np.ndarray]
    description: dict


def check_path(path) -> Path:
    """Return the path of a file that can be written, or raise ``FileFormatError`` and say why it cannot."""
    if not str(path):
        raise FileFormatError("cannot write to an empty path: name a file")
    path = Path(path)
    folder = path.parent
    if os.path.isdir(path):
        raise FileFormatError(f"cannot write {path}: it is a folder; name a file in it")
    if not os.path.isdir(folder):
        raise FileFormatError(
            f"cannot write {path}: there is no folder {folder}; create it first, or choose a folder that exists"
        )
    if not os.access(folder, os.W_OK):
        raise FileFormatError(
            f"cannot write {path}: the folder {folder.absolute()} is not writable; choose another one"
        )
    return path


def write(path, arrays: Mapping[str, np.ndarray], description: Mapping) -> None:
    """Write a model file; an existing one is replaced only when the new one is complete."""
    path = check_path(path)
    header = {"format": FORMAT, **description}
    data = save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, {"nbconv": json.dumps(header)})
    partial = path.with_name(f".{token_hex(8)}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except (OSError, ValueError) as error:
        number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, str(error))
        mend = MENDS.get(number or 0, "choose another file")
        raise FileFormatError(f"cannot write {path}: {reason}; {mend}") from None
    finally:
        partial.unlink(missing_ok=True)


def read(path) -> Checkpoint:
    """Read a model file; raises ``FileFormatError`` for one that is missing, truncated or of another kind."""
    path = Path(path)
    if not os.path.isfile(path):
        raise FileFormatError(f"there is no file {path}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"{path} is not a complete safetensors file ({error}); it may be truncated, copy or save it again"
        ) from None
    if "nbconv" not in metadata:
        raise FileFormatError(
            f"{path} has arrays but no description of a net: nbconv did not write it; "
            f"build the net and use model.load_state_dict(safetensors.numpy.load_file(path)) if the arrays fit"
        )
    try:
        description = json.loads(metadata["nbconv"])
        version = description.pop("format")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise FileFormatError(f"{path} has a damaged description of its net; save the model again") from None
    if version != FORMAT:
        raise FileFormatError(f"{path} has format {version!r}, this version of nbconv reads {FORMAT}; upgrade nbconv")
    return Checkpoint(arrays, description)
