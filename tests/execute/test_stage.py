"""A device's folder, made whole for a person: `mobench stage`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from mobench_lang.cli.main import main
from mobench_lang.protocol import Job
from tests.plan.test_compile import build
from tests.plan.test_lower import SPEC


def mobench(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, args)
    return done.exit_code, done.output


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build(tmp_path, SPEC.format(name="box"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_folder_has_all_that_a_device_needs(built: Path) -> None:
    status, said = mobench("stage")
    assert status == 0, said
    assert said.splitlines()[-1] == "staged/box: box, fake-cpu; staged/box/README.md says how to run it"
    folder = built / "staged" / "box"
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "jobs.jsonl", "mobench-runner", "models", "order.tsv", "run.sh",
    ]  # fmt: skip
    assert os.access(folder / "mobench-runner", os.X_OK)
    jobs = [Job.model_validate_json(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    assert len(jobs) == 2
    for job in jobs:
        weights = (folder / job.model.path).read_bytes()
        assert (job.model.sha256, job.model.size) == (hashlib.sha256(weights).hexdigest(), len(weights))


def test_a_folder_that_holds_something_is_left_alone(built: Path) -> None:
    (built / "mine").mkdir()
    (built / "mine" / "thesis.txt").write_text("years of work")
    status, said = mobench("stage", "-o", "mine")
    assert (status, "not empty" in said) == (2, True)
    assert [p.name for p in (built / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--device", "local"), "no scripts for a device 'local'; it has box"),
        (("--device", "nope"), "no scripts for a device 'nope'; it has box"),
        (("--platform", "vax"), "does not run on vax"),
        (("elsewhere",), "is not a build folder"),
    ],
)
def test_what_cannot_be_staged_is_said_and_nothing_is_left(built: Path, arguments: tuple[str, ...], says: str) -> None:
    before = sorted(built.rglob("*"))
    status, said = mobench("stage", *arguments)
    assert status == 2
    assert says in said
    assert sorted(p for p in built.rglob("*") if p.name != "staged") == before


def test_missing_weights_are_named(built: Path) -> None:
    (built / "m.gguf").unlink()
    status, said = mobench("stage")
    assert status == 2
    assert "m.gguf is missing; put it there" in said
    assert not list((built / "staged").iterdir())
