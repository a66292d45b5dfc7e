"""Where kernels are kept: used by the next process, shared by several at once, mended when damaged, and cleared."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from click.testing import CliRunner
from processes import python, succeeds

import nbconv as nc
from nbconv import cli
from nbconv.io import cache

TRAIN = """
import hashlib
import numpy as np
import nbconv as nc
net = nc.Sequential(nc.BatchNorm(), nc.ReLU(), nc.GlobalAvgPool2d(), input_shape=(3, 6, 5), device="cpu")
net.compile(nc.SGD(lr=0.1, momentum=0.9))
x = np.random.default_rng(0).standard_normal((40, 3, 6, 5))
net.fit(x, np.arange(40) % 3, batch_size=16, epochs=2, verbose=0)
print(hashlib.sha256(b"".join(array.tobytes() for array in net.state_dict().values())).hexdigest())
"""

USE = """
from nbconv.cpu import activation, reshape
from nbconv.cpu.compile import serial
from nbconv.ops.reshape import Flatten
for shape in SHAPE, (2, 3, 4, 5):
    for op in ReLU(), Flatten():
        call, out = bound(op, shape)
        call()
        print(float(np.abs(out).sum(dtype="float64")))
"""
KERNELS = 4
"""What that needs: two kernels, each for all threads and for one."""

HITS = (
    USE
    + """
kernels = [build for kernel in (activation._relu, reshape._transpose) for build in (kernel, serial(kernel))]
print("loaded", sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels))
"""
)


def files(folder):
    """Every file, with what tells that it was written again."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def location(tmp_path, monkeypatch):
    monkeypatch.setenv("NBCONV_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def version_of(location, digits, *names, days=0):
    """A folder such as another version leaves."""
    folder = location / f"cpu-{digits * 16}"
    (folder / "parallel").mkdir(parents=True)
    for name in names:
        (folder / "parallel" / name).write_bytes(b"12345")
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))
    return folder


def test_the_next_process_compiles_nothing(tmp_path):
    assert succeeds(HITS, NBCONV_CACHE_DIR=str(tmp_path)).endswith("loaded 0\n")
    before = files(tmp_path)
    assert len(before) == KERNELS
    assert succeeds(HITS, NBCONV_CACHE_DIR=str(tmp_path)).endswith(f"loaded {KERNELS}\n")
    assert files(tmp_path) == before


def test_four_processes_start_cold_at_once(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: succeeds(TRAIN, NBCONV_CACHE_DIR=str(tmp_path)), range(4)))
    before = files(tmp_path)
    assert before and all(path.suffix == ".nbc" for path in before)
    assert {*results, succeeds(TRAIN, NBCONV_CACHE_DIR=str(tmp_path))} == {results[0]}
    assert files(tmp_path) == before


def test_damaged_files_are_compiled_again(tmp_path):
    want = succeeds(USE, NBCONV_CACHE_DIR=str(tmp_path))
    whole = {path: path.read_bytes() for path in files(tmp_path)}
    truncated, changed, empty, foreign = sorted(whole)
    truncated.write_bytes(whole[truncated][:-100])
    changed.write_bytes(whole[changed][:-1] + bytes([whole[changed][-1] ^ 1]))
    empty.write_bytes(b"")
    foreign.write_bytes(whole[truncated])
    assert succeeds(USE, NBCONV_CACHE_DIR=str(tmp_path)) == want
    assert set(files(tmp_path)) == set(whole)
    before = files(tmp_path)
    assert succeeds(USE, NBCONV_CACHE_DIR=str(tmp_path)) == want and files(tmp_path) == before


def test_a_cache_that_is_cleared_meanwhile_is_filled_again(tmp_path):
    clear = "import nbconv as nc; cpu.device.available(); nc.cache.clear()"
    code = (
        f"from nbconv.cpu.cache import folder; folder(); {clear}\n" + USE + "print(nc.cache.info().versions[0].kernels)"
    )
    assert succeeds(code, NBCONV_CACHE_DIR=str(tmp_path)).split()[-1] == str(KERNELS)


def test_warned_once_without_cache(tmp_path):
    """A file stands in the place of the folder: that stops even the superuser."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = python(
        USE + "print(cpu.device.describe()['kernel cache'])", warnings="always", NBCONV_CACHE_DIR=str(blocked)
    )
    assert result.returncode == 0 and result.stdout.endswith("none\n")
    assert result.stderr.count("CacheWarning") == 1
    assert "set NBCONV_CACHE_DIR" in result.stderr and str(blocked) in result.stderr


def test_a_full_disk_is_no_error(tmp_path):
    code = """
import os
def full(*arguments): raise OSError(28, "No space left on device")
os.replace = full
"""
    result = python(code + USE, warnings="always", NBCONV_CACHE_DIR=str(tmp_path))
    assert result.returncode == 0 and "No space left on device" in result.stderr
    assert not files(tmp_path)


def missing(package):
    raise PackageNotFoundError(package)


@pytest.mark.parametrize("device", cache.COMPILERS)
def test_the_folder_is_named_after_sources_and_compiler(tmp_path, monkeypatch, location, device):
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    kernels = tmp_path / device
    kernels.mkdir()
    (kernels / "compile.py").write_text("one")
    names = [cache.current(device)]
    assert cache.current(device) == names[0] and names[0].parent == location and names[0].name.startswith(device)
    (kernels / "compile.py").write_text("two")
    names.append(cache.current(device))
    (kernels / "helper.py").write_text("another")
    names.append(cache.current(device))
    monkeypatch.setattr(cache, "version", lambda package: "1000")
    names.append(cache.current(device))
    monkeypatch.setattr(cache, "version", missing)
    names.append(cache.current(device))
    assert len(set(names)) == 5


def test_serial_and_parallel_builds_are_kept_apart(tmp_path):
    """Two builds of one function under one name would be taken for each other."""
    code = """
