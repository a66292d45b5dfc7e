"""What is missing for the cuda device, in words, on machines that are made up."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from commands import nbconv

from nbconv import requirements
from nbconv.requirements import Driver, Gpu, Machine, ask_driver, explain

H100 = Gpu("NVIDIA H100", (9, 0))
CUDA13 = {
    "numpy": "2.4.6",
    "numba-cuda": "0.30.4",
    "cupy-cuda13x": "14.2.0",
    "cuda-core": "1.2.2",
    "cuda-bindings": "13.0.3",
    "nvidia-nvvm": "13.0.88",
    "nvidia-nvjitlink": "13.0.88",
    "nvidia-cuda-nvrtc": "13.0.88",
}
CUDA12 = {
    "numba-cuda": "0.30.4",
    "cupy-cuda12x": "14.2.0",
    "cuda-core": "1.2.2",
    "cuda-bindings": "12.9.10",
    "nvidia-cuda-nvcc-cu12": "12.9.86",
    "nvidia-nvjitlink-cu12": "12.9.86",
    "nvidia-cuda-nvrtc-cu12": "12.9.86",
}
PIP12, PIP13 = 'pip install "nbconv[cuda12]"', 'pip install "nbconv[cuda13]"'


def machine(driver=(13, 0), gpus=(H100,), packages=None, libraries=(), failure=None, **environment):
    driver = driver and Driver(driver, gpus, failure)
    return Machine(driver, CUDA13 if packages is None else packages, frozenset(libraries), environment)


def without(*names):
    return {name: version for name, version in CUDA13.items() if name not in names}


class FakeDriver:
    """The functions of NVIDIA's driver library that are asked, as ctypes would call them."""

    def __init__(self, version=13000, gpus=(), error=0, name=None):
        self.version, self.gpus, self.error, self.name = version, gpus, error, name

    def cuDriverGetVersion(self, number):
        number._obj.value = self.version
        return 0

    def cuInit(self, flags):
        assert flags == 0
        return self.error

    def cuGetErrorName(self, error, name):
        assert error == self.error
        name._obj.value = self.name
        return 0 if self.name else 1

    def cuDeviceGetCount(self, number):
        number._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, number, index):
        number._obj.value = 40 + index  # what a device is called is the driver's business
        return 0

    def cuDeviceGetName(self, name, size, device):
        assert size == len(name)
        name.value = self.gpus[device - 40].name.encode()
        return 0

    def cuDeviceGetAttribute(self, number, attribute, device):
        number._obj.value = self.gpus[device - 40].capability[{75: 0, 76: 1}[attribute]]
        return 0


@pytest.mark.parametrize(
    "usable, index",
    [
        (machine(), 0),
        (machine(gpus=(H100, H100)), 1),
        (machine((13, 4)), 0),
        (machine((12, 4), packages=CUDA12), 0),
        (machine((13, 0), packages=CUDA12), 0),
        (machine(gpus=(Gpu("Tesla T4", (7, 5)),)), 0),
        (machine(packages={**CUDA13, "nvidia-nvjitlink": "13.5.37"}), 0),
        (machine(packages=without("nvidia-nvvm", "nvidia-nvjitlink"), libraries=("nvvm", "nvJitLink")), 0),
        (machine(packages={**without("cupy-cuda13x"), "cupy": "14.2.0"}), 0),
    ],
)
def test_nothing_is_missing(usable, index):
    assert explain(usable, index) is None


