"""Compilers that make machine code once, where all parts of a kernel have come together.

Numba does so for every function by itself, in case that it is called from Python; for the body of a parallel loop; for
the wrapper of that body; and for the function with the loop, each with all that it calls. All but the last is for
nothing here: helpers, bodies and wrappers are only ever a part of a kernel. Nor are wrappers optimised by themselves.

No version of Numba promises how it does this. ``obstacle`` tells whether this one does it as is built upon here.
"""

from __future__ import annotations

from contextlib import contextmanager

from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering, NativeParforLowering

BODY, *WRAPPERS = "__numba_parfor_gufunc", "<numba.np.ufunc.wrappers._GufuncWrapper", "parallelgufuncwrapper"
"""How Numba's names begin for the body of a parallel loop, and for the two wrappers of it."""

STEPS = (
    *("_ensure_finalized", "_optimize_final_module", "_finalize_final_module"),
    *("_finalize_dynamic_globals", "_verify_declare_only_symbols", "get_pointer_to_function", "codegen"),
)
"""What a library of Numba's does when it is complete, and is overridden or called here."""


def obstacle() -> str | None:
    """Return what is not as these compilers need it, or ``None`` if they can be used."""
    lacking = [f"JITCodeLibrary.{name}" for name in STEPS if not hasattr(JITCodeLibrary, name)]
    if getattr(JITCPUCodegen, "_library_class", None) is not JITCodeLibrary:
        lacking.append("JITCPUCodegen._library_class")
    if not all(callable(getattr(step, "run_pass", None)) for step in (NativeLowering, NativeParforLowering)):
        lacking.append("NativeLowering.run_pass")
    return f"Numba has another {', '.join(lacking)}" if lacking else None


class _NoEnvironments:
    """Stands for a code generator where a function's environment is not to be set: it has no address."""

    def __init__(self, codegen):
        self._codegen = codegen

    def __getattr__(self, name):
        return getattr(self._codegen, name)

    def set_env(self, name, environment):
        pass


class Helper(JITCodeLibrary):
    """Optimised code that waits to be linked into another library: no machine code is made of it."""

    @property
    def codegen(self):
        return _NoEnvironments(self._codegen)

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class Wrapper(Helper):
    """Code that is not optimised either: what is wrapped around the body of a loop.

    The body is, for not all loops come out as fast from a wrapper: a transpose took half as long again.
    """

    def _optimize_final_module(self):
        pass


@register_pass(mutates_CFG=True, analysis_only=False)
class HelperLowering(NativeLowering):
    """Lowering of a helper."""

    _name = "nbconv_helper_lowering"

    def run_pass(self, state):
        state.library = Helper(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeParforLowering):
    """Lowering of a kernel, whose loops and their wrappers get no machine code of their own."""

    _name = "nbconv_kernel_lowering"

    def run_pass(self, state):
        codegen = state.targetctx.codegen()
        state.library = codegen.create_library(state.func_id.func_qualname)
        state.library.enable_object_caching()
        with _loops_are_helpers(codegen):
            return super().run_pass(state)


@contextmanager
def _loops_are_helpers(codegen):
    """Let what is made of parallel loops meanwhile be helpers; what else is compiled may serve other code, too."""
    usual = codegen.create_library

    def create(name, **options):
        if name.startswith(BODY):
            return Helper(codegen, name, **options)
        return Wrapper(codegen, name, **options) if name.startswith(tuple(WRAPPERS)) else usual(name, **options)

    codegen.create_library = create
    try:
        yield
    finally:
        codegen.create_library = usual


class HelperCompiler(Compiler):
    """Numba's compiler for a helper."""

    def define_pipelines(self):
        return _replaced(super().define_pipelines(), NativeLowering, HelperLowering)


class KernelCompiler(Compiler):
    """Numba's compiler for a kernel."""

    def define_pipelines(self):
        return _replaced(super().define_pipelines(), NativeParforLowering, KernelLowering)


def _replaced(pipelines, usual, ours):
    for pipeline in pipelines:
        pipeline.passes = [(ours if step is usual else step, text) for step, text in pipeline.passes]
        pipeline.finalize()
    return pipelines
