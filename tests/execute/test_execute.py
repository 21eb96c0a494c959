"""What an exec makes of launches that go well and launches that do not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mobench_lang.execute.progress import Closed, DeviceReady, Opened, TrialEnded
from mobench_lang.plugins import Outcome
from mobench_lang.protocol import Job, SampleHead, SampleRow, SampleTail
from tests.support import plans
from tests.support.runs import Lab, events, journal


def last_end(lab: Lab) -> dict[str, object]:
    """The last `end` of the newest run."""
    return journal(lab.folders()[-1], "end")[-1]


def test_a_run_from_nothing(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", repeat=3)
    result = lab.exec(build, labels={"night": "first"})
    assert (result.counts, result.pending, result.resumed) == ({"ok": 3}, 0, False)
    assert result.folder is not None
    records = journal(result.folder)
    assert [r["kind"] for r in records] == ["exec", "device", "artifact", *["start", "end"] * 3, "done"]
    assert [r["seq"] for r in records] == list(range(len(records)))
    assert [(r["rep"], r["status"], r["flags"]) for r in records if r["kind"] == "end"] == [
        (rep, "ok", []) for rep in range(3)
    ]
    header = json.loads((result.folder / "run.json").read_text())
    assert header["labels"] == {"night": "first"}
    assert header["engines"] == {"fake@host": "fake 1"}
    assert list(header["devices"]) == ["local"]
    assert (result.folder / "plan" / "plan.json").read_bytes() == (build / "plan.json").read_bytes()


def test_the_raw_files_of_a_launch(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build"))
    (start,) = journal(lab.folders()[0], "start")
    folder = lab.folders()[0] / start["folder"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "events.jsonl",
        "job.json",
        "samples.jsonl",
        "state.json",
        "stderr.log",
    ]
    Job.model_validate_json((folder / "job.json").read_bytes())
    head, *rows, tail = (folder / "samples.jsonl").read_text().splitlines()
    width = len(SampleHead.model_validate_json(head).channels)
    assert all(len(SampleRow.model_validate_json(row).v) == width for row in rows)
    assert SampleTail.model_validate_json(tail).rows == len(rows)
    state = json.loads((folder / "state.json").read_text())
    assert state["before"]["t"] < state["after"]["t"]


@pytest.mark.parametrize(
    ("behave", "reason", "detail"),
    [
        ("crash", "crashed", "SIGSEGV: about to crash"),
        ("mute", "crashed", "exit status 7: usage: nobody knows"),
        ("bad_alloc", "out_of_memory", "std::bad_alloc"),
        ("oom_error", "out_of_memory", "cannot allocate the context"),
        ("not_gguf", "engine_error", "model_not_gguf: this is not a GGUF file"),
        ("no_end", "crashed", "before its events were complete"),
        ("short", "incomplete", "1 + 1 passes wanted, 1 + 0 in the events"),
    ],
)
def test_a_failure_is_a_record_with_its_reason(lab: Lab, tmp_path: Path, behave: str, reason: str, detail: str) -> None:
    result = lab.exec(plans.build(tmp_path / "build", engines=(plans.fake(behave),), retries=0))
    assert result.counts == {"failed": 1}
    end = last_end(lab)
    assert (end["status"], end["reason"]) == ("failed", reason)
    assert detail in str(end["detail"])


@pytest.mark.parametrize("behave", ["wrong_threads", "wrong_weights", "wrong_affinity"])
def test_what_was_not_used_as_asked_is_invalid(lab: Lab, tmp_path: Path, behave: str) -> None:
    engine = plans.fake(behave, threads=2)
    device = plans.entity("device", "pinned", "local", affinity=(0,))
    assert lab.exec(plans.build(tmp_path / "build", engines=(engine,), devices=(device,))).counts == {"invalid": 1}
    end = last_end(lab)
    assert end["reason"] == behave
    assert "asked for" in str(end["detail"])


@pytest.mark.parametrize("behave", ["hang", "stubborn"])
def test_a_slow_launch_is_ended_and_not_tried_again(
    lab: Lab, tmp_path: Path, behave: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobench_targets.local.session.GRACE_S", 0.2)
    build = plans.build(tmp_path / "build", engines=(plans.fake(behave),), timeout_ns=plans.SECOND // 2, retries=3)
    lab.exec(build)
    assert [(r["reason"], r["attempt"]) for r in journal(lab.folders()[0], "end")] == [("timeout", 0)]


def test_a_crash_is_tried_again(lab: Lab, tmp_path: Path) -> None:
    engines = (plans.fake("crash+once"), plans.fake("crash"))
    result = lab.exec(plans.build(tmp_path / "build", engines=engines, retries=2, order="sequential"))
    assert result.counts == {"failed": 1, "ok": 1}
    ends = [(r["attempt"], r["status"]) for r in journal(lab.folders()[0], "end")]
    assert ends == [(0, "failed"), (1, "ok"), (0, "failed"), (1, "failed"), (2, "failed")]
    assert [e.final for e in lab.said(TrialEnded)] == [False, True, False, False, True]


def test_the_log_keeps_the_end_of_a_noisy_engine(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build", engines=(plans.fake("noisy"),)))
    (start,) = journal(lab.folders()[0], "start")
    log = (lab.folders()[0] / start["folder"] / "stderr.log").read_bytes()
    assert log.startswith(b"[")
    assert log.endswith(b"the last line\n")
    assert len(log) < (1 << 20) + 100


def test_a_sampler_that_died_is_marked(lab: Lab, tmp_path: Path) -> None:
    assert lab.exec(plans.build(tmp_path / "build", engines=(plans.fake("sabotage"),))).counts == {"ok": 1}
    assert "samples_incomplete" in last_end(lab)["flags"]  # type: ignore[operator]


def test_a_machine_that_slept_is_marked(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobench_targets.local import facts

    real, slept = facts.state, iter([0, 5_000_000_000])
    monkeypatch.setattr(facts, "state", lambda root: (s := real(root)) | {"wall_ns": s["wall_ns"] + next(slept)})
    lab.exec(plans.build(tmp_path / "build"))
    assert "clock_jumped" in last_end(lab)["flags"]  # type: ignore[operator]


def test_a_device_that_heat_holds_back_is_marked(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobench_targets.local import facts

    real, told = facts.state, iter([False, True])
    monkeypatch.setattr(facts, "state", lambda root: real(root) | {"throttled": next(told)})
    lab.exec(plans.build(tmp_path / "build"))
    assert "throttled" in last_end(lab)["flags"]  # type: ignore[operator]


def test_a_device_that_counts_everybody_is_busy_with_others(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the CPU time of others is not counted apart, the launch's own is taken off; unknown is not busy."""
    from mobench_targets.local import facts, session

    real, ended = facts.state, session.LocalSession.wait
    counted = iter([(0, 0), (10_000_000_000, 6_000_000_000)] * 3)
    own = iter([5_000_000_000, 1_000_000_000, None])

    def state(root: Path) -> dict[str, object]:
        t, busy = next(counted)
        found = real(root) | {"t": t, "cores": 4, "busy_ns": busy}
        return {key: value for key, value in found.items() if key not in ("others_busy_ns", "wall_ns", "steal_ns")}

    async def wait(self: session.LocalSession) -> Outcome:
        return replace(await ended(self), cpu_ns=next(own))

    monkeypatch.setattr(facts, "state", state)
    monkeypatch.setattr(session.LocalSession, "wait", wait)
    lab.exec(plans.build(tmp_path / "build", repeat=3))
    assert [end["flags"] for end in journal(lab.folders()[-1], "end")] == [[], ["busy_host"], []]


