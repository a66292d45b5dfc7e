"""Writing a model file: where it cannot be written, and that nothing is left behind."""

import errno
from pathlib import Path

import numpy as np
import pytest

from nbconv.errors import FileFormatError
from nbconv.io import checkpoint

ARRAYS = {"0.weight": np.ones(3, np.float32)}


def test_what_is_written_is_read(tmp_path):
    checkpoint.write(tmp_path / "a", ARRAYS, {"seed": 1})
    arrays, description = checkpoint.read(tmp_path / "a")
    assert arrays["0.weight"].tolist() == [1, 1, 1] and description == {"seed": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_longest_name_there_can_be(tmp_path):
    path = tmp_path / ("a" * 250)
    checkpoint.write(path, ARRAYS, {})
    assert checkpoint.read(path).arrays


@pytest.mark.parametrize(
    "name, message",
    [
        (".", "cannot write .*: it is a folder; name a file in it"),
        ("none/a", "cannot write .*: there is no folder .*none; create it first"),
        ("a" * 300, "cannot write .*: File name too long; choose a shorter name"),
        ("a\0b", "cannot write .*null .*; choose another file"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, name, message):
    with pytest.raises(FileFormatError, match=message):
        checkpoint.write(tmp_path / name, ARRAYS, {})
    assert not list(tmp_path.iterdir())


def test_an_empty_path():
    with pytest.raises(FileFormatError, match="cannot write to an empty path: name a file"):
        checkpoint.write("", ARRAYS, {})


def test_a_folder_without_leave_to_write(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.os, "access", lambda path, mode: False)
    with pytest.raises(FileFormatError, match="the folder .* is not writable; choose another one"):
        checkpoint.write(tmp_path / "a", ARRAYS, {})


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoint.write(tmp_path / "a", ARRAYS, {})
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileFormatError, match="No space left on device; make room, or choose another disk"):
        checkpoint.write(tmp_path / "a", {}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and checkpoint.read(tmp_path / "a").arrays


def test_a_name_too_long_is_no_file(tmp_path):
    with pytest.raises(FileFormatError, match="there is no file"):
        checkpoint.read(tmp_path / ("a" * 300))
