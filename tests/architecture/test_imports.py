"""Who may import whom: the stages stand in one order, plug-ins see contracts only, each heavy library has one home."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.architecture.tree import ROOT, Import, Module, imports, is_library, modules

CONTRACTS = (
    "mobench_lang",
    "mobench_lang.frozen",
    "mobench_lang.width",
    "mobench_lang.names",
    "mobench_lang.lockfile",
    "mobench_lang.source",
    "mobench_lang.diagnostics",
    "mobench_lang.ir",
    "mobench_lang.metrics",
    "mobench_lang.digests",
    "mobench_lang.lockfile",
    "mobench_lang.plan.model",
    "mobench_lang.protocol",
    "mobench_lang.garbage",
    "mobench_lang.pauses",
    "mobench_lang.battery",
    "mobench_lang.design",
    "mobench_lang.entry_points",
    "mobench_lang.packs",
    "mobench_lang.plugins",
    "mobench_lang.execute.process",  # no data, but a leaf: how a process of this host is told from a later one
)
"""Data that crosses borders, in order: each imports only those before it, and every stage may import them all."""

STAGES = ("syntax", "matrix", "check", "plan", "execute", "collect", "store", "judge", "report", "cli", "lsp")
"""The way of a spec to a table; a stage imports itself and those before it. `matrix` works on the IR alone, and the
checker asks it which combinations of values can be reached, so it stands before `check` here."""

PLUGINS = ("mobench_lang.engines", "mobench_targets")
"""Packs import contracts and themselves; nothing of the core imports them."""

SHARED = ("mobench_targets.shell", "mobench_targets.linux")
"""What the targets of one kind have in common: a base that packs may import. `linux` is a pack itself."""

HOMES = {
    "lark": ("mobench_lang.syntax.parser",),
    "duckdb": ("mobench_lang.store",),
    "jinja2": ("mobench_lang.plan.render", "mobench_lang.engines.llama_cpp"),  # a GGUF's chat template is Jinja
    "llama_cpp": ("mobench_lang.engines.llama_cpp",),
    "adbutils": ("mobench_targets.android",),
    "pymobiledevice3": ("mobench_targets.ios",),
    "asyncssh": ("mobench_targets.linux",),
    "Monsoon": ("mobench_targets.monsoon",),
    "usb": ("mobench_targets.monsoon",),
    "pygls": ("mobench_lang.lsp",),
    "click": ("mobench_lang.cli",),
    "scipy": (),  # tests and benchmarks hold the judge's tables against it
    "rich": ("mobench_lang.cli", "mobench_lang.report"),
}
"""The only modules that may import a library."""

SPECS_ONLY = "mobench_specs.std.tiny"
"""The scripts that made the embedded model: they run by hand, with libraries of their own, and nothing imports them."""


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def rank(name: str) -> int | None:
    """The place of a module in the one order; None for packs and data packages."""
    if name in CONTRACTS:
        return CONTRACTS.index(name)
    parts = name.split(".")
    if parts[0] == "mobench_lang" and len(parts) > 1 and parts[1] in STAGES:
        return len(CONTRACTS) + STAGES.index(parts[1])
    return None


def all_imports() -> list[tuple[Module, Import]]:
    return [(m, i) for m in modules().values() for i in imports(m) if not inside(m.name, SPECS_ONLY)]


def violations(rule: str, found: list[tuple[Module, Import]]) -> None:
    if found:
        lines = [f"{m.shown}:{i.line}: imports {i.module}" for m, i in found]
        pytest.fail(f"{rule}\n" + "\n".join(lines), pytrace=False)


def test_every_module_of_the_core_has_its_place() -> None:
    placeless = [
        m.shown
        for m in modules().values()
        if inside(m.name, "mobench_lang")
        and rank(m.name) is None
        and not inside(m.name, "mobench_lang.engines")
        and m.name not in {"mobench_lang.schemas", "mobench_lang.schemas.__main__", "mobench_lang.__main__"}
    ]
    assert not placeless, f"give these a place in CONTRACTS or STAGES: {placeless}"


def test_stages_import_only_what_comes_before_them() -> None:
    def is_upward(module: Module, what: Import) -> bool:
        own, other = rank(module.name), rank(what.module)
        return own is not None and other is not None and other > own

    violations(
        "A stage imports only those before it: " + " -> ".join([*CONTRACTS, *STAGES]),
        [(m, i) for m, i in all_imports() if is_upward(m, i)],
    )


def test_core_imports_no_pack() -> None:
    def is_pack(name: str) -> bool:
        return any(inside(name, pack) for pack in PLUGINS)

    violations(
        "The core never imports a target or an engine: it finds them through mobench_lang.packs.",
        [(m, i) for m, i in all_imports() if not is_pack(m.name) and is_pack(i.module)],
    )


def test_packs_import_contracts_and_themselves() -> None:
    def is_foreign(module: Module, what: Import) -> bool:
        own = next((pack for pack in PLUGINS if inside(module.name, pack)), None)
        if own is None or not what.module.startswith("mobench"):
            return False
        depth = own.count(".") + 2  # mobench_lang.engines.llama_cpp, mobench_targets.local
        pack = ".".join(module.name.split(".")[:depth])
        shared = any(inside(what.module, base) for base in SHARED)
        return not (inside(what.module, pack) or shared or what.module in CONTRACTS)

    violations(
        "Targets and engines meet in data only: a pack imports the contracts, its own modules, what targets share.",
        [(m, i) for m, i in all_imports() if is_foreign(m, i)],
    )


@pytest.mark.parametrize("library", sorted(HOMES))
def test_library_has_one_home(library: str) -> None:
    violations(
        f"{library} is imported in {' and '.join(HOMES[library]) or 'no module'} only.",
        [
            (m, i)
            for m, i in all_imports()
            if i.module.partition(".")[0] == library and not any(inside(m.name, home) for home in HOMES[library])
        ],
    )


def test_what_is_imported_is_declared_and_what_is_required_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=~!; ]", r)[0].lower().replace("-", "_") for r in requirements}

    optional = set().union(*(names(rs) for rs in project["optional-dependencies"].values()))
    distribution = {"llama_cpp": "llama_cpp_python", "pydantic_core": "pydantic", "Monsoon": "monsoon", "usb": "pyusb"}
    imported = {i.module.partition(".")[0] for _, i in all_imports() if is_library(i.module)}
    used = {distribution.get(name, name) for name in imported}
    assert used <= names(project["dependencies"]) | optional
    assert names(project["dependencies"]) <= used


def test_nobody_imports_the_scripts_that_made_the_model() -> None:
    violations(
        "specs/std/tiny holds data; its scripts are for people.",
        [(m, i) for m, i in all_imports() if inside(i.module, SPECS_ONLY)],
    )


def test_stages_do_not_import_in_circles() -> None:
    """Imports that happen on import form no circle, so that any module can be imported first."""
    edges = {
        m.name: {i.module for i in imports(m) if i.at_import and i.module in modules() and i.module != m.name}
        for m in modules().values()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            pytest.fail("circle: " + " -> ".join([*path[path.index(name) :], name]), pytrace=False)
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
