"""Stub: cubin."""
from contextlib import nullcontext
from typing import NamedTuple
from numba import types as T
from numba.cuda import compiler as C

class Cubin(NamedTuple):
    name: str
    code: bytes

def cubin(kernel, types, cc):
    lib,_=C._compile_pyfunc_with_fixup(kernel.function,T.void(*types),device=False,abi='numba',cc=cc)
    return Cubin(lib._entry_name, lib.get_cubin(cc=cc).code)

def watch(report): return nullcontext()
