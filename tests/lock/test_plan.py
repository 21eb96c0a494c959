"""What a lock does to a check and to a plan, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobench_lang.cli.quick import _compiled
from mobench_lang.engines.llama_cpp import engine
from mobench_lang.lockfile import Lock
from mobench_lang.plugins import ArtifactError
from tests.lock.conftest import FILES, MODEL, Project, spec
from tests.support.hub_server import COMMIT

LATER = "f" * 40
QUICK = "bench q { model = m\n engine = llama_cpp\n device = local\n workload = generate(prompt = 8, output = 4) }\n"
LOCAL = 'model m { source = path("m.gguf") }\n'


def codes(project: Project, *arguments: str, status: int = 0) -> set[str]:
    found = json.loads(project.run("check", "--json", *arguments, "b.bench", status=status).stdout)
    return {d["code"] for d in found}


@pytest.fixture
def offline(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A locked project whose hub is gone."""
    project.run("lock")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return project


def test_a_locked_source_is_pinned(project: Project) -> None:
    assert codes(project) == {"W0609"}
    assert codes(project, "--locked", status=2) == {"E0609"}
    project.run("lock")
    assert codes(project, "--locked") == set()
    project.write(text=spec(quants="F16, Q8_0, Q4_0"))  # a pair that nobody has looked up
    assert codes(project) == {"W0609"}
    project.write(text=spec('model m { source = hf("org/m", file = "m-f16.gguf") }\n'))
    assert codes(project) == {"W0609"}


def test_a_plan_has_what_is_locked(offline: Project) -> None:
    found = offline.artifacts("--locked")
    for quant, name in (("F16", "m-f16.gguf"), ("Q8_0", "m-Q8_0.gguf")):
        artifact = found[quant]
        assert (artifact.repo, artifact.revision, artifact.location) == ("org/m", COMMIT, name)
        assert (artifact.size, artifact.sha256) == (len(FILES[name]), offline.hub_entries()[quant]["sha256"])
    said = json.loads(offline.run("plan", "--json").stdout)
    assert said["devices"][0]["bytes"] == 5000


def test_without_a_lock_a_plan_is_what_the_text_says(project: Project) -> None:
    artifact = project.artifacts()["F16"]
    assert (artifact.revision, artifact.location, artifact.sha256, artifact.size) == (None, "", None, None)


def test_content_is_what_a_cell_is_known_by(project: Project) -> None:
    """A local file and a hub's file of one content are the same weights; another commit with it changes no cell."""
    project.run("lock")
    hub = project.artifacts()["F16"]
    cells = (project.root / "build" / "cells.jsonl").read_bytes()
    project.hub.move(LATER, {"org/m": dict(FILES)})
    project.run("lock", "--update")
    assert project.artifacts()["F16"].revision == LATER
    assert (project.root / "build" / "cells.jsonl").read_bytes() == cells
    (project.root / "m.gguf").write_bytes(FILES["m-f16.gguf"])
    project.write(text=spec(LOCAL))
    assert project.artifacts()["F16"].key == hub.key


def test_upstream_moves_and_the_plan_does_not(offline: Project) -> None:
    offline.run("compile")
    before = (offline.root / "build" / "plan.json").read_bytes()
    offline.hub.move(LATER, {"org/m": {"other-f16.gguf": b"o"}})
    offline.run("compile")
    assert (offline.root / "build" / "plan.json").read_bytes() == before


def test_a_local_file_that_changes(project: Project) -> None:
    project.write(text=spec(LOCAL))
    weights = project.root / "m.gguf"
    weights.write_bytes(b"weights")
    assert codes(project, "--locked") == set()
    project.run("lock")
    assert codes(project, "--locked") == set()
    project.run("compile")
    before = (project.root / "build" / "plan.json").read_bytes()
    weights.write_bytes(b"WEIGHTS")
    assert codes(project) == {"W0613"}
    assert codes(project, "--locked", status=2) == {"E0613"}
    project.run("compile")
    assert (project.root / "build" / "plan.json").read_bytes() == before  # the lock is the truth
    weights.unlink()
    assert codes(project) == {"W0608"}
    project.run("compile")
    assert (project.root / "build" / "plan.json").read_bytes() == before
    weights.write_bytes(b"WEIGHTS")
    project.run("lock", "--update")
    assert codes(project, "--locked") == set()


def test_the_size_of_a_locked_file_is_the_size_of_the_model(project: Project) -> None:
    small = spec(
        'model m { source = hf("org/m"), params = 1_000_000_000 }\n', before="device d extends local { ram = 1GiB }\n",
        device="d",
    )  # fmt: skip
    project.write(text=small)
    assert codes(project, status=2) == {"E0606", "W0609"}
    project.write(text=small.replace("F16, Q8_0", "Q8_0"))
    project.run("lock")
    project.write(text=small.replace("1GiB", "1999B").replace("F16, Q8_0", "Q8_0"))
    assert codes(project, status=2) == {"E0606"}  # 2000 bytes
    project.write(text=small.replace("1GiB", "2000B").replace("F16, Q8_0", "Q8_0"))
    assert codes(project) == set()


