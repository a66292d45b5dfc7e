"""Functions of the cuda device changed on purpose: without one of their barriers, which its tests must notice."""

import ast
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from textwrap import dedent
from types import CodeType

from nbconv import cuda
from nbconv.cuda.kernel import Kernel


def functions_with_barriers() -> Iterator[tuple[Callable, int]]:
    """Every function of the package that waits at barriers, and how many it has."""
    for module in (import_module(f"{cuda.__name__}.{m.name}") for m in pkgutil.iter_modules(cuda.__path__)):
        for value in vars(module).values():
            function = value.function if isinstance(value, Kernel) else value
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                count = sum(_is_barrier(node) for node in ast.walk(_source(function)))
                if count:
                    yield function, count


def without_barrier(function: Callable, index: int) -> CodeType:
    """The function's code, but for one of its barriers, counted from 0 in the order of the source."""
    taken = _Taken(index)
    module = taken.visit(_source(function))
    assert taken.seen > index
    return _compiled(function, module)


def refusing(function: Callable) -> CodeType:
    """Code for the function that only raises ``NotImplementedError``."""
    module = _source(function)
    module.body[0].body = ast.parse("raise NotImplementedError").body
    return _compiled(function, module)


@contextmanager
def replaced(function: Callable, code: CodeType) -> Iterator[None]:
    """Run this code for the function."""
    right, function.__code__ = function.__code__, code
    try:
        yield
    finally:
        function.__code__ = right


class _Taken(ast.NodeTransformer):
    def __init__(self, index: int):
        self.index, self.seen = index, 0

    def visit_Expr(self, node):
        if not _is_barrier(node):
            return node
        self.seen += 1
        return ast.Pass() if self.seen == self.index + 1 else node


def _compiled(function, module) -> CodeType:
    names: dict = {}
    exec(compile(ast.fix_missing_locations(module), function.__code__.co_filename, "exec"), {}, names)
    return names[function.__name__].__code__


def _source(function) -> ast.Module:
    """The source, without decorators."""
    module = ast.parse(dedent(inspect.getsource(function)))
    module.body[0].decorator_list = []
    return module


def _is_barrier(node) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node) == "cuda.syncthreads()"