def test_every_repetition_of_a_cell_sends_the_same_tokens(lab: Lab, tmp_path: Path) -> None:
    workloads = (plans.workload("a"), plans.workload("b"))
    lab.exec(plans.build(tmp_path / "build", workloads=workloads, repeat=2))
    folder = lab.folders()[0]
    seeds: dict[str, set[int]] = {}
    for start in journal(folder, "start"):
        seeds.setdefault(start["cell"], set()).update(
            token for e in events(folder, start) if e["e"] == "request" for token in e["tokens"]
        )
    assert [len(found) for found in seeds.values()] == [1, 1]
    assert len(set.union(*seeds.values())) == 2


def test_only_sees_what_a_free_axis_binds(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", axes=(plans.axis("threads", (1, 2), binds="engine.threads", kind="int"),))
    result = lab.exec(build, only=lambda labels, values: getattr(values["engine"], "get")("threads") == 2)  # noqa: B009
    assert result.counts == {"ok": 1}
    (start,) = journal(lab.folders()[0], "start")
    assert json.loads((lab.folders()[0] / start["folder"] / "job.json").read_text())["engine"]["threads"] == 2


def test_a_workload_becomes_a_job(lab: Lab, tmp_path: Path) -> None:
    from mobench_lang.ir import Record

    talk = Record(fields=(("id", "c1"), ("turns", ("hello", "go on"))))
    chat = plans.entity(
        "workload", "chat", prompts=("hi", talk), output=5, raw=True, think=plans.ns(0.5), temperature="0.7", top_k=40
    )
    deep = plans.workload("deep", prompt=0, depth=128, ignore_eos=False, duration=plans.ns(2))
    lab.exec(plans.build(tmp_path / "build", workloads=(chat, deep), order="sequential", chat_template="{{ x }}"))
    folder = lab.folders()[0]
    jobs = [Job.model_validate_json((folder / s["folder"] / "job.json").read_bytes()) for s in journal(folder, "start")]
    assert {job.model.chat_template for job in jobs} == {"{{ x }}"}
    one, two = (job.workload for job in jobs)
    assert one is not None
    assert two is not None
    assert [(c.id, c.turns) for c in one.conversations or ()] == [("0", ("hi",)), ("c1", ("hello", "go on"))]
    assert (one.prompt_tokens, one.output_tokens, one.raw, one.think_ns) == (None, 5, True, 500_000_000)
    assert (one.sampling.temperature, one.sampling.top_k, one.sampling.top_p) == (0.7, 40, 1.0)
    assert (two.prompt_tokens, two.depth, two.ignore_eos, two.duration_ns) == (0, 128, False, 2_000_000_000)


def test_a_bound_axis_reaches_the_engine(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", axes=(plans.axis("threads", (1, 2), binds="engine.threads", kind="int"),))
    assert lab.exec(build).counts == {"ok": 2}
    folder = lab.folders()[0]
    jobs = [json.loads((folder / s["folder"] / "job.json").read_text()) for s in journal(folder, "start")]
    assert sorted(job["engine"]["threads"] for job in jobs) == [1, 2]


def test_isolation_by_cell_is_one_launch(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build", isolation="cell", order="sequential", repeat=4))
    folder = lab.folders()[0]
    (start,) = journal(folder, "start")
    assert (start["rep"], start["measured"]) == (0, 4)
    assert [e["warmup"] for e in events(folder, start) if e["e"] == "pass"] == [True] + [False] * 4


def test_affinity_is_set_and_verified(lab: Lab, tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    pinned = plans.entity("device", "pinned", "local", affinity=(cpu,))
    nowhere = plans.entity("device", "nowhere", "local", affinity=(4000,))
    result = lab.exec(plans.build(tmp_path / "build", devices=(pinned, nowhere)))
    assert result.counts == {"ok": 1, "skipped": 1}
    folder = lab.folders()[0]
    (start,) = journal(folder, "start")
    assert [e["affinity"] for e in events(folder, start) if e["e"] == "used"] == [[cpu]]
    (skip,) = journal(folder, "skip")
    assert (skip["device"], skip["reason"]) == ("nowhere", "no_such_cpus")


def test_progress_says_what_happens(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build", repeat=2))
    assert [(p.resumed, p.done, p.total) for p in lab.said(Opened)] == [(False, 0, 2)]
    assert [(p.device, p.total) for p in lab.said(DeviceReady)] == [("local", 2)]
    assert [(p.done, p.total, p.status) for p in lab.said(TrialEnded)] == [(1, 2, "ok"), (2, 2, "ok")]
    assert [p.counts for p in lab.said(Closed)] == [(("ok", 2),)]


def test_missing_weights_are_a_row_and_found_later(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", model="later.gguf", repeat=2)
    (tmp_path / "later.gguf").unlink()
    result = lab.exec(build)
    assert (result.counts, result.pending) == ({"skipped": 2}, 2)
    assert {r["reason"] for r in journal(lab.folders()[0], "skip")} == {"artefact_missing"}
    assert lab.exec(build).counts == {"skipped": 2}
    assert len(journal(lab.folders()[0], "skip")) == 2  # said once, not once per exec
    (tmp_path / "later.gguf").write_bytes(b"here now")
    assert lab.exec(build).counts == {"ok": 2}
    assert len(lab.folders()) == 1


def test_a_missing_engine_is_a_row(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE_BUILD", "none")
    assert lab.exec(plans.build(tmp_path / "build")).counts == {"skipped": 1}
    (skip,) = journal(lab.folders()[0], "skip")
    assert (skip["reason"], skip["detail"]) == ("no_engine", "the fake engine is not installed; install it")


def test_dry_run_touches_nothing(lab: Lab, tmp_path: Path) -> None:
    result = lab.exec(plans.build(tmp_path / "build", repeat=3), dry_run=True)
    assert (result.folder, result.pending) == (None, 3)
    assert not lab.runs.exists()


def test_only_measures_the_chosen_cells(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", workloads=(plans.workload("a"), plans.workload("b")), repeat=2)
    result = lab.exec(build, only=lambda labels, values: labels["workload"] == "b")
    assert (result.counts, result.pending) == ({"ok": 2}, 0)
    assert journal(lab.folders()[0], "done")[-1]["status"] == "partial"
    assert lab.exec(build).counts == {"ok": 4}
    assert journal(lab.folders()[0], "done")[-1]["status"] == "complete"
