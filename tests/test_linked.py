"""How kernels are compiled: translated once each, where Numba can be told to, and in its own way where it cannot."""

import pytest
from processes import succeeds

from nbconv.cpu import compile, linked

USE = """
call, out = bound(ReLU(), SHAPE)
call()
print(float(np.abs(out).sum(dtype="float64")))
"""

TRANSLATED = """
import numba
from numba.core.codegen import JITCPUCodegen
translate, translated = JITCPUCodegen._add_module, []
def note(self, module):
    translated.append(module.name)
    return translate(self, module)
JITCPUCodegen._add_module = note
"""

MISSING = {
    "no class": "from numba.core import typed_passes; del typed_passes.NativeParforLowering",
    "another class": """
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
JITCPUCodegen._library_class = type("Another", (JITCodeLibrary,), {})
""",
}


def test_this_numba_is_as_it_should_be():
    assert compile.OBSTACLE is None and linked.obstacle() is None


def test_only_kernels_are_translated(tmp_path):
    """Neither helpers, which ReLU has, nor loops and what is wrapped around them; Numba's own functions are."""
    names = succeeds(TRANSLATED + USE + "print(*translated, sep=chr(10))", NBCONV_CACHE_DIR=str(tmp_path))
    assert [name for name in names.splitlines()[1:] if name != "nrt" and "<locals>" not in name] == ["_relu"]


def test_other_functions_that_are_compiled_meanwhile_can_be_called(tmp_path):
    """What Numba compiles for its own use while it compiles a kernel, it keeps, and may use for a user's function."""
    code = USE + "import numba; print(numba.njit(lambda a, b: max(a, b) + min(a, b))(3, 4))"
    assert succeeds(code, NBCONV_CACHE_DIR=str(tmp_path)).split()[-1] == "7"


@pytest.mark.parametrize("change", MISSING)
def test_with_another_numba_kernels_are_compiled_in_its_own_way(tmp_path, change):
    """Results are the same, and ``nbconv doctor`` says what is the matter."""
    say = "print(cpu.device.describe()['numba'])"
    got = succeeds(
        USE + say, before="import numba\n" + MISSING[change] + "\n", NBCONV_CACHE_DIR=str(tmp_path / "another")
    )
    want = succeeds(USE + say, NBCONV_CACHE_DIR=str(tmp_path / "usual"))
    assert got.splitlines()[:-1] == want.splitlines()[:-1]
    assert "compiles slowly" in got and "compiles slowly" not in want
