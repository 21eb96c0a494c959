"""From a bench to a build folder: the same bytes anywhere, ids that are what a cell is, folders replaced whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobench_lang.check import check_source
from mobench_lang.plan.compile import BuildFolderError, compile_bench
from mobench_lang.plan.model import Plan
from mobench_lang.source import Source
from mobench_lang.syntax.format import format_source
from tests.support.specs import bench, matrix, shown

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "specs" / "examples").glob("*.bench"))
BODY = "threads in [1, 2]\nquant in [F16, Q8_0]\nexclude where threads == 2 and quant == F16"


def build(folder: Path, text: str, name: str = "spec.bench") -> tuple[Plan, list[str]]:
    """The plan and the cell ids of a spec that stands in a folder with `m.gguf`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.gguf").write_bytes(b"weights")
    whole = f"mobench 1\n{text}"
    (folder / name).write_text(whole)
    checked = check_source(Source(name, whole, folder / name))
    assert checked.bench is not None, shown(checked.diagnostics)
    plan = compile_bench(checked.bench, folder / "build", checked.folders).plan
    lines = (folder / "build" / "cells.jsonl").read_text().splitlines()
    return plan, [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_example_passes_and_compiles(path: Path, tmp_path: Path) -> None:
    checked = check_source(Source(path.name, path.read_text("utf-8"), path))
    assert not [d for d in checked.diagnostics if d.is_error], shown(checked.diagnostics)
    assert checked.has_bench == (checked.bench is not None)
    if checked.bench is not None:
        plan = compile_bench(checked.bench, tmp_path / "build", checked.folders).plan
        assert plan.cells == len((tmp_path / "build" / "cells.jsonl").read_text().splitlines()) > 0


def test_the_sweep_has_the_cells_that_it_says() -> None:
    path = ROOT / "specs" / "examples" / "sweep.bench"
    checked = check_source(Source(path.name, path.read_text("utf-8"), path))
    assert checked.bench is not None
    from mobench_lang.matrix import Count, expand

    count = Count()
    for _ in expand(checked.bench, count):
        pass
    assert (count.cells, count.total, count.excluded) == (142_200, 144_000, [1_800])


def test_the_same_bytes_in_another_folder_and_under_another_hash_seed(tmp_path: Path) -> None:
    before = 'use "shelf.bench" as shelf\nlet n = 3'
    text = matrix(
        BODY + "\ndevice in shelf.both\nsample 5 seed 2",
        without="device",
        before=before,
        after="measure ttft, decode_rate\nconditions { charger? = off, airplane? = on }\nrun { repeat = n }\n"
        "expect median(ttft) < 1s  where device.class == phone  per device",
    )
    shelf = (
        'mobench 1\ndevice a { target = android, class = phone, serial = "x" }\n'
        "device b { target = jetson, class = edge, ram = 8GiB }\nlet both = [a, b]\n"
    )
    made = []
    for seed, folder in (("1", tmp_path / "one"), ("2", tmp_path / "deeper" / "two"), ("77", tmp_path / "three")):
        folder.mkdir(parents=True)
        (folder / "m.gguf").write_bytes(b"weights")
        (folder / "shelf.bench").write_text(shelf)
        (folder / "spec.bench").write_text(f"mobench 1\n{text}")
        argv = [sys.executable, "-m", "mobench_lang.cli.main", "compile", "spec.bench", "-o", "build"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONHASHSEED": seed})  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        paths = sorted(path for path in (folder / "build").rglob("*") if path.is_file())
        made.append({str(path.relative_to(folder / "build")): path.read_bytes() for path in paths})
    assert made[0] == made[1] == made[2]
    phone = ("run.sh", "restore.sh", "README.md", "jobs.jsonl", "order.tsv")
    names = {"plan.json", "cells.jsonl", "origins.json", "places.json"}
    names |= {*(f"a/{name}" for name in phone), *(f"b/{name}" for name in (*phone, "board.sh"))}
    assert set(made[0]) == names
    assert b"serial" not in made[0]["plan.json"] and str(tmp_path).encode() not in b"".join(made[0].values())


# ---------------------------------------------------------------- what a cell is


def test_more_values_and_repetitions_keep_the_cells_there_were(tmp_path: Path) -> None:
    text = matrix("threads in [1, 2]")
    first, ids = build(tmp_path / "a", text)
    for number, other in enumerate(
        (
            matrix("threads in [2, 4, 1]"),
            matrix("threads in [1, 2]", after="run { repeat = 20, order = sequential, timeout = 1h, seed = 3 }"),
            matrix("threads in [1, 2]", after="measure ttft\nexpect median(ttft) < 1s"),
        )
    ):
        plan, more = build(tmp_path / f"b{number}", other)
        assert set(ids) <= set(more) and plan.digest != first.digest


def test_what_changes_the_measurement_changes_the_cell(tmp_path: Path) -> None:
    base = set(build(tmp_path / "a", matrix("threads in [1, 2]"))[1])
    for number, other in enumerate(
        (
            matrix("threads in [1, 2]", after="run { warmup = 3 }"),
            matrix("threads in [1, 2]", after="thermal { start_below = 40°C }"),
            matrix("threads in [1, 2]", after="conditions { airplane? = on }"),
            matrix("threads in [1, 2]", without="workload").replace(
                "matrix", "workload = generate(prompt = 65, output = 16)\nmatrix"
            ),
        )
    ):
        assert not base & set(build(tmp_path / f"b{number}", other)[1])


def test_other_weights_are_other_cells(tmp_path: Path) -> None:
    first = build(tmp_path / "a", bench())[1]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "n.gguf").write_bytes(b"other weights")
    second = build(tmp_path / "b", bench().replace("m.gguf", "n.gguf"))[1]
    assert first != second


def test_names_of_files_and_layout_are_not_part_of_a_plan(tmp_path: Path) -> None:
    first, ids = build(tmp_path / "a", matrix(BODY))
    second, same = build(tmp_path / "b", "# a comment\n\n" + matrix(BODY), name="renamed.bench")
    formatted, found = format_source(Source("x", "mobench 1\n" + matrix(BODY)))
    assert not found
    third, again = build(tmp_path / "c", formatted.removeprefix("mobench 1\n"))
    assert first.digest == second.digest == third.digest and ids == same == again


def test_units_are_not_part_of_a_plan(tmp_path: Path) -> None:
    story = 'workload w {{ prompts = ["a"], output = 8, duration = {} }}'
    plans = [
        build(tmp_path / f"p{i}", bench("workload = w", without="workload", before=story.format(d)))[0].digest
        for i, d in enumerate(("2min", "120s", "0.5min * 4"))
    ]
    assert len(set(plans)) == 1


def test_an_address_is_no_part_of_a_plan(tmp_path: Path) -> None:
    digests = {
        build(
            tmp_path / serial,
            bench("device = d", without="device", before=f'device d {{ target = android, serial = "{serial}" }}'),
        )[0].digest
        for serial in ("one", "two")
    }
    assert len(digests) == 1


def test_skipped_cells_stand_in_the_plan_with_their_reason(tmp_path: Path) -> None:
    plan, _ = build(tmp_path, matrix('threads in 1..4\nexclude where threads > 3  because "two cores"'))
    assert [(s.clause, s.because, s.count) for s in plan.skipped] == [("threads > 3", "two cores", 1)]


# ---------------------------------------------------------------- folders


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "thesis.txt").write_text("years")
    with pytest.raises(BuildFolderError, match=r"thesis\.txt"):
        build(tmp_path, bench())
    assert (tmp_path / "build" / "thesis.txt").read_text() == "years"


def test_a_build_is_replaced_whole(tmp_path: Path) -> None:
    first, _ = build(tmp_path, matrix("threads in [1, 2]"))
    second, ids = build(tmp_path, matrix("threads in [1]"))
    assert first.digest != second.digest and len(ids) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["build", "m.gguf", "spec.bench"]


def test_something_else_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file")
    with pytest.raises(BuildFolderError, match="not a folder"):
        build(tmp_path, bench())
