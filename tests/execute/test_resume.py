"""Resume: nothing lost, nothing twice, and never the wrong run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mobench_lang.execute.errors import BusyError, StoreError, UsageError
from mobench_lang.execute.progress import Notice
from tests.support import plans
from tests.support.ready import Ready, gone
from tests.support.runs import Lab, journal

HOST = [sys.executable, "-m", "tests.support.host"]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    return Ready(tmp_path, monkeypatch)


def host(build: Path, lab: Lab) -> subprocess.Popen[str]:
    """An exec in its own process."""
    return subprocess.Popen(
        [*HOST, str(build), str(lab.runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def notices(lab: Lab) -> str:
    return "\n".join(notice.message for notice in lab.said(Notice))


# ---------------------------------------------------------------- a run that is complete, or grows


def test_a_complete_run_is_not_repeated(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", repeat=2)
    first = lab.exec(build)
    before = (lab.folders()[0] / "journal.jsonl").read_bytes()
    again = lab.exec(build)
    assert (again.run_id, again.counts, again.pending) == (first.run_id, {"ok": 2}, 0)
    assert (lab.folders()[0] / "journal.jsonl").read_bytes() == before
    assert f"{first.run_id} is complete; --fresh to repeat" in notices(lab)
    assert lab.exec(build, fresh=True).run_id != first.run_id
    assert len(lab.folders()) == 2


def test_a_plan_that_gained_cells_and_repetitions_keeps_what_is_measured(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "small", workloads=(plans.workload("a"),), repeat=2))
    larger = plans.build(tmp_path / "large", workloads=(plans.workload("b"), plans.workload("a")), repeat=3)
    result = lab.exec(larger)
    assert (result.resumed, result.counts) == (True, {"ok": 6})
    (folder,) = lab.folders()
    ends = [(r["cell"], r["rep"]) for r in journal(folder, "end")]
    assert len(ends) == len(set(ends)) == 6
    assert {rep for _, rep in ends[:2]} == {0, 1}
    # The newest plan is in plan/, the earlier one is kept.
    assert (folder / "plan" / "plan.json").read_bytes() == (larger / "plan.json").read_bytes()
    (kept,) = (folder / "plans").iterdir()
    assert (kept / "plan.json").read_bytes() == (tmp_path / "small" / "plan.json").read_bytes()


def test_under_isolation_by_cell_new_repetitions_are_one_more_launch(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "a", isolation="cell", order="sequential", repeat=2))
    lab.exec(plans.build(tmp_path / "b", isolation="cell", order="sequential", repeat=5))
    lab.exec(plans.build(tmp_path / "b", isolation="cell", order="sequential", repeat=5))
    starts = [(r["rep"], r["measured"]) for r in journal(lab.folders()[0], "start")]
    assert starts == [(0, 2), (2, 3)]


def test_failed_trials_are_measured_again_only_when_asked(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", engines=(plans.fake("mute"), plans.fake("wrong_threads", threads=1)))
    assert lab.exec(build).counts == {"failed": 1, "invalid": 1}
    assert lab.exec(build).counts == {"failed": 1, "invalid": 1}
    folder = lab.folders()[0]
    assert len(journal(folder, "start")) == 3
    lab.exec(build, retry_failed=True)
    attempts = sorted((r["cell"], r["attempt"]) for r in journal(folder, "start"))
    assert len(attempts) == len(set(attempts)) == 6
    assert len(lab.folders()) == 1


# ---------------------------------------------------------------- another run


def other_device(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone"),)), devices={"phone": "B2"})
    return "phone is another physical device than the one it was measured on"


def other_engine(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FAKE_ENGINE_BUILD", "fake 2")
    lab.exec(tmp_path / "build")
    return "fake@host is another build now (fake 2; it was fake 1)"


def other_weights(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "weights.gguf").write_bytes(b"other weights under the same name")
    lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone"),), repeat=2))
    return "the weights tiny-key have changed"


def other_labels(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    lab.exec(tmp_path / "build", labels={"branch": "new"})
    return "its labels are others"


def other_cells(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    lab.exec(
        plans.build(tmp_path / "build", devices=(plans.device("phone"),), workloads=(plans.workload("z", prompt=1),))
    )
    return "it has no cell in common with this plan"


@pytest.mark.parametrize("other", [other_device, other_engine, other_weights, other_labels, other_cells])
def test_what_does_not_match_begins_a_new_run_and_says_why(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: object
) -> None:
    first = lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone"),)))
    why = other(lab, tmp_path, monkeypatch)  # type: ignore[operator]
    old, new = lab.folders()
    assert f"{first.run_id} is not resumed: {why}" in notices(lab)
    assert why in journal(new, "note")[0]["message"]
    assert len(journal(old, "end")) == 1


def test_the_newest_run_that_matches_goes_on(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = plans.build(tmp_path / "build")
    first = lab.exec(build)
    monkeypatch.setenv("FAKE_ENGINE_BUILD", "fake 2")
    second = lab.exec(build)
    monkeypatch.setenv("FAKE_ENGINE_BUILD", "fake 1")
    more = plans.build(tmp_path / "more", repeat=2)
    assert lab.exec(more).run_id == first.run_id
    assert first.run_id != second.run_id


def test_two_benches_share_a_folder_of_runs(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "a", bench="one"))
    lab.exec(plans.build(tmp_path / "b", bench="two"))
    assert [len(journal(folder, "end")) for folder in lab.folders()] == [1, 1]


def test_a_run_of_another_version_is_not_touched(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build")
    lab.exec(build)
    header = lab.folders()[0] / "run.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), "version": 9}))
    with pytest.raises(StoreError, match="version 9 of the run folder, this mobench writes version 1"):
        lab.exec(build)


# ---------------------------------------------------------------- the host dies, or is told to stop


def test_killed_in_the_middle_of_a_trial_and_run_again(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    behave = "hang+child+once"
    build = plans.build(tmp_path / "build", engines=(plans.fake("ok"), plans.fake(behave)), order="sequential")
    process = host(build, lab)
    children = dict(ready.wait() for _ in range(2))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (folder,) = lab.folders()
    assert [r["kind"] for r in journal(folder, "start", "end", "done")] == ["start", "end", "start"]
    # A torn record and a half-written file, as a crash leaves them.
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"end","device":"loc')
    (folder / journal(folder, "start")[-1]["folder"] / "state.json.part").write_text("{")

    result = lab.exec(build)
    assert (result.resumed, result.counts) == (True, {"ok": 2})
    assert all(gone(pid) for pid in children.values())  # also the child that left the engine's process group
    starts = [(r["cell"], r["attempt"]) for r in journal(folder, "start")]
    ends = [(r["cell"], r["attempt"]) for r in journal(folder, "end")]
    assert len(starts) == len(set(starts)) == 3
    assert ends == [starts[0], starts[2]]
    assert [attempt for _, attempt in starts] == [0, 0, 1]
    assert "cut off" in notices(lab)
    assert [r["seq"] for r in journal(folder)] == list(range(len(journal(folder))))


def test_another_process_is_never_taken_for_a_leftover(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    build = plans.build(tmp_path / "build", engines=(plans.fake("hang+once"),))
    process = host(build, lab)
    _, engine = ready.wait()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (note,) = (lab.runs / ".devices").glob("local-*.json")
    state = json.loads(note.read_text())
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    # The number of a dead worker was given to somebody else: only its start time tells.
    state["processes"] = [[bystander.pid, 1]]
    note.write_text(json.dumps(state))
    lab.exec(build)
    assert gone(engine)  # found by its token
    assert bystander.poll() is None
    bystander.communicate()


def test_a_note_of_an_earlier_boot_ends_nothing(lab: Lab, tmp_path: Path) -> None:
    from mobench_targets.local.facts import ROOT, identity

    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    from mobench_lang.execute.process import start_time

    note = lab.runs / ".devices" / f"{identity(ROOT)}.json"
    note.parent.mkdir(parents=True)
    processes = [[bystander.pid, start_time(bystander.pid)]]
    note.write_text(json.dumps({"token": "t", "boot": "another", "processes": processes}))
    lab.exec(plans.build(tmp_path / "build"))
    assert bystander.poll() is None
    bystander.communicate()


def test_interrupted_once_ends_cleanly_and_goes_on(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    build = plans.build(
        tmp_path / "build", engines=(plans.fake("hang+once"),), devices=(plans.device("phone", tmp_path),)
    )

    async def interrupted() -> tuple[object, int]:
        stop = asyncio.Event()
        running = asyncio.create_task(lab.exec_async(build, stop))
        _, pid = await ready.wait_async()
        stop.set()
        return await running, pid

    result, pid = asyncio.run(interrupted())
    assert getattr(result, "interrupted")  # noqa: B009
    assert gone(pid)
    (folder,) = lab.folders()
    assert [r["kind"] for r in journal(folder)][-2:] == ["start", "done"]
    assert journal(folder, "done")[-1]["status"] == "interrupted"
    assert (tmp_path / "log").read_text().split("\n")[-2] == "restore"
    assert lab.exec(build).counts == {"ok": 1}
    assert [r["attempt"] for r in journal(folder, "start")] == [0, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_signal_of_a_terminal(lab: Lab, tmp_path: Path, ready: Ready, number: signal.Signals) -> None:
    process = host(plans.build(tmp_path / "build", engines=(plans.fake("hang"),)), lab)
    _, pid = ready.wait()
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert json.loads(out)["interrupted"]
    assert gone(pid)


def test_interrupted_twice_ends_at_once_and_is_cleared_up_later(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    build = plans.build(tmp_path / "build", engines=(plans.fake("stubborn+once"),))
    process = host(build, lab)
    _, pid = ready.wait()
    process.send_signal(signal.SIGINT)
    assert ready.wait() == ("deaf", pid)  # it was told to end and does not, so the host is still waiting for it
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "ended at once" in err
    assert lab.exec(build).counts == {"ok": 1}
    assert gone(pid)


# ---------------------------------------------------------------- two at once


def test_two_execs_at_once(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    build = plans.build(tmp_path / "build", engines=(plans.fake("hang"),))
    process = host(build, lab)
    ready.wait()
    with pytest.raises(BusyError, match=re.escape(f"another mobench exec (pid {process.pid})")):
        lab.exec(build)
    with pytest.raises(BusyError, match="the device local is in use"):
        lab.exec(build, fresh=True)
    assert len(lab.folders()) == 1
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert len(journal(lab.folders()[0], "start")) == 1


def test_the_same_run_on_another_device_is_locked_too(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    lab.exec(plans.build(tmp_path / "first", devices=(plans.device("a"), plans.device("b"))))
    build = plans.build(
        tmp_path / "build", engines=(plans.fake("ok"), plans.fake("hang")), devices=(plans.device("a"),)
    )
    process = host(build, lab)
    ready.wait()
    other = plans.build(tmp_path / "other", repeat=2, devices=(plans.device("b"),))
    with pytest.raises(BusyError, match=f"the run hello-.* is in use by another mobench exec .pid {process.pid}."):
        lab.exec(other)
    process.send_signal(signal.SIGINT)
    process.communicate()


# ---------------------------------------------------------------- names and space

HOSTILE = [
    "it's",
    'a "b"',
    "$(touch pwned)",
    "new\nline",
    "../../up",
    "/etc/x",
    "\x1b[2J",
    ".",
    "ü" * 300,
    "-rf",
    "a\\b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_the_project(lab: Lab, tmp_path: Path, name: str) -> None:
    project = tmp_path / "deep" / "project"
    project.mkdir(parents=True)
    lab = Lab(project)
    build = plans.build(
        project / "build",
        bench=name,
        devices=(plans.entity("device", name, "local"),),
        workloads=(plans.workload(name),),
    )
    result = lab.exec(build, labels={name: name})
    assert result.counts == {"ok": 1}
    assert result.folder is not None
    assert result.folder.parent == lab.runs
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]
    assert sorted(p.name for p in project.iterdir()) == ["build", "runs", "weights.gguf"]
    (start,) = journal(result.folder, "start")
    assert start["device"] == name
    assert len(Path(start["folder"]).parts) == 4
    assert (result.folder / start["folder"] / "events.jsonl").exists()
    assert json.loads((result.folder / "run.json").read_text())["labels"] == {name: name}
    assert lab.exec(build).run_id == result.run_id


def test_names_that_look_alike_as_paths_do_not_meet(lab: Lab, tmp_path: Path) -> None:
    names = ("a/b", "a-b", "a b")
    devices = tuple(plans.entity("device", name, "local") for name in names)
    assert lab.exec(plans.build(tmp_path / "build", devices=devices)).counts == {"ok": 3}
    assert len({Path(r["folder"]).parts[1] for r in journal(lab.folders()[0], "start")}) == 3


@pytest.mark.parametrize("labels", [{"": "x"}, {"a": "\udcff"}])
def test_labels_that_are_no_text_are_refused(lab: Lab, tmp_path: Path, labels: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="label"):
        lab.exec(plans.build(tmp_path / "build"), labels=labels)
    assert lab.folders() == []


def test_a_full_disk_stops_the_run_and_it_goes_on_later(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = plans.build(tmp_path / "build", repeat=4)
    real = shutil.disk_usage
    room = iter([1 << 30, 1 << 30, 1 << 20])

    def usage(path: Path) -> object:
        return real(path)._replace(free=next(room))

    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(StoreError, match="make room and run the same command again"):
        lab.exec(build)
    (folder,) = lab.folders()
    assert journal(folder, "done")[-1]["status"] == "interrupted"
    monkeypatch.setattr("shutil.disk_usage", real)
    assert lab.exec(build).counts == {"ok": 4}
    assert len(journal(folder, "start")) == 4


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000))
from tests.support import host
sys.exit(host.main())
"""


