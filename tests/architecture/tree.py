"""The source of mobench as the architecture tests see it: modules by import name, with what they import and when."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]

FOLDERS: dict[str, str] = {"mobench_lang": "mobench_lang"} | {
    folder: name for name, folder in SETTINGS["package-dir"].items()
}
"""Folder -> import name, as in pyproject.toml."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the module it names (for `from a import b`: `a.b` where that is a module of ours, else `a`), the
    line, and whether it happens when the module is imported (not inside a function, not for type checkers only)."""

    module: str
    line: int
    at_import: bool
    for_types: bool


@dataclass(frozen=True, slots=True)
class Module:
    """One file."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def shown(self) -> str:
        """The path as a person would name it."""
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> dict[str, Module]:
    """Every Python module of the packages by import name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = (package, *path.relative_to(ROOT / folder).with_suffix("").parts)
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text("utf-8"), str(path)))
    return found


def imports(module: Module) -> list[Import]:
    """Everything that a module imports, wherever it does so."""
    return list(_walk(module, module.tree, at_import=True, for_types=False))


def _walk(module: Module, node: ast.AST, *, at_import: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import():
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_import, for_types)
            case ast.ImportFrom():
                base = _absolute(module, child)
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    yield Import(whole if whole in modules() else base, child.lineno, at_import, for_types)
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                for part in child.body:
                    yield from _walk(module, ast.Module([part], []), at_import=False, for_types=True)
                for part in child.orelse:
                    yield from _walk(module, ast.Module([part], []), at_import=at_import, for_types=for_types)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _walk(module, child, at_import=False, for_types=for_types)
            case _:
                yield from _walk(module, child, at_import=at_import, for_types=for_types)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package


def is_library(name: str) -> bool:
    """Whether a module is neither ours nor Python's own."""
    top = name.partition(".")[0]
    return top not in FOLDERS.values() and top not in sys.stdlib_module_names