@pytest.mark.parametrize(
    "lacking, words",
    [
        (machine(None), ["no NVIDIA driver is installed", requirements.DOWNLOAD, "start the container with its GPUs"]),
        (machine(None, packages={}), ["no NVIDIA driver is installed", PIP13]),
        (machine((11, 8)), ["driver is too old: it supports CUDA 11.8, and 12.0 is needed", "driver 580", PIP13]),
        (machine(gpus=(), failure="CUDA_ERROR_UNKNOWN"), ["does not start (CUDA_ERROR_UNKNOWN); restart"]),
        (machine(gpus=()), ["the NVIDIA driver finds no GPU; nvidia-smi"]),
        (machine(gpus=(), CUDA_VISIBLE_DEVICES=""), ["CUDA_VISIBLE_DEVICES='' hides every GPU; unset it"]),
        (machine(gpus=(), CUDA_VISIBLE_DEVICES="7"), ["CUDA_VISIBLE_DEVICES='7' hides every GPU"]),
        (
            machine(gpus=(Gpu("GeForce GTX 1080", (6, 1)),)),
            ["GeForce GTX 1080 (compute capability 6.1) is too old: 7.5 is needed"],
        ),
        (machine(packages={}), ["numba-cuda and CuPy and cuda-core and cuda-bindings are not installed", PIP13]),
        (machine((12, 2), packages={}), ["are not installed", PIP12]),
        (machine(packages=without("numba-cuda")), ["numba-cuda is not installed", PIP13]),
        (machine(packages=without("cupy-cuda13x")), ["CuPy is not installed", PIP13]),
        (machine(packages=without("cuda-core")), ["cuda-core is not installed", PIP13]),
        (machine(packages=without("cuda-bindings")), ["cuda-bindings is not installed", PIP13]),
        (
            machine((12, 8)),
            ["too old for the packages of CUDA 13 that are installed: it supports CUDA 12.8", PIP12, "driver 580"],
        ),
        (
            machine(packages={**without("cupy-cuda13x"), "cupy-cuda12x": "14.2.0"}),
            ["for different versions of CUDA", "cupy-cuda12x is for CUDA 12", "cuda-bindings is for CUDA 13", PIP13],
        ),
        (
            machine(packages={**CUDA13, "numpy": "2.5.0"}),
            ["numba-cuda works with NumPy up to 2.4, and 2.5 is installed", PIP13],
        ),
        (machine(packages=without("nvidia-nvvm")), ["CUDA's nvvm is missing", PIP13]),
        (
            machine(packages=without("nvidia-nvvm", "nvidia-nvjitlink"), libraries=("nvvm",)),
            ["CUDA's nvJitLink is missing", PIP13],
        ),
        (
            machine(packages={**CUDA13, "nvidia-nvvm": "13.4.92"}),
            ["nvJitLink 13.0 cannot read what NVVM 13.4 writes", PIP13],
        ),
    ],
)
def test_what_is_missing_and_the_mend(lacking, words):
    why = explain(lacking)
    assert all(word in why for word in words) and "\n" not in why, why


def test_the_gpus_there_are_are_named():
    why = explain(machine(gpus=(H100, Gpu("Tesla T4", (7, 5)))), 2)
    assert why == 'there is no GPU 2: "cuda:0" is NVIDIA H100, "cuda:1" is Tesla T4'


@pytest.mark.parametrize(
    "packages, why",
    [
        ({"numba-cuda": "0.30.4", "numpy": "2.4.6"}, None),
        ({"numpy": "2.4.6"}, 'needs numba-cuda and greenlet; pip install "nbconv[cudasim]"'),
        ({"numba-cuda": "0.30.4", "numpy": "2.5.1"}, '2.5 is installed; pip install "nbconv[cudasim]"'),
    ],
)
def test_the_simulator_needs_no_gpu(monkeypatch, packages, why):
    monkeypatch.setattr(requirements, "find_spec", lambda name: name == "greenlet")
    said = explain(machine(None, packages=packages, NUMBA_ENABLE_CUDASIM="1"))
    assert said == why if why is None else why in said
    assert "no NVIDIA driver" in explain(machine(None, packages=packages, NUMBA_ENABLE_CUDASIM="0"))


@pytest.mark.parametrize("value, meant", [("1", True), ("-1", True), ("0", False), ("", False), ("true", False)])
def test_the_simulator_is_asked_for_as_numba_has_it(value, meant):
    environment = {"NUMBA_ENABLE_CUDASIM": value}
    assert requirements.simulated(environment) == meant
    code = "from nbconv.engine.registry import open_device; open_device('auto')\n"
    code += "from numba import config; print(bool(config.ENABLE_CUDASIM))"
    command = [sys.executable, "-W", "ignore", "-c", code]  # Numba warns of what is no integer
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (str(meant), "")


