"""What the cuda device needs of a machine, what of it is missing here, and how to mend that.

    requirements.problem()      # None, or "no NVIDIA driver is installed (there is no libcuda.so.1); install one ..."

It can be asked where any of it is missing: this file imports neither Numba nor CuPy, and asks the driver itself.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

OLDEST_CUDA = (12, 0)
"""The oldest CUDA that a driver must support."""

OLDEST_GPU = (7, 5)
"""The lowest compute capability that kernels are made for."""

DRIVERS = {"cuda13": "580", "cuda12": "525"}
"""By extra of the package: the oldest driver that its CUDA runs on."""

DOWNLOAD = "https://www.nvidia.com/drivers"

NEWEST_NUMPY = (2, 4)
"""The newest NumPy that numba-cuda works with."""

PACKAGES = {
    "numba-cuda": ("numba-cuda",),
    "CuPy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "cuda-core": ("cuda-core",),
    "cuda-bindings": ("cuda-bindings",),
}
"""What must be installed by pip or conda, and the packages that are it."""

LIBRARIES = {
    "nvvm": ("nvidia-nvvm", "nvidia-cuda-nvcc-cu12"),
    "nvJitLink": ("nvidia-nvjitlink", "nvidia-nvjitlink-cu12"),
    "nvrtc": ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"),
}
"""Compilers of CUDA, and the packages that bring them; a CUDA toolkit has them, too."""


class Gpu(NamedTuple):
    """A GPU that the driver shows to this process."""

    name: str
    capability: tuple[int, int]

    def __str__(self):
        return f"{self.name} (compute capability {_dotted(self.capability)})"


class Driver(NamedTuple):
    """NVIDIA's driver."""

    version: tuple[int, int]
    """The newest CUDA that it supports."""
    gpus: tuple[Gpu, ...] = ()
    failure: str | None = None
    """The name of the error that it starts with."""


class Machine(NamedTuple):
    """What there is of all that the cuda device needs."""

    driver: Driver | None
    packages: Mapping[str, str]
    """Versions of what is installed, by the name of the package."""
    libraries: frozenset[str] = frozenset()
    """Compilers that are there although no package brought them."""
    environment: Mapping[str, str] = os.environ

    @property
    def extra(self) -> str:
        """The extra of the package for this driver."""
        return "cuda12" if self.driver and self.driver.version < (13, 0) else "cuda13"

    @property
    def pip(self) -> str:
        """The command that installs what this driver can use."""
        return f'pip install "nbconv[{self.extra}]"'

    def installed(self, names: tuple[str, ...]) -> tuple[int, ...] | None:
        """The version of the first of these packages that is installed."""
        found = next((self.packages[name] for name in names if name in self.packages), None)
        return tuple(int(number) for number in re.findall(r"\d+", found)[:2]) if found else None


def problem(index: int = 0) -> str | None:
    """Say why GPU ``index`` cannot be used and how to mend that; ``None`` if it can.

    In Numba's simulator (``NUMBA_ENABLE_CUDASIM=1``) no GPU is needed.
    """
    wanted, got = simulated(), _settled()
    if got is not None and wanted != got:
        act, kind = ("set", "without its simulator") if wanted else ("unset", "with its simulator")
        return (
            f"NUMBA_ENABLE_CUDASIM was {act} when Numba had been imported, {kind}; "
            f"{act} it before Numba is imported: start Python again"
        )
    return explain(look(), index)


