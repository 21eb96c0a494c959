"""Run folders in every state they can be found in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mobench_lang.collect.holder import RunError, holder
from mobench_lang.collect.run import former_cells, launches, read_run
from mobench_lang.collect.standing import standing
from mobench_lang.execute.process import start_time
from tests.support.folders import Passes, RunFolder, default_axes


def keys(run: RunFolder) -> list[tuple[str, int, int, str, str, bool]]:
    return [
        (x.cell, x.rep, x.attempt, x.trials[-1].status, x.trials[-1].reason, x.final)
        for x in launches(read_run(run.path))
    ]


def lock(run: RunFolder, pid: int, began: int | None) -> None:
    (run.path / "lock").write_text(json.dumps({"pid": pid, "start_time": began}) + "\n")


def test_attempts_are_rows_and_the_last_one_is_final(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(status="failed", reason="crashed")
    run.launch(attempt=1)
    assert keys(run) == [("c000", 0, 0, "failed", "crashed", False), ("c000", 0, 1, "ok", "", True)]


def test_a_launch_whose_host_died_is_a_failure(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes(), status=None)
    run.journal("exec", pid=2, argv=[], host="h")
    assert keys(run) == [("c000", 0, 0, "failed", "host_died", True)]


def test_an_interrupt_is_not_the_death_of_a_host(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(passes=Passes(), status=None)
    run.journal("done", status="interrupted", counts={})
    assert keys(run) == [("c000", 0, 0, "failed", "interrupted", True)]
    run.journal("exec", pid=2, argv=[], host="h")
    run.launch(rep=1, passes=Passes(), status=None)
    assert [k[4] for k in keys(run)] == ["interrupted", "host_died"]


def test_a_launch_that_is_running_is_no_record_yet(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch(status=None)
    lock(run, os.getpid(), start_time(os.getpid()))
    assert keys(run) == []
    lock(run, os.getpid(), 1)  # the pid came back, the process did not
    assert holder(run.path) is None
    assert keys(run) == [("c000", 0, 0, "failed", "host_died", True)]


def test_a_skipped_trial_is_a_row_until_it_is_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    skip = {"device": "local", "cell": "c000", "rep": 0, "status": "skipped", "detail": ""}
    run.journal("skip", **skip, reason="not_found")
    assert keys(run) == [("c000", 0, 0, "skipped", "not_found", True)]
    run.launch()
    assert keys(run) == [("c000", 0, 0, "ok", "", True)]


@pytest.mark.parametrize("cut", [1, 7, 30, 60])
def test_a_torn_journal_loses_only_its_tail(tmp_path: Path, cut: int) -> None:
    run = RunFolder(tmp_path)
    run.launch(rep=0)
    run.launch(rep=1)
    path = run.path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    record = read_run(run.path)
    assert record.damaged
    assert keys(run) == [("c000", 0, 0, "ok", "", True), ("c000", 1, 0, "failed", "host_died", True)]


def test_zeros_after_a_power_loss_are_no_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch()
    with (run.path / "journal.jsonl").open("ab") as file:
        file.write(b"\0" * 512)
    assert keys(run) == [("c000", 0, 0, "ok", "", True)]


def test_a_folder_that_leaves_the_run_is_not_followed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "other").mkdir()
    run.journal("start", device="local", cell="c000", rep=0, attempt=0, folder="../other", order=0, block=0, gate=None)
    run.journal("end", device="local", cell="c000", rep=0, attempt=0, status="ok", reason="", detail="", flags=[])
    (launch,) = launches(read_run(run.path))
    assert launch.folder == "trials/local/c000/r0a0"


def test_later_repetitions_of_one_process_count_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, isolation="cell")
    run.launch(passes=Passes(measured=2))
    run.launch(rep=2, passes=Passes(measured=1))
    assert [t.rep for x in launches(read_run(run.path)) for t in x.trials if not t.warmup] == [0, 1, 2]


def test_cells_of_an_earlier_plan_keep_their_axes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, axes=default_axes(threads=[1]))
    run.launch("c001")
    old = run.path / "plans" / "0123"
    old.parent.mkdir()
    (run.path / "plan").rename(old)
    (run.path / "plan").mkdir()
    (run.path / "plan/plan.json").write_text((old / "plan.json").read_text())
    (run.path / "plan/cells.jsonl").write_text('{"id": "c000", "v": [0, 0, 0, 0, 0, 0]}\n')
    found = former_cells(read_run(run.path))
    assert {a.name: a.labels[i] for a, i in found["c001"]}["quant"] == "Q4_0"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("run.json", "{", "no readable run.json"),
        ("run.json", '{"version": 2}', "version 2"),
        ("run.json", '{"version": 1}', "no run_id"),
        ("plan/plan.json", '{"plan_version": 1}', "not a plan"),
    ],
)
def test_what_is_no_run_folder_is_said(tmp_path: Path, name: str, text: str, says: str) -> None:
    run = RunFolder(tmp_path)
    (run.path / name).write_text(text)
    with pytest.raises(RunError, match=says):
        read_run(run.path)


def test_standing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.launch()
    run.launch(rep=1, status="failed", reason="crashed")
    run.launch(rep=1, attempt=1, status="failed", reason="timeout")
    found = standing(run.path)
    assert (found.planned, found.ok, found.failed, found.left, found.launches) == (6, 1, 1, 4, 3)
    assert (found.state, found.holder, found.reasons) == ("broken off", None, (("timeout", 1),))
    run.done("partial")
    assert standing(run.path).state == "partial"
    lock(run, os.getpid(), start_time(os.getpid()))
    assert (standing(run.path).state, standing(run.path).holder) == ("running", os.getpid())


def test_one_launch_per_cell_stands_for_its_repetitions(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, isolation="cell")
    run.launch(passes=Passes(measured=3))
    found = standing(run.path)
    assert (found.planned, found.ok, found.left, found.launches) == (6, 3, 3, 1)
