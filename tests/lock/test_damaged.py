"""Locks that cannot be used, and names that want to lead elsewhere: a clear word, never a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobench_lang.engines.llama_cpp import engine
from mobench_lang.lockfile import (
    HubFile,
    HubSource,
    LocalFile,
    Lock,
    LockError,
    names_quant,
    parse,
    render,
    safe_name,
)
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError
from tests.lock.conftest import FILES, Project, spec

GOOD: dict[str, Any] = {"commit": "0" * 40, "file": "m.gguf", "repo": "org/m", "sha256": "0" * 64, "size": 1}
LOCAL: dict[str, Any] = {"path": "m.gguf", "sha256": "0" * 64, "size": 1}


def whole(hub: object = (), files: object = (), **more: object) -> str:
    return json.dumps({"files": files, "hub": hub, "lock_version": 1, **more})


DAMAGED = {
    "": "not JSON",
    "{": "not JSON",
    "[" * 100_000: "not JSON that mobench writes",
    '{"lock_version": ' + "1" * 5000 + "}": "not JSON that mobench writes",
    "[]": "version None",
    "{}": "version None",
    '{"lock_version": 2}': "version 2",
    '{"lock_version": true}': "version True",
    '{"lock_version": "1"}': "version '1'",
    '{"lock_version": 1}': "has no 'files'",
    whole(more=1): "unknown field 'more'",
    whole(hub={}): "'hub' is not a list",
    whole(hub=[1]): "'hub' is not a list",
    whole(files="x"): "'files' is not a list",
    whole([{}]): "has no 'commit'",
    whole([{**GOOD, "colour": 1}]): "unknown field 'colour'",
    whole([{**GOOD, "repo": ["org/m"]}]): "which source",
    whole([{**GOOD, "repo": ""}]): "which source",
    whole([{**GOOD, "quant": None}]): "which source",
    whole([{**GOOD, "wanted_rev": "a\u202eb"}]): "which source",
    whole([{**GOOD, "commit": "main"}]): "no commit",
    whole([{**GOOD, "commit": "../../" + "0" * 34}]): "no commit",
    whole([{**GOOD, "commit": "0" * 40 + "\n"}]): "no commit",
    whole([{**GOOD, "commit": 7}]): "no commit",
    whole([{**GOOD, "file": "../../etc/passwd"}]): "none of a repository",
    whole([{**GOOD, "file": "/etc/passwd"}]): "none of a repository",
    whole([{**GOOD, "file": "a\\b"}]): "none of a repository",
    whole([{**GOOD, "file": "a\0b"}]): "none of a repository",
    whole([{**GOOD, "file": "\ud800"}]): "none of a repository",
    whole([{**GOOD, "file": ""}]): "none of a repository",
    whole([{**GOOD, "sha256": "x" * 64}]): "no sha256",
    whole([{**GOOD, "sha256": None}]): "no sha256",
    whole([{**GOOD, "size": -1}]): "no size",
    whole([{**GOOD, "size": 1.0}]): "no size",
    whole([{**GOOD, "size": True}]): "no size",
    whole([GOOD, {**GOOD, "commit": "1" * 40}]): "two entries for org/m",
    whole(files=[{**LOCAL, "path": "/abs"}]): "no path",
    whole(files=[{**LOCAL, "path": "a\nb"}]): "no path",
    whole(files=[{**LOCAL, "path": 3}]): "no path",
    whole(files=[LOCAL, LOCAL]): "two entries for m.gguf",
    "<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n": "merge conflict",
}


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: repr(text[:60]))
def test_a_damaged_lock_is_a_finding(project: Project, text: str) -> None:
    project.lock.write_text(text, "utf-8")
    (found,) = [d for d in json.loads(project.run("check", "--json", status=2).stdout) if d["severity"] == "error"]
    assert (found["code"], found["file"]) == ("E0614", "mobench.lock")
    assert DAMAGED[text] in found["message"]
    assert "mobench.lock" in project.run("check", status=2).output
    for verb in ("compile", "plan"):
        assert "E0614" in project.run(verb, status=2).output
    for arguments in (["lock"], ["lock", "--check"], ["lock", "--update"]):
        assert DAMAGED[text] in project.run(*arguments, status=2).output
    assert project.lock.read_text("utf-8") == text
    assert not project.hub.seen


def test_a_newer_lock_says_to_upgrade(project: Project) -> None:
    project.lock.write_text('{"lock_version": 2, "other": []}', "utf-8")
    assert "upgrade mobench" in project.run("check", status=2).output
    assert "upgrade mobench" in project.run("lock", status=2).output


def test_a_fault_has_its_place(project: Project) -> None:
    text = render(Lock(hub={HubSource("a/b"): HubFile("0" * 40, "f", "0" * 64, 1)}))
    project.lock.write_text(text.replace('"size": 1', '"size": -1'), "utf-8")
    (found,) = [d for d in json.loads(project.run("check", "--json", status=2).stdout) if d["code"] == "E0614"]
    assert text.splitlines()[found["line"] - 1].strip() == '"repo": "a/b",'
    path = project.write("deep/s.bench")
    assert "mobench.lock:" in project.run("check", str(path), status=2).output


def test_what_is_no_file(project: Project) -> None:
    project.lock.mkdir()
    assert "it is no file" in project.run("check", status=2).output
    assert "it is no file" in project.run("lock", status=2).output
    project.lock.rmdir()
    os.mkfifo(project.lock)  # is not waited for
    assert "it is no file" in project.run("check", status=2).output
    project.lock.unlink()
    project.lock.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in project.run("check", status=2).output


# ---------------------------------------------------------------- hostile names


@pytest.mark.parametrize(
    "repo", ["../m", "org/..", "./m", ".org/m", "org/m?x=1", "org/m#f", "org/a b", "org\\\\a/m", "org/%2e%2e", "-/m"]
)
def test_a_repository_with_a_hostile_name_is_never_asked_for(project: Project, repo: str) -> None:
    project.write(text=spec(f'model m {{ source = hf("{repo}") }}\n'))
    assert "repository" in project.run("lock", status=2).output
    assert not project.hub.seen
    assert not project.lock.exists()
    assert not (project.root.parent / "cache" / "hub").exists()


@pytest.mark.parametrize(
    "name", ["../../m-Q8_0.gguf", "/m-Q8_0.gguf", "a/../m-Q8_0.gguf", "m\u202e-Q8_0.gguf", "m\n-Q8_0"]
)
def test_a_hub_that_lists_a_hostile_name_is_refused(project: Project, name: str) -> None:
    project.hub.repos["org/m"] = {"m-f16.gguf": b"f", name: b"q"}
    assert "no file of a repository" in project.run("lock", status=2).output
    assert not project.lock.exists()


@pytest.mark.parametrize("commit", ["../../../../evil", "main", "0" * 39, ""])
def test_a_hub_that_gives_no_commit_is_refused(project: Project, commit: str) -> None:
    project.hub.commit = commit
    assert "did not answer with a model listing" in project.run("lock", status=2).output
    assert not project.lock.exists()


def test_a_plan_with_a_hostile_place_is_refused(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "key": "k", "model": "m", "quant": None, "source": "hf", "repo": "org/m", "location": "m.gguf",
        "revision": "0" * 40, "sha256": "0" * 64, "size": 1,
    }  # fmt: skip
    for bad in ({"location": "../../../x"}, {"repo": "../.."}, {"repo": "a/../b"}):
        with pytest.raises(ArtifactError):
            engine.obtain(PlanArtifact(**(good | bad)), tmp_path / "cache")
    assert not list(tmp_path.rglob("*.lock"))


def test_a_revision_that_cannot_be_shown_is_not_written(project: Project) -> None:
    project.write(text=spec('model m { source = hf("org/m", rev = "a\\u{202e}b") }\n'))
    assert "cannot be locked" in project.run("lock", status=2).output
    assert not project.lock.exists()


# ---------------------------------------------------------------- any lock

names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
sizes = st.integers(0, 2**60)
sources = st.builds(HubSource, names, st.just("") | names, st.just("") | names, st.just("") | names)
hub_files = st.builds(
    HubFile, st.text("0123456789abcdef", min_size=40, max_size=40), names.filter(safe_name), hexes, sizes
)
local_files = st.dictionaries(names.filter(lambda n: not n.startswith("/")), st.builds(LocalFile, hexes, sizes))
locks = st.builds(Lock, st.none(), st.dictionaries(sources, hub_files), local_files)


@given(locks)
def test_any_lock_can_be_read_back(lock: Lock) -> None:
    text = render(lock)
    assert parse(text) == lock
    turned = Lock(None, dict(reversed(list(lock.hub.items()))), dict(reversed(list(lock.files.items()))))
    assert render(turned) == text


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_lock_or_a_fault_with_a_place(text: str) -> None:
    with pytest.raises(LockError) as caught:
        parse(text)
    assert 0 <= caught.value.offset <= len(caught.value.text)


def test_two_branches_add_entries_to_one_file() -> None:
    """Entries are blocks of lines that stand alone, so that additions in different places merge."""
    base = {HubSource(r): HubFile("0" * 40, "f", "0" * 64, 1) for r in ("b/b", "d/d", "f/f")}
    lines = render(Lock(hub=base)).splitlines()
    more = render(Lock(hub={**base, HubSource("c/c"): base[HubSource("b/b")]})).splitlines()
    assert [x for x in more if x not in lines] == ['      "repo": "c/c",']
    assert len(more) == len(lines) + 7


def test_quants_in_names() -> None:
    assert all(names_quant(f, "Q4_K_M") for f in ("m-Q4_K_M.gguf", "m.q4_k_m.gguf", "Q4_K_M/m.gguf"))
    assert not names_quant("m-Q4_K_M.gguf", "Q4_K")
    assert not names_quant("m-BF16.gguf", "F16")
    assert FILES  # the stand-in's files are named in that way
