"""Kernels become machine code with no GPU, which is kept: for the next process, for several at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from machine_code import missing

from nbconv.io import cache

compiles = pytest.mark.skipif(missing() is not None, reason=str(missing()))

USE = """
import hashlib
import numpy as np
from nbconv.cuda import compiler
from nbconv.cuda.activation import _relu, _relu_backward
from nbconv.cuda.arguments import types_of

x = np.zeros(8, "float32")
compiled = []
with compiler.watch(compiled.append):
    cubins = [
        compiler.cubin(kernel, types_of([array] * count), capability)
        for kernel, count in ((_relu, 2), (_relu_backward, 3))
        for array, capability in ((x, (7, 5)), (x, (9, 0, "a")), (x.astype("float64"), (9, 0, "a")))
    ]
assert {cubin.name for cubin in cubins} == {"activation_relu", "activation_relu_backward"}
assert all(cubin.name.encode() in cubin.code for cubin in cubins)
assert compiler.compile_kernel(_relu, types_of([x] * 2), (7, 5))[0] == cubins[0]  # whatever was compiled before
print(len(compiled), hashlib.sha256(b"".join(cubin.code for cubin in cubins)).hexdigest())
"""
MADE = 6
"""What that compiles."""


def run(folder, code=USE, warnings="error"):
    """What code prints and warns of in a process of its own, with kernels kept in a folder."""
    environment = {**os.environ, "NBCONV_CACHE_DIR": str(folder)}
    command = [sys.executable, "-W", warnings, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def use(folder):
    """How many kernels were compiled, and all machine code's digest."""
    told, digest = run(folder)[0].split()
    return int(told) // 2, digest  # what is watched is told before and after


def files(folder):
    """Every file, with what tells that it was written again."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@compiles
def test_the_next_process_compiles_nothing(tmp_path, monkeypatch):
    made, digest = use(tmp_path)
    before = files(tmp_path)
    assert made == len(before) == MADE
    stems = [f"activation.{kernel}-{gpu}" for kernel in ("_relu", "_relu_backward") for gpu in ("sm_75", "sm_90a")]
    assert {path.name.rpartition("-")[0] for path in before} == set(stems)
    assert use(tmp_path) == (0, digest) and files(tmp_path) == before
    monkeypatch.setenv("NBCONV_CACHE_DIR", str(tmp_path))
    assert f"this version        {MADE} kernels" in str(cache.info())
    cache.clear()
    assert not files(tmp_path)


@compiles
def test_three_processes_start_cold_at_once(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        digests = {digest for _, digest in pool.map(lambda _: use(tmp_path), range(3))}
    before = files(tmp_path)
    assert len(before) == MADE and all(path.suffix == ".nbc" for path in before)
    assert {use(tmp_path)} == {(0, *digests)}


@compiles
def test_damaged_files_are_compiled_again(tmp_path):
    _, digest = use(tmp_path)
    whole = {path: path.read_bytes() for path in files(tmp_path)}
    truncated, changed, empty, foreign, *_ = sorted(whole)
    truncated.write_bytes(whole[truncated][:-100])
    changed.write_bytes(whole[changed][:-1] + bytes([whole[changed][-1] ^ 1]))
    empty.write_bytes(b"")
    foreign.write_bytes(whole[sorted(whole)[-1]])  # whole, but another kernel
    assert use(tmp_path) == (4, digest)
    assert {path: path.read_bytes() for path in files(tmp_path)} == whole


@compiles
def test_without_a_cache_kernels_are_compiled_and_one_warning_says_so(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    said, warned = run(blocked, warnings="always::UserWarning")
    assert said.split()[0] == str(2 * MADE) and warned.count("CacheWarning") == 1


@compiles
def test_kernels_use_what_they_say(tmp_path):
    code = """
import numpy as np
from numba import cuda
from nbconv.cuda.arguments import types_of
from nbconv.cuda.compiler import compile_kernel, cubin
from nbconv.cuda.kernel import Kernel

def spills(x, out):
    memory = cuda.local.array(100, np.float32)
    shared = cuda.shared.array(64, np.float32)
    shared[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    for i in range(100):
        memory[(7 * i) % 100] = shared[i % 64]
    out[0] = memory[int(x[0])]

x = np.zeros(8, np.float32)
assert cubin(Kernel(spills), types_of((x, x)), (8, 0)).code
print(*compile_kernel(Kernel(spills), types_of((x, x)), (8, 0))[1])
"""
    registers, stack, spills, shared = map(int, run(tmp_path, code)[0].split())
    assert 0 < registers < 64 and stack >= 400 and spills == 0 and shared == 256
    assert not files(tmp_path)  # nobody would notice that a kernel from elsewhere has changed


REFUSED = """
import numpy as np
from types import SimpleNamespace
from cuda.pathfinder import DynamicLibNotFoundError
from nbconv.cuda import compiler
from nbconv.cuda.activation import _relu
from nbconv.cuda.arguments import types_of
from nbconv.errors import DeviceError

def refused(capability):
    told = []
    try:
        with compiler.watch(told.append):
            compiler.cubin(_relu, types_of([np.zeros(8)] * 2), capability)
    except DeviceError as error:
        print(error)
    assert told == ["relu", None], told  # that is, nobody waits for it any more

def missing(*arguments):
    raise DynamicLibNotFoundError('Failure finding "libA.so": No such file')

refused((99, 0))
newer = compiler._ptx
compiler._ptx = lambda *arguments: newer(*arguments).replace(".version ", ".version 9")
refused((8, 0))
compiler.nvjitlink = SimpleNamespace(create=missing, nvJitLinkError=compiler.nvjitlink.nvJitLinkError)
refused((8, 0))
compiler.nvrtc = SimpleNamespace(nvrtcGetSupportedArchs=missing)
refused((8, 0))
"""


@compiles
def test_what_compilers_refuse_and_compilers_that_are_missing(tmp_path):
    unknown, newer, no_linker, no_nvrtc = run(tmp_path, REFUSED)[0].splitlines()
    assert all(word in unknown for word in ("compute capability 99.0", "7.5, 8.0", "pip install --upgrade"))
    assert "nvJitLink cannot read what NVVM wrote" in newer and "of one version of CUDA; pip install" in newer
    assert no_linker == no_nvrtc and 'is missing (Failure finding "libA.so"); pip install "nbconv[cuda' in no_nvrtc
    assert not files(tmp_path)


@compiles
def test_types_of_arguments():
    from nbconv.cuda.arguments import types_of

    array = SimpleNamespace(shape=(2, 3, 4), dtype=np.dtype("uint8"))
    numbers = None, True, np.bool_(1), 2**31 - 1, 2**31, -(2**31), 1.0, np.float32(1), np.uint64(1)
    assert list(map(str, types_of(numbers))) == [
        "none",
        "bool",
        "bool",
        "int32",
        "int64",
        "int32",
        "float64",
        "float32",
        "uint64",
    ]
    arrays = array, np.zeros(()), np.zeros(3, "int64")
    assert list(map(str, types_of(arrays))) == ["array(uint8, 3d, C)", "array(float64, 0d, C)", "array(int64, 1d, C)"]
    with pytest.raises(TypeError, match="arrays, numbers and None, not 'relu'"):
        types_of(["relu"])
