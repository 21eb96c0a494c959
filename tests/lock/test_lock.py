"""The verb: what it writes, keeps, looks up anew, removes, and only checks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mobench_lang.lockfile import parse, render
from tests.lock.conftest import FILES, MODEL, Project, spec
from tests.support.hub_server import COMMIT

LATER = "f" * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def local(name: str, file: str) -> str:
    return f'model {name} {{ source = path("{file}") }}\n'


def test_a_round_trip(project: Project) -> None:
    said = project.run("lock").stdout
    assert "+ org/m F16: m-f16.gguf at 0123456789ab, 3,000 bytes" in said
    assert said.endswith("mobench.lock: written\n")
    assert json.loads(project.lock.read_text("utf-8")) == {
        "lock_version": 1,
        "files": [],
        "hub": [
            {
                "repo": "org/m",
                "quant": q,
                "commit": COMMIT,
                "file": f,
                "size": len(FILES[f]),
                "sha256": sha256(FILES[f]),
            }
            for q, f in (("F16", "m-f16.gguf"), ("Q8_0", "m-Q8_0.gguf"))
        ],
    }
    text = project.lock.read_text("utf-8")
    assert render(parse(text)) == text
    assert not any(path.startswith("storage:") for _, path, _ in project.hub.seen)  # nothing is downloaded
    count = len(project.hub.seen)
    assert project.run("lock").stdout.endswith("mobench.lock: as it was\n")
    assert (project.lock.read_text("utf-8"), len(project.hub.seen)) == (text, count)
    assert not list(project.root.glob(".mobench.lock*"))


def test_everything_that_chooses_a_file_has_its_entry(project: Project) -> None:
    models = (
        'model a { source = hf("org/m", file = "m-f16.gguf", rev = "v1") }\n'
        'model b { source = hf("org/m", file = "m-f16.gguf") }\n'
        'model c { source = hf("org/m", file = "m-f16.gguf", rev = "v1") }\n'  # what a says
    )
    project.write(text=spec(models, "F16", names="a, b, c"))
    project.run("lock")
    entries = json.loads(project.lock.read_text("utf-8"))["hub"]
    assert [(e["wanted_file"], e.get("wanted_rev"), e["quant"]) for e in entries] == [
        ("m-f16.gguf", None, "F16"),
        ("m-f16.gguf", "v1", "F16"),
    ]
    assert [path for _, path, _ in project.hub.seen] == [f"/api/models/org/m/revision/{r}" for r in ("v1", "main")]
    project.hub.listed_digests = False  # the hub is asked for each file then
    text = project.lock.read_text("utf-8")
    project.run("lock", "--update")
    assert project.lock.read_text("utf-8") == text


def test_local_files_are_named_from_the_root(project: Project, tmp_path: Path) -> None:
    (project.root / "models").mkdir()
    (project.root / "models" / "ä.gguf").write_bytes(b"weights")
    (tmp_path / "beside.gguf").write_bytes(b"besides")
    outside = tmp_path / "outside.gguf"
    outside.write_bytes(b"o")
    models = local("x", "../models/ä.gguf") + local("y", "../../beside.gguf") + local("z", str(outside))
    models += local("w", str(project.root / "models" / "ä.gguf"))
    path = project.write("deep/s.bench", spec(models, "F16", names="x, y, z, w"))
    said = project.run("lock", str(path)).stdout
    assert f"? {outside}: cannot be locked" in said
    assert json.loads(project.lock.read_text("utf-8"))["files"] == [
        {"path": "../beside.gguf", "sha256": sha256(b"besides"), "size": 7},
        {"path": "models/ä.gguf", "sha256": sha256(b"weights"), "size": 7},
    ]
    text = project.lock.read_text("utf-8")
    assert "models/ä.gguf" in text
    assert str(tmp_path) not in text


def test_what_is_shipped_needs_no_lock(project: Project) -> None:
    project.write(text=spec('model m { source = bundled("std/models.bench") }\n', "F16"))
    assert project.run("lock").stdout == "mobench.lock: as it was\n"
    assert not project.lock.exists()


def test_entries_stay_until_they_are_looked_up_anew(project: Project) -> None:
    project.run("lock")
    before = project.lock.read_text("utf-8")
    project.hub.move(LATER, {"org/m": {**FILES, "m-f16.gguf": b"new"}})
    project.run("lock")
    assert project.lock.read_text("utf-8") == before
    assert "~ org/m F16: m-f16.gguf at ffffffffffff, 3 bytes" in project.run("lock", "--update").stdout
    assert {e["commit"] for e in project.hub_entries().values()} == {LATER}
    assert project.hub_entries()["F16"]["sha256"] == sha256(b"new")


def test_entries_of_other_specs_stay_until_they_are_pruned(project: Project) -> None:
    (project.root / "x.gguf").write_bytes(b"x")
    project.write("other.bench", spec(local("x", "x.gguf") + MODEL, "Q4_0", names="x, m"))
    project.run("lock", "b.bench", "other.bench")
    both = project.lock.read_text("utf-8")
    assert set(project.hub_entries()) == {"F16", "Q8_0", "Q4_0"}
    assert project.hub_entries()["Q4_0"]["file"] == "m-f16.gguf"  # what it will be made from
    project.run("lock", "b.bench")
    assert project.lock.read_text("utf-8") == both
    said = project.run("lock", "b.bench", "--prune").stdout
    assert "- org/m Q4_0: is used no more" in said
    assert "- x.gguf: is used no more" in said
    assert set(project.hub_entries()) == {"F16", "Q8_0"}


def test_only_checking(project: Project) -> None:
    (project.root / "x.gguf").write_bytes(b"x")
    project.write(text=spec(local("x", "x.gguf") + MODEL, names="x, m"))
    said = project.run("lock", "--check", status=2).stdout
    assert "! x.gguf: is not locked" in said
    assert "3 of 3" in said
    assert not project.lock.exists()
    assert not project.hub.seen
    project.run("lock")
    assert "everything is locked" in project.run("lock", "--check").stdout
    (project.root / "x.gguf").write_bytes(b"y")
    assert "! x.gguf: is not the locked file" in project.run("lock", "--check", status=2).stdout
    assert "! x.gguf: is not the locked file" in project.run("lock").stdout
    (project.root / "x.gguf").unlink()
    assert "= x.gguf: 1 bytes, not here" in project.run("lock", "--check").stdout
    assert "there is no file x.gguf" in project.run("lock", "--update", status=2).output
    project.run("lock", "--check", "--update", status=2)


def test_as_json(project: Project) -> None:
    (made,) = json.loads(project.run("lock", "--json").stdout)
    assert (made["lock"], made["written"]) == ("mobench.lock", True)
    assert [(e["source"], e["state"]) for e in made["entries"]] == [("org/m F16", "added"), ("org/m Q8_0", "added")]
    (again,) = json.loads(project.run("lock", "--check", "--json").stdout)
    assert {e["state"] for e in again["entries"]} == {"kept"}


def test_only_what_cells_need_is_looked_up(project: Project) -> None:
    text = spec().replace(
        "quant in [F16, Q8_0]", 'quant in [F16, Q8_0]\n    exclude where quant == F16 because "large"'
    )
    project.write(text=text)
    project.run("lock")
    assert set(project.hub_entries()) == {"Q8_0"}


def test_cells_that_hang_on_a_size_are_settled_at_once(project: Project) -> None:
    """By its parameters F16 is too large; the locked file says that it is not, so it is needed after all."""
    model = 'model m { source = hf("org/m"), params = 1_000_000_000 }\n'
    exclude = 'quant in [F16, Q8_0]\n    exclude where model.size(quant) > 1500MB because "large"'
    project.write(text=spec(model).replace("quant in [F16, Q8_0]", exclude))
    project.run("lock")
    assert set(project.hub_entries()) == {"Q8_0"}
    project.run("lock", "--check")
    smaller = exclude.replace("model.size(quant)", "model.size(Q8_0)").replace("1500MB", "1MB")
    project.write(text=spec(model, "Q8_0, F16").replace("quant in [Q8_0, F16]", smaller))
    project.lock.unlink()
    project.run("lock", status=2)  # nothing is left to measure before any size is known
    smaller = smaller.replace("where ", "where quant == F16 and ")
    project.write(text=spec(model, "Q8_0, F16").replace("quant in [Q8_0, F16]", smaller))
    project.run("lock")
    assert set(project.hub_entries()) == {"F16", "Q8_0"}
    project.run("lock", "--check")
    project.run("compile", "--locked")


def test_each_project_has_its_own(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    (other / "o.bench").write_text(spec(quants="Q8_0"), "utf-8")
    project.run("lock", "b.bench", str(other / "o.bench"))
    assert len(json.loads((other / "mobench.lock").read_text("utf-8"))["hub"]) == 1
    assert len(project.hub_entries()) == 2


# ---------------------------------------------------------------- what goes wrong


def test_a_hub_that_cannot_be_asked_leaves_the_file_as_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(text=spec(quants="Q8_0"))
    project.run("lock")
    before = project.lock.read_text("utf-8")
    project.write()
    for fault, words in (("http://127.0.0.1:9", "cannot be reached"), ("file:///etc", "http(s)")):
        with monkeypatch.context() as patch:
            patch.setenv("HF_ENDPOINT", fault)
            said = project.run("lock", status=2).output
        assert words in said
        assert "mobench.lock is as it was" in said
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in project.run("lock", status=2).output
    assert project.lock.read_text("utf-8") == before


def test_what_the_hub_does_not_have(project: Project) -> None:
    for source, words in (
        ('hf("org/none")', "does not exist"),
        ('hf("org/m", file = "none.gguf")', "no file none.gguf"),
    ):
        project.write(text=spec(f"model m {{ source = {source} }}\n"))
        assert words in project.run("lock", status=2).output
    project.hub.token = "hf_secret"
    project.write()
    assert "set HF_TOKEN" in project.run("lock", status=2).output
    assert not project.lock.exists()


def test_no_token_is_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    said = project.run("lock").output
    text = project.lock.read_text("utf-8")
    assert "hf_secret" not in said + text
    assert "127.0.0.1" not in text


def test_a_spec_with_a_fault_is_not_locked(project: Project) -> None:
    project.write(text=spec(quants="F17"))
    assert "F17" in project.run("lock", status=2).output
    assert not project.lock.exists()
    project.run("lock", "-", status=2)


def test_a_lock_that_cannot_be_written(project: Project) -> None:
    project.lock.symlink_to(project.root / "gone" / "mobench.lock")  # what binds root too, who may write anywhere
    assert "cannot write" in project.run("lock", status=2).output
    assert project.lock.is_symlink() and not project.lock.exists()


# ---------------------------------------------------------------- the same bytes anywhere


def test_the_same_bytes_in_another_folder_under_another_hash_seed(project: Project, tmp_path: Path) -> None:
    (project.root / "x.gguf").write_bytes(b"x")
    project.write(text=spec(local("x", "x.gguf") + MODEL, "Q8_0, F16, Q4_0", names="x, m"))
    made: set[tuple[bytes, ...]] = set()
    for seed, name in (("0", "one"), ("1", "two/deeper"), ("7", "three")):
        folder = tmp_path / name
        shutil.copytree(project.root, folder)
        for verb in (["lock"], ["compile"]):
            done = subprocess.run(
                [sys.executable, "-m", "mobench_lang.cli.main", *verb],
                cwd=folder, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        files = ("mobench.lock", "build/plan.json", "build/cells.jsonl", "build/places.json")
        made.add(tuple((folder / f).read_bytes() for f in files))
    assert len(made) == 1
