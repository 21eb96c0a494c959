"""What every file of the project keeps to: docstrings, no unfinished work, no path of one machine, packages listed."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.tree import FOLDERS, ROOT, SETTINGS, modules


def tracked(*, binary: bool = False) -> list[Path]:
    """The files that git tracks or would track, as they are now; texts alone unless `binary`."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    paths = sorted({ROOT / name for name in listed.stdout.split("\0") if name})
    files = [p for p in paths if p.is_file() and not p.is_symlink()]
    return [p for p in files if binary or b"\0" not in p.read_bytes()[:8192]]


def found(pattern: str, paths: list[Path], *, flags: int = 0) -> list[str]:
    expression = re.compile(pattern, flags)
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in paths
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if expression.search(line)
    ]


def test_every_module_says_what_it_is() -> None:
    silent = [m.shown for m in modules().values() if m.path.stat().st_size and not ast.get_docstring(m.tree)]
    assert not silent


def test_public_functions_and_classes_say_what_they_promise() -> None:
    silent = [
        f"{m.shown}:{node.lineno}: {node.name}"
        for m in modules().values()
        if not m.name.startswith("mobench_specs")
        for node in m.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent, "\n".join(silent)


def test_nothing_is_left_unfinished() -> None:
    code = [p for p in tracked() if p.suffix in {".py", ".lark", ".sql", ".toml", ".bench", ".c", ".h", ".j2", ".md"}]
    marks = found(r"\b(TODO|FIXME|XXX|NotImplemented|NotImplementedError)\b", code)
    assert not marks, "\n".join(marks)


def test_no_path_of_one_machine() -> None:
    """Nothing points outside the project: neither the folder above it nor a home folder."""
    above = re.escape(str(ROOT.parent)) + "/" if len(ROOT.parts) > 3 else "(?!)"
    places = found(rf"\.\./shared\b|(?<![\w.~$}}])/(work|root|home/\w+|Users/\w+)/\w|{above}", tracked())
    raw = [p for p in places if not p.startswith(("tests/logs/",))]
    assert not raw, "\n".join(raw)


def test_print_is_for_the_command_line() -> None:
    """Facts are returned; only the command line (and programs of their own) write them."""
    offenders = [
        f"{m.shown}:{node.lineno}"
        for m in modules().values()
        if not m.name.startswith(("mobench_lang.cli", "mobench_specs"))
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not offenders


def test_every_package_is_listed() -> None:
    """pyproject.toml lists packages one by one: a folder that is not listed would be missing in the wheel."""
    on_disk = {
        ".".join((package, *path.relative_to(ROOT / folder).parts[:-1]))
        for folder, package in FOLDERS.items()
        for path in tracked(binary=True)
        if path.is_relative_to(ROOT / folder)
    }
    assert on_disk == set(SETTINGS["packages"])


def test_only_known_names_at_the_top() -> None:
    allowed = {
        *("mobench_lang", "specs", "targets", "tests", "docs", "benchmarks", "editors", ".ci"),
        *("pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", ".gitattributes"),
        ".editorconfig",
    }
    # Committed files only: while something runs here, a temporary folder may come and go.
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name.split("/")[0] for name in listed.splitlines()} <= allowed


def test_links_between_documents_lead_somewhere() -> None:
    def links(path: Path) -> list[str]:
        text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
        return [t for t in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if not re.match(r"\w+:", t)]

    documents = [path for path in tracked() if path.suffix == ".md"]
    broken = [f"{p.relative_to(ROOT)}: {t}" for p in documents for t in links(p) if not (p.parent / t).exists()]
    assert not broken, "\n".join(broken)