from nbconv.cpu.compile import serial
from nbconv.cpu.reshape import _transpose
for kernel, parallel in ((_transpose, True), (serial(_transpose), False)):
    assert bool(kernel.targetoptions.get("parallel")) is parallel
    print(sum(kernel.stats.cache_hits.values()))
"""
    succeeds(USE, NBCONV_CACHE_DIR=str(tmp_path))
    assert succeeds(USE + code, NBCONV_CACHE_DIR=str(tmp_path)).split()[-2:] == ["1", "1"]


def test_numba_is_left_as_the_user_set_it(tmp_path):
    """Neither its settings nor where the user's own kernels are cached change."""
    (tmp_path / "mine.py").write_text("import numba\n@numba.njit(cache=True)\ndef twice(x):\n    return x + x\n")
    succeeds(
        f"""
import os, sys
from pathlib import Path
import numba
bound(ReLU(), SHAPE)[0]()
assert numba.config.CACHE_DIR == {str(tmp_path / "users")!r}
assert numba.config.THREADING_LAYER == "default" and numba.config.BOUNDSCHECK is None
sys.path.insert(0, {str(tmp_path)!r})
import mine
assert mine.twice(2.0) == 4.0 and not mine.twice.targetoptions.get("fastmath")
assert list(Path({str(tmp_path / "users")!r}).rglob("mine.twice*.nbi"))
assert not list(Path({str(tmp_path / "users")!r}).rglob("*relu*"))
assert list(Path({str(tmp_path / "ours")!r}).rglob("*relu*.nbc"))
""",
        NUMBA_CACHE_DIR=str(tmp_path / "users"),
        NBCONV_CACHE_DIR=str(tmp_path / "ours"),
    )


def test_info(location):
    assert str(cache.info()) == f"{location}: 0.0 MB\n  no kernels"
    current = cache.open_current()
    (current / "a.relu-parallel-1.nbc").write_bytes(bytes(100))
    gpus = cache.open_current("cuda")
    (gpus / "a.relu-sm_90a-1.nbc").write_bytes(bytes(10))
    os.utime(gpus, (1, 1))
    old = version_of(location, "0", "a.nbi", "a.1.nbc", "b.1.nbc", days=2)
    (location / "cpu-notes").mkdir()
    info = cache.info()
    assert info.location == location and info.nbytes == 125
    assert [(v.path, v.current, v.kernels, v.nbytes) for v in info.versions] == [
        (current, True, 1, 100),
        (gpus, True, 1, 10),
        (old, False, 2, 15),
    ]
    assert info.versions[0].used.day != info.versions[2].used.day
    lines = str(info).splitlines()
    assert f"{current.name}  this version         1 kernel, 0.0 MB" in lines[1]
    assert f"{gpus.name}  this version         1 kernel, 0.0 MB" in lines[2]
    assert f"{old.name}  another version     2 kernels, 0.0 MB" in lines[3]


@pytest.mark.parametrize("old", [False, True])
def test_clear_deletes_kernels_and_nothing_else(location, old):
    current = cache.open_current()
    kept = [location / "notes.txt", current / "mine.txt", location / "cpu-1" / "a.nbc", location / "other" / "a.nbc"]
    linked = location.parent / "elsewhere" / "a.nbc"
    for path in (*kept, linked, current / "a.nbc", current / "a.nbc.tmp.12"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1")
    (location / f"cpu-{'2' * 16}").symlink_to(linked.parent)
    (current / "link.nbc").symlink_to(linked)
    before = version_of(location, "0", "a.nbi", "a.1.nbc")
    deleted = nc.cache.clear(old=old)
    assert {v.path for v in deleted.versions} == ({before} if old else {before, current})
    assert all(path.exists() for path in (*kept, linked)) and not before.exists()
    assert (current / "a.nbc").exists() == (current / "a.nbc.tmp.12").exists() == old


def test_versions_long_unused_go_when_a_new_one_comes(location):
    unused = version_of(location, "0", "a.nbi", days=cache.UNUSED_DAYS + 1)
    used = version_of(location, "1", "a.nbi", days=cache.UNUSED_DAYS - 1)
    current = cache.open_current()
    assert not unused.exists() and used.exists() and current.exists()
    unused = version_of(location, "0", "a.nbi", days=cache.UNUSED_DAYS + 1)
    os.utime(current, (0, 0))
    assert cache.open_current() == current and current.stat().st_mtime > 0  # it has been used
    assert unused.exists()


def test_command(location):
    cache.open_current()
    old = version_of(location, "0", "a.nbi", "a.1.nbc")

    def lines(*arguments):
        result = CliRunner().invoke(cli.main, ["cache", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    assert lines("info") == str(cache.info()).splitlines()
    assert lines("clear", "--old") == [f"deleted {old}: 1 kernel, 0.0 MB"]
    assert lines("clear")[0].startswith(f"deleted {cache.current()}: 0 kernels")
    assert lines("clear") == [f"no kernels in {location}"]


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("NBCONV_CACHE_DIR", "")
    assert cache.location() != Path()