def test_no_space_for_a_record_stops_the_run_and_it_goes_on_later(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", repeat=30)
    command = [sys.executable, "-c", LIMITED, str(build), str(lab.runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "no space left" in done.stderr
    assert "make room and run the same command again" in done.stderr
    (folder,) = lab.folders()
    kept = journal(folder, "end")
    assert 0 < len(kept) < 30
    assert lab.exec(build).counts == {"ok": 30}
    ends = journal(folder, "end")
    assert ends[: len(kept)] == kept
    assert len(ends) == 30


def test_a_read_only_folder_is_a_clear_error(lab: Lab, tmp_path: Path) -> None:
    lab.runs.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot write"):
        lab.exec(plans.build(tmp_path / "build"))


def test_what_a_crash_left_of_a_new_run_is_cleared(lab: Lab, tmp_path: Path) -> None:
    half = lab.runs / ".hello-20260101T000000Z-00000000.new"
    half.mkdir(parents=True)
    (half / "run.json.part").write_text("{")
    lab.exec(plans.build(tmp_path / "build"))
    assert sorted(p.name.split("-")[0] for p in lab.runs.iterdir()) == [".devices", "hello"]


def test_a_damaged_header_stops_its_own_bench_only(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "a", bench="one"))
    (lab.folders()[0] / "run.json").write_text("{")
    assert lab.exec(plans.build(tmp_path / "b", bench="two")).counts == {"ok": 1}
    with pytest.raises(StoreError, match=r"run\.json cannot be read"):
        lab.exec(tmp_path / "a")


def test_a_plan_of_other_packs_is_pointed_out(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build", packs_version="0"))
    assert "the plan was compiled with fake 0, 1 is installed; compile it again" in notices(lab)
