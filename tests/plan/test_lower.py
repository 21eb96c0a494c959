"""The folders of devices that are driven by scripts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobench_lang.execute.errors import BuildError
from mobench_lang.execute.load import load
from mobench_lang.plan.errors import RenderError
from mobench_lang.plan.render import plain, quoted, render, renderer
from mobench_lang.protocol import Job
from tests.conftest import Golden
from tests.plan.test_compile import build
from tests.support.packs_path import installed

SPEC = """
model m {{ source = path("m.gguf") }}
workload long {{ prompt = 64tok, output = 8tok }}
device {name} {{ target = fake, affinity = big_cores }}
bench b {{
  matrix {{
    model in [m]
    engine in [fake {{ threads = 2 }}, fake {{ threads = 4, behave = "it's $(reboot)" }}]
    device in [{name}, local]
    workload in [long]
  }}
  run {{ repeat = 2 }}
  conditions {{ airplane? = on }}
  measure? load_time
}}
"""


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


def test_a_device_with_templates_has_a_folder(tmp_path: Path, golden: Golden) -> None:
    plan, ids = build(tmp_path, SPEC.format(name="box"))
    folder = tmp_path / "build" / "box"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "jobs.jsonl", "order.tsv", "run.sh"]
    assert not (tmp_path / "build" / "local").exists()
    assert os.access(folder / "run.sh", os.X_OK)
    assert [name for name, _ in plan.files] == [f"box/{p.name}" for p in sorted(folder.iterdir())]
    for name in ("run.sh", "order.tsv", "jobs.jsonl"):
        golden(f"plan/box/{name}", (folder / name).read_text())
    jobs = [Job.model_validate_json(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    assert [(job.engine.threads, job.engine.extra, job.affinity) for job in jobs] == [
        (2, {}, "big_cores"),
        (4, {"behave": "it's $(reboot)"}, "big_cores"),
    ]
    rows = [line.split("\t") for line in (folder / "order.tsv").read_text().splitlines()]
    assert sorted((ids[2 * (int(line) - 1)], rep) for _, _, line, _, rep, _ in rows) == sorted(
        (cell, rep) for cell in ids[::2] for rep in "01"
    )
    assert all(ids[2 * (int(line) - 1)] == cell for _, _, line, cell, _, _ in rows)


def test_a_changed_script_does_not_run(tmp_path: Path) -> None:
    build(tmp_path, SPEC.format(name="box"))
    script = tmp_path / "build" / "box" / "run.sh"
    script.write_text(script.read_text() + "reboot\n")
    with pytest.raises(BuildError, match="changed after it was compiled"):
        load(tmp_path / "build")


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first, _ = build(tmp_path / "a", SPEC.format(name="box"))
    second, _ = build(tmp_path / "b", SPEC.format(name="box"))
    assert first == second


@given(st.text().filter(lambda t: "\0" not in t and t.isprintable()))
def test_a_quoted_value_is_one_word_of_a_shell(value: str) -> None:
    out = subprocess.run(["sh", "-c", f"printf %s {quoted(value)}"], capture_output=True, check=True).stdout
    assert out.decode() == value


@given(st.text())
def test_a_comment_stays_on_its_line(value: str) -> None:
    assert len(f"# {plain(value)}".splitlines()) == 1


def test_templates_refuse_what_is_not_quoted_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tmp_path / "strict_pack"
    (pack / "templates").mkdir(parents=True)
    (pack / "__init__.py").touch()
    (pack / "templates" / "bare.j2").write_text("echo {{ name }}")
    (pack / "templates" / "typo.j2").write_text("echo {{ nmae | q }}")
    monkeypatch.syspath_prepend(str(tmp_path))
    templates = renderer("strict_pack", ())
    with pytest.raises(RenderError, match="without a filter"):
        render(templates, "bare.j2", {"name": "x"})
    with pytest.raises(RenderError, match="nmae"):
        render(templates, "typo.j2", {"name": "x"})
    with pytest.raises(RenderError, match="no folder of templates"):
        renderer("no_such_pack", ())


def test_values_cross_the_plan_as_json(tmp_path: Path) -> None:
    plan, _ = build(tmp_path, SPEC.format(name="box"))
    whole = json.loads((tmp_path / "build" / "plan.json").read_text())
    assert whole["files"] == [list(pair) for pair in plan.files]
