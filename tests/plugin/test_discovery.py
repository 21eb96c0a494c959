"""Discovery of packs: what a foreign distribution gets, and what is said when one is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mobench_lang import packs, plugins
from mobench_lang.packs import PluginError

GOOD = """
manifest = 1
kind = "target"
name = "foreign"
version = "1.0"
summary = "A test's target"
"""

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Discovery remembers; each test here starts and leaves without memories."""
    cached = (packs.points, packs.manifests, plugins.target, plugins.engine)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution on the path that registers one target: `install("name", manifest=…, code=…)`."""

    def put(
        module: str, *, entry: str = "foreign", point: str | None = None, manifest: str | None = GOOD, code: str = ""
    ) -> None:
        folder = tmp_path / module
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").write_text(code or "target = object()\n", "utf-8")
        if manifest is not None:
            (folder / module / "manifest.toml").write_text(manifest, "utf-8")
        information = folder / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
        value = point or f"{module}:target"
        (information / "entry_points.txt").write_text(f"[mobench.targets]\n{entry} = {value}\n", "utf-8")
        monkeypatch.syspath_prepend(str(folder))

    return put


def test_the_example_is_found_without_being_imported() -> None:
    program = """
import json, sys
from mobench_lang.packs import manifests
found = {k: {n: m.summary for n, m in manifests(k).items()} for k in ("target", "engine")}
print(json.dumps([found, [m for m in sys.modules if m.startswith("mobench_plugin_example.")]]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found, imported = json.loads(done.stdout)
    assert found["target"]["subproc"].startswith("A process on this machine")
    assert found["engine"]["echo"].startswith("Answers by a fixed amount")
    assert imported == []


def test_the_built_in_packs_register_like_foreign_ones() -> None:
    assert "local" in packs.manifests("target")
    assert "llama_cpp" in packs.manifests("engine")


def test_the_example_can_be_loaded_and_has_what_the_protocols_ask() -> None:
    target, engine = plugins.target("subproc"), plugins.engine("echo")
    assert (target.name, engine.name) == ("subproc", "echo")
    assert {"open", "discover"} <= set(dir(target))
    assert {"build", "obtain", "pin", "launch"} <= set(dir(engine))


def test_two_packs_of_one_name_are_refused(install: Install) -> None:
    install("first_pack")
    install("second_pack")
    with pytest.raises(
        PluginError, match=r"two packs register the target 'foreign': first_pack:target and second_pack:"
    ):
        packs.manifests("target")


def test_a_pack_installed_twice_is_one_pack(install: Install) -> None:
    install("first_pack")
    install("shadow_of_first", point="first_pack:target")
    assert packs.manifests("target")["foreign"].summary == "A test's target"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, r"the target pack 'foreign' has no readable manifest at .*manifest\.toml: No such file"),
        ("manifest = [", r"the manifest .*manifest\.toml is wrong: "),
        (GOOD.replace("manifest = 1", "manifest = 2"), r"is wrong: (?s:.*)manifest"),
        (GOOD + 'speed = "high"\n', r"is wrong: (?s:.*)speed"),
        (GOOD.replace('version = "1.0"\n', ""), r"is wrong: (?s:.*)version"),
        (GOOD.replace('"foreign"', '"other"'), "is of the target 'other', registered as target 'foreign'"),
        (GOOD.replace('"target"', '"engine"'), "is of the engine 'foreign', registered as target 'foreign'"),
    ],
    ids=["missing", "not toml", "other version", "unknown field", "field missing", "other name", "other kind"],
)
def test_a_broken_manifest_is_named(install: Install, manifest: str | None, said: str) -> None:
    install("broken_pack", manifest=manifest)
    with pytest.raises(PluginError, match=said):
        packs.manifests("target")


def test_a_registered_module_that_is_gone_is_named(install: Install) -> None:
    install("gone_pack", point="nowhere_to_be_found.target:target")
    with pytest.raises(PluginError, match=r"is registered but cannot be found; reinstall it"):
        packs.manifests("target")


def test_a_pack_that_cannot_be_imported_is_named_only_when_it_is_used(install: Install) -> None:
    install("failing_pack", code="import a_library_that_is_not_there\n")
    assert packs.manifests("target")["foreign"].executes
    with pytest.raises(PluginError, match=r"the target pack 'foreign' cannot be loaded: No module named"):
        plugins.target("foreign")


def test_a_pack_that_does_not_execute_says_why(install: Install) -> None:
    install("data_pack", manifest=GOOD + 'executes = false\nwhy_not = "it is only a description"\n')
    with pytest.raises(PluginError, match=r"cannot be executed by this version: it is only a description"):
        plugins.target("foreign")
