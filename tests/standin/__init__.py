"""A driver library with no GPU behind it, and the tests that run over it, in a pytest run of their own."""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def compiler():
    """The system's C compiler, or ``None``."""
    return next(filter(None, map(shutil.which, [os.environ.get("CC", "cc"), "gcc", "clang"])), None)


def build(folder):
    """Compile the library into a folder; return what a process needs in its environment to find it there."""
    library = Path(folder) / "libcuda.so.1"
    command = [compiler(), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", library, HERE / "driver.c", "-ldl", "-lpthread"], check=True)
    paths = [str(folder), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(paths), "NBCONV_STANDIN": str(library), "STANDIN_DEVICES": "2"}