@pytest.mark.parametrize("first, then, said", [("0", "1", "set"), ("1", "0", "unset")])
@pytest.mark.parametrize("asked", [True, False])
def test_the_simulator_must_be_asked_for_before_numba_is_imported(first, then, said, asked):
    code = f"""
import os
from nbconv.engine.registry import open_device
from nbconv.errors import DeviceError
if {asked}:
    open_device("auto")
import numba
os.environ["NUMBA_ENABLE_CUDASIM"] = "{then}"
assert open_device("auto").name == "cpu"
try:
    open_device("cuda")
except DeviceError as error:
    print(error)
"""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": first, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"was {said} when Numba had been imported, with" in done.stdout
    assert f"; {said} it before Numba is imported: start Python again" in done.stdout


def test_the_driver_is_asked():
    gpus = H100, Gpu("Tesla T4", (7, 5))
    assert ask_driver(lambda name: FakeDriver(12080, gpus)) == Driver((12, 8), gpus)
    assert ask_driver(lambda name: FakeDriver(gpus=gpus, error=100)) == Driver((13, 0))
    failed = ask_driver(lambda name: FakeDriver(error=803, name=b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"))
    assert failed == Driver((13, 0), failure="CUDA_ERROR_SYSTEM_DRIVER_MISMATCH")
    assert ask_driver(lambda name: FakeDriver(error=12345)).failure == "error 12345"


@pytest.mark.parametrize("platform, library", [("linux", "libcuda.so.1"), ("win32", "nvcuda.dll")])
def test_without_a_driver_its_library_is_named(monkeypatch, platform, library):
    monkeypatch.setattr(sys, "platform", platform)

    def load(name):
        assert name == library
        raise OSError(f"{name}: cannot open shared object file")

    assert ask_driver(load) is None
    assert f"there is no {library}" in explain(machine(None))


def test_this_machine_is_looked_at(monkeypatch):
    installed = {**without("nvidia-nvvm"), "pip": "1"}

    def version(name):
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(requirements, "version", version)
    monkeypatch.setattr(requirements, "_in_a_toolkit", lambda library: library == "nvvm")
    monkeypatch.setattr(requirements, "ask_driver", lambda: Driver((13, 0), (H100,)))
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    monkeypatch.setattr(requirements, "_settled", lambda: None)
    looked = requirements.look.__wrapped__()
    monkeypatch.setattr(requirements, "look", lambda: looked)
    assert looked.packages == without("nvidia-nvvm") and looked.libraries == {"nvvm"}
    assert requirements.problem() is None
    assert "there is no GPU 1" in requirements.problem(1)
    assert requirements.upgrade() == 'pip install --upgrade "nbconv[cuda13]"'


@pytest.mark.parametrize(
    "found, lines",
    [
        (machine(None, packages={}), {"gpu": "none: no NVIDIA driver is installed"}),
        (machine(), {"gpu": "0: NVIDIA H100 (compute capability 9.0)", "driver": "for CUDA up to 13.0"}),
        (
            machine((12, 4), packages={}),
            {"gpu": "0: NVIDIA H100 (compute capability 9.0); not usable: numba-cuda and CuPy"},
        ),
        (
            machine(packages=without("cuda-core")),
            {"cuda packages": "numba-cuda 0.30.4, cupy-cuda13x 14.2.0, cuda-bindings"},
        ),
    ],
)
def test_doctor(monkeypatch, found, lines):
    monkeypatch.setattr(requirements, "look", lambda: found)
    facts = dict(line.split("  ", 1) for line in nbconv("doctor"))
    assert all(facts[name].strip().startswith(text) for name, text in lines.items())


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(requirements, "look", lambda: machine((12, 4)))
    error = RuntimeError('Failure finding "libnvJitLink.so.12": No such file\n  listdir("/somewhere")')
    said = requirements.missing_compiler(error)
    assert said == f'a compiler of CUDA is missing (Failure finding "libnvJitLink.so.12"); {PIP12}'


def test_asking_loads_no_compiler():
    code = "import sys; from nbconv import requirements as r; r.problem(); print({'numba', 'cupy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_the_doctor_names_the_simulator(monkeypatch):
    here = machine(None, (), NUMBA_ENABLE_CUDASIM="1")
    monkeypatch.setattr(requirements, "find_spec", lambda name: True)
    monkeypatch.setattr(requirements, "look", lambda: here)
    monkeypatch.setattr(requirements, "_settled", lambda: True)
    assert requirements.describe()["gpu"] == "none: kernels run in the simulator (NUMBA_ENABLE_CUDASIM=1)"