def simulated(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for Numba's simulator; what is no integer does not, as Numba has it."""
    try:
        return bool(int(environment.get("NUMBA_ENABLE_CUDASIM", 0)))
    except ValueError:
        return False


def describe() -> dict[str, str]:
    """What there is to say about this machine's GPUs, by name."""
    machine = look()
    why = explain(machine, 0)
    if why is None and simulated(machine.environment):
        why = "kernels run in the simulator (NUMBA_ENABLE_CUDASIM=1)"
    driver, gpus = machine.driver, machine.driver.gpus if machine.driver else ()
    usable = f"; not usable: {why}" if why else ""
    facts = {"gpu": "; ".join(f"{i}: {gpu}" for i, gpu in enumerate(gpus)) + usable if gpus else f"none: {why}"}
    if driver:
        facts["driver"] = f"for CUDA up to {_dotted(driver.version)}"
    packages = [" ".join(item) for item in machine.packages.items() if item[0] != "numpy"]
    if packages:
        facts["cuda packages"] = ", ".join(packages)
    return facts


@cache
def look() -> Machine:
    """Look at this machine, once in a process: a driver does not show other GPUs later."""
    names = (name for names in (*PACKAGES.values(), *LIBRARIES.values(), ("numpy",)) for name in names)
    packages = _installed(names)
    driver = ask_driver()
    unpackaged = [name for name, names in LIBRARIES.items() if driver and not any(n in packages for n in names)]
    return Machine(driver, packages, frozenset(filter(_in_a_toolkit, unpackaged)))


def ask_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver | None:
    """Ask the driver for its version and its GPUs; ``None`` if there is none."""
    try:
        library = load(_library())
    except OSError:
        return None
    number = _number(library.cuDriverGetVersion)
    supported = number // 1000, number % 1000 // 10
    error = library.cuInit(0)
    if error == _NO_DEVICE:
        return Driver(supported)
    if error:
        name = ctypes.c_char_p()
        library.cuGetErrorName(error, ctypes.byref(name))
        return Driver(supported, failure=name.value.decode() if name.value else f"error {error}")
    return Driver(supported, tuple(_gpu(library, i) for i in range(_number(library.cuDeviceGetCount))))


def explain(machine: Machine, index: int = 0) -> str | None:
    """Say why a machine's GPU ``index`` cannot be used and how to mend that; ``None`` if it can."""
    return next(_problems(machine, index), None)


def missing_compiler(error: Exception) -> str:
    """Say how to mend that a compiler of CUDA was not found."""
    return f"a compiler of CUDA is missing ({str(error).partition(':')[0]}); {look().pip}"


def refused_code(log: str) -> str:
    """Say how to mend that nvJitLink does not take what NVVM wrote."""
    return f"nvJitLink cannot read what NVVM wrote ({log}): they must be of one version of CUDA; {look().pip}"


def upgrade() -> str:
    """Return the command that installs the newest of what this machine's driver can use."""
    return look().pip.replace("install", "install --upgrade", 1)


def _settled() -> bool | None:
    """Whether kernels run in the simulator, where that cannot change any more: Numba has been imported."""
    kernel, config = (sys.modules.get(name) for name in (f"{__package__}.cuda.kernel", "numba.core.config"))
    if kernel is not None and hasattr(kernel, "SIMULATED"):
        return kernel.SIMULATED
    return None if config is None else bool(getattr(config, "ENABLE_CUDASIM", 0))


def _problems(machine: Machine, index: int) -> Iterator[str]:
    """What is wrong, the first first: what comes later may be a consequence."""
    if simulated(machine.environment):
        yield from _of_simulator(machine)
        yield from _of_numpy(machine, 'pip install "nbconv[cudasim]"')
        return
    yield from _of_driver(machine)
    assert machine.driver
    yield from _of_gpus(machine.driver.gpus, index, machine.environment.get("CUDA_VISIBLE_DEVICES"))
    yield from _of_packages(machine)
    yield from _of_numpy(machine, machine.pip)
    yield from _of_compilers(machine)


def _of_simulator(machine: Machine) -> Iterator[str]:
    if "numba-cuda" not in machine.packages or not find_spec("greenlet"):
        yield 'the simulator needs numba-cuda and greenlet; pip install "nbconv[cudasim]"'


def _of_driver(machine: Machine) -> Iterator[str]:
    driver = machine.driver
    if driver is None:
        then = f", then {machine.pip}" if _missing_packages(machine) else ""
        yield (
            f"no NVIDIA driver is installed (there is no {_library()}); install one from {DOWNLOAD}, or start the "
            f"container with its GPUs{then}"
        )
    elif driver.version < OLDEST_CUDA:
        yield (
            f"the NVIDIA driver is too old: it supports CUDA {_dotted(driver.version)}, and {_dotted(OLDEST_CUDA)} is "
            f'needed; install driver {DRIVERS["cuda13"]} or newer from {DOWNLOAD}, then pip install "nbconv[cuda13]"'
        )
    elif driver.failure:
        yield (
            f"the NVIDIA driver does not start ({driver.failure}); restart the machine, which an update of the driver "
            f"needs, and if that does not help, install the driver anew from {DOWNLOAD}"
        )


def _of_gpus(gpus: tuple[Gpu, ...], index: int, visible: str | None) -> Iterator[str]:
    if not gpus and visible is not None:
        yield f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU; unset it, or set it to the number of a GPU"
    elif not gpus:
        yield "the NVIDIA driver finds no GPU; nvidia-smi shows those it knows"
    elif index >= len(gpus):
        there = ", ".join(f'"cuda:{i}" is {gpu.name}' for i, gpu in enumerate(gpus))
        yield f"there is no GPU {index}: {there}"
    elif gpus[index].capability < OLDEST_GPU:
        yield f"{gpus[index]} is too old: {_dotted(OLDEST_GPU)} is needed, as of the GeForce RTX 20 and the T4"


def _of_packages(machine: Machine) -> Iterator[str]:
    missing = _missing_packages(machine)
    if missing:
        yield f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; {machine.pip}"
    majors = {name: major for name in machine.packages if (major := _cuda_major(machine, name))}
    if len(set(majors.values())) > 1:
        kinds = ", ".join(f"{name} is for CUDA {major}" for name, major in majors.items())
        yield f"packages for different versions of CUDA are installed: {kinds}; in a new environment, {machine.pip}"
    needed = machine.installed(("cuda-bindings",))
    if needed and machine.driver and needed[0] > machine.driver.version[0]:
        yield (
            f"the NVIDIA driver is too old for the packages of CUDA {needed[0]} that are installed: it supports CUDA "
            f"{_dotted(machine.driver.version)}; in a new environment, {machine.pip}, or install driver "
            f"{DRIVERS['cuda13']} or newer from {DOWNLOAD}"
        )


def _of_numpy(machine: Machine, pip: str) -> Iterator[str]:
    numpy = machine.installed(("numpy",))
    if numpy and numpy > NEWEST_NUMPY:
        yield f"numba-cuda works with NumPy up to {_dotted(NEWEST_NUMPY)}, and {_dotted(numpy)} is installed; {pip}"


def _of_compilers(machine: Machine) -> Iterator[str]:
    versions = {name: machine.installed(names) for name, names in LIBRARIES.items()}
    missing = [name for name, found in versions.items() if found is None and name not in machine.libraries]
    if missing:
        yield f"CUDA's {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; {machine.pip}"
    nvvm, linker = versions["nvvm"], versions["nvJitLink"]
    if nvvm and linker and nvvm > linker:
        yield (
            f"nvJitLink {_dotted(linker)} cannot read what NVVM {_dotted(nvvm)} writes: they must be of one version of "
            f"CUDA; {machine.pip}"
        )


def _missing_packages(machine: Machine) -> list[str]:
    return [name for name, names in PACKAGES.items() if machine.installed(names) is None]


def _cuda_major(machine: Machine, package: str) -> int | None:
    """The major version of CUDA that a package is for, if it is for one."""
    if package.startswith("cupy-cuda"):
        return int(package.removeprefix("cupy-cuda").removesuffix("x"))
    if package == "cuda-bindings" or package.startswith("nvidia-"):
        return int(machine.packages[package].split(".")[0])
    return None


_NO_DEVICE = 100
_CAPABILITY = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


def _library() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def _number(function: Callable, *arguments) -> int:
    """What a function of the driver writes into its first argument."""
    number = ctypes.c_int()
    error = function(ctypes.byref(number), *arguments)
    assert not error, f"{function} returned {error}"
    return number.value


def _gpu(library, index: int) -> Gpu:
    device = _number(library.cuDeviceGet, index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), device)
    major, minor = (_number(library.cuDeviceGetAttribute, attribute, device) for attribute in _CAPABILITY)
    return Gpu(name.value.decode(), (major, minor))


def _installed(names) -> dict[str, str]:
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _in_a_toolkit(library: str) -> bool:
    """Whether a compiler that no package brought is there nevertheless."""
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError:
        return False
    try:
        load_nvidia_dynamic_lib(library)
    except DynamicLibNotFoundError:
        return False
    return True


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