def test_a_file_that_has_to_be_converted_does_not_tell_the_size(project: Project) -> None:
    text = spec(
        'model m { source = hf("org/m"), params = 10_000 }\n', "Q4_0",
        before="device d extends local { ram = 5kB }\n", device="d",
    )  # fmt: skip
    project.write(text=text.replace("5kB", "6kB"))
    project.run("lock")
    assert project.hub_entries()["Q4_0"]["size"] == 3000  # of the F16 file, which would fit
    project.write(text=text)
    assert codes(project, status=2) == {"E0606"}


def test_as_published_the_size_is_known_without_a_quant(project: Project) -> None:
    text = 'mobench 1\nmodel m { source = hf("org/m", file = "m-f16.gguf") }\ndevice d extends local { ram = 1MB }\n'
    text += "bench b { model = m\n engine = llama_cpp\n device = d\n workload = generate(prompt = 8, output = 4) }\n"
    project.write(text=text)
    project.run("lock")
    assert codes(project, "--locked") == set()
    assert project.artifacts()[None].location == "m-f16.gguf"
    project.write(text=text.replace("1MB", "2kB"))
    assert codes(project, status=2) == {"E0606"}
    project.write(text=text.replace("ram = 1MB", "storage = 2kB"))
    assert codes(project, status=2) == {"E0610"}


def test_imported_files_are_locked_by_their_place(project: Project) -> None:
    project.write("shelf/m.bench", f"mobench 1\n{LOCAL}")
    (project.root / "shelf" / "m.gguf").write_bytes(b"shelf")
    project.write(text=spec("", before='use "shelf/m.bench" { m }\n'))
    project.run("lock")
    assert json.loads(project.lock.read_text("utf-8"))["files"][0]["path"] == "shelf/m.gguf"
    (project.root / "shelf" / "m.gguf").write_bytes(b"other")
    assert codes(project) == {"W0613"}


def test_a_source_that_no_cell_needs_is_not_asked_for(project: Project) -> None:
    other = 'model n { source = hf("org/n") }\n'
    only = 'quant in [F16, Q8_0]\n    exclude where model == n because "later"'
    project.write(text=spec(MODEL + other, names="m, n").replace("quant in [F16, Q8_0]", only))
    project.run("lock")
    assert codes(project, "--locked") == set()


def test_a_quick_run_is_of_the_file_that_is_there(project: Project) -> None:
    (project.root / "m.gguf").write_bytes(b"weights")
    project.write(text=spec(LOCAL))
    project.run("lock")
    (project.root / "m.gguf").write_bytes(b"new weights")
    folder = _compiled("mobench 1\n" + LOCAL + QUICK, project.root / "q")
    (artifact,) = json.loads((folder / "plan.json").read_text("utf-8"))["artifacts"]
    assert artifact["size"] == 11


def test_a_link_is_named_by_its_place_in_the_project(project: Project, tmp_path: Path) -> None:
    (tmp_path / "big.gguf").write_bytes(b"big")
    (project.root / "m.gguf").symlink_to(tmp_path / "big.gguf")
    assert Lock(project.root).name_of(project.root, "m.gguf") == "m.gguf"
    project.write(text=spec(LOCAL))
    project.run("lock")
    assert str(tmp_path) not in project.lock.read_text("utf-8")
    assert codes(project, "--locked") == set()


# ---------------------------------------------------------------- the engine


def test_the_engine_takes_the_locked_file_without_asking_what_there_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gguf", reason="the test makes its model with the gguf package")
    from tests.support.gguf_maker import make

    weights = make(tmp_path / "m.gguf", quant="Q8_0").read_bytes()
    project.hub.repos["org/m"]["m-Q8_0.gguf"] = weights
    project.write(text=spec(quants="Q8_0"))
    project.run("lock")
    artifact = project.artifacts()["Q8_0"]
    project.hub.move(LATER, {"org/m": {**FILES, "m-Q8_0.gguf": b"moved"}})
    project.hub.seen.clear()
    found = engine.obtain(artifact, tmp_path / "fresh")
    assert found.path.read_bytes() == weights
    assert not any("/api/" in path for _, path, _ in project.hub.seen)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert engine.obtain(artifact, tmp_path / "fresh") == found
    found.path.write_bytes(weights[:-1] + b"?")
    with pytest.raises(ArtifactError, match=r"is not what mobench.lock has"):
        engine.obtain(artifact, tmp_path / "fresh")


def test_a_hub_that_gives_something_else_is_refused(project: Project, tmp_path: Path) -> None:
    project.run("lock")
    project.hub.repos["org/m"]["m-Q8_0.gguf"] = b"Q" * 2000
    with pytest.raises(ArtifactError, match="thrown away"):
        engine.obtain(project.artifacts()["Q8_0"], tmp_path / "fresh")


def test_an_engine_without_a_hub_says_so(project: Project) -> None:
    pytest.importorskip("mobench_plugin_example", reason="the example pack is not installed")
    project.write(text=spec().replace("engine   = llama_cpp", "engine   = echo"))
    assert "echo has no hub" in project.run("lock", status=2).output
    both = (
        spec(MODEL).replace("engine   = llama_cpp", "").replace("quant in", "engine in [echo, llama_cpp]\n    quant in")
    )
    project.write(text=both)
    project.run("lock")  # another engine of the cells has one
