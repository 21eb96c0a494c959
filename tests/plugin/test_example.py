"""The foreign target and engine at work: through their protocols, and from a spec to rows in the database."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from mobench_lang import plugins
from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, Launch, Limits, Outcome, PlatformError
from mobench_lang.protocol import End, Event, Fault, Job, JobEngine, JobModel, JobWorkload, Pass, Phase, Request, Used

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
ENGINE = Entity(kind="engine", name="echo", base="echo", pack="echo")
DEVICE = Entity(kind="device", name="box", base="box", pack="subproc")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"any file will do")
    return path


def artifact(path: Path, **changes: str) -> PlanArtifact:
    fields = {"key": "k", "model": "m", "quant": None, "source": "path", "location": str(path), **changes}
    return PlanArtifact.model_validate(fields)


def a_job(**workload: int | bool) -> Job:
    asked = JobWorkload.model_validate({"prompt_tokens": 4, "output_tokens": 3, **workload})
    model = JobModel(path="replaced by the test")
    return Job(job_id="j", model=model, engine=JobEngine(name="echo", extra={"rounds": 50}), workload=asked, measured=2)


def launch(job: Job, file: Path, folder: Path, how: Launch | None = None, timeout_ns: int = 60 * 10**9) -> Outcome:
    """One launch from opening the device to closing it, as the core does it."""

    async def run() -> Outcome:
        engine = plugins.engine("echo")
        session = await plugins.target("subproc").open(DEVICE, folder / "scratch", folder)
        try:
            pushed = await session.push(engine.obtain(artifact(file), folder / "cache"))
            told = job.model_copy(update={"model": job.model.model_copy(update={"path": pushed})})
            await session.start(
                told, how or engine.launch(session.platform, ENGINE), folder / "trial", Limits(timeout_ns)
            )
            return await session.wait()
        finally:
            await session.restore()
            await session.close()

    return asyncio.run(run())


def events(folder: Path) -> list[Event]:
    lines = (folder / "trial" / "events.jsonl").read_text("utf-8").splitlines()
    return [EVENT.validate_json(line) for line in lines]


def test_a_launch_measures_every_pass(tmp_path: Path, weights: Path) -> None:
    outcome = launch(a_job(), weights, tmp_path)
    assert outcome.status == "ok"
    assert outcome.spawned is not None and outcome.exited is not None and outcome.spawned < outcome.exited
    seen = events(tmp_path)
    assert isinstance(seen[-1], End) and seen[-1].status == "ok"
    assert [e.warmup for e in seen if isinstance(e, Pass)] == [True, False, False]
    requests = [e for e in seen if isinstance(e, Request)]
    assert [(r.prompt_tokens, r.output_tokens, len(r.stamps)) for r in requests] == [(4, 3, 3)] * 3
    assert len({r.text for r in requests}) == 1, "the same job gives the same text"
    for request in requests:
        assert outcome.spawned < request.accepted < request.stamps[0] < request.stamps[-1] < outcome.exited
    assert {e.name for e in seen if isinstance(e, Phase)} == {"load", "prefill", "decode"}
    (used,) = [e for e in seen if isinstance(e, Used)]
    assert used.model_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert used.model_size == weights.stat().st_size
    assert Job.model_validate_json((tmp_path / "trial" / "job.json").read_text("utf-8")).job_id == "j"


def test_more_rounds_take_longer(tmp_path: Path, weights: Path) -> None:
    """The work is real: two hundred times the rounds is nowhere near the same time."""

    def cpu(rounds: int) -> int:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        job = a_job()
        launch(job.model_copy(update={"engine": JobEngine(name="echo", extra={"rounds": rounds})}), weights, folder)
        return min(e.cpu_ns for e in events(folder) if isinstance(e, Pass))

    assert cpu(20_000) > 5 * cpu(100)


def test_what_the_engine_cannot_do_is_an_error_event(tmp_path: Path, weights: Path) -> None:
    job = a_job().model_copy(update={"engine": JobEngine(name="echo", extra={"beams": 4})})
    outcome = launch(job, weights, tmp_path)
    assert (outcome.status, outcome.reason) == ("failed", "engine_error")
    *_, fault, end = events(tmp_path)
    assert isinstance(fault, Fault) and fault.code == "unsupported" and "beams" in fault.message
    assert isinstance(end, End) and end.status == "failed"


def test_changed_weights_are_refused(tmp_path: Path, weights: Path) -> None:
    job = a_job().model_copy(update={"model": JobModel(path="", sha256="0" * 64)})
    assert launch(job, weights, tmp_path).reason == "engine_error"
    assert [e.code for e in events(tmp_path) if isinstance(e, Fault)] == ["model_changed"]


def test_a_launch_that_takes_too_long_is_ended_with_its_children(tmp_path: Path, weights: Path) -> None:
    script = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    outcome = launch(a_job(), weights, tmp_path, Launch((sys.executable, "-c", script), {}), timeout_ns=3 * 10**9)
    assert (outcome.status, outcome.reason) == ("failed", "timeout")
    child = (tmp_path / "trial" / "stderr.log").read_text("utf-8").strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", child], capture_output=True, text=True, check=False).stdout
    assert state.strip()[:1] in ("", "Z")


def test_a_crash_is_told_from_an_error(tmp_path: Path, weights: Path) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    outcome = launch(a_job(), weights, tmp_path, Launch((sys.executable, "-c", script), {}))
    assert (outcome.reason, outcome.detail) == ("crashed", "SIGSEGV")


def test_the_engine_says_what_is_wrong_with_weights(tmp_path: Path, weights: Path) -> None:
    engine = plugins.engine("echo")
    with pytest.raises(ArtifactError, match=r"gone\.bin: No such file"):
        engine.obtain(artifact(tmp_path / "gone.bin"), tmp_path)
    with pytest.raises(ArtifactError, match=r"has the digest .*, the plan says 000"):
        engine.obtain(artifact(weights, sha256="000"), tmp_path)
    with pytest.raises(ArtifactError, match="echo takes files of this machine, not hf"):
        engine.obtain(artifact(weights, source="hf"), tmp_path)
    with pytest.raises(PlatformError, match="not on android-arm64"):
        engine.build("android-arm64")


SPEC = """\
mobench 1

model blob { source = path("weights.bin") }

engine slow extends echo { rounds = 400 }
engine fast extends echo { rounds = 100 }

device box { target = subproc }

workload short { prompt = 8, output = 6 }

bench foreign {
  matrix {
    model    in [blob]
    engine   in [slow, fast]
    device   in [box]
    workload in [short]
  }

  run { warmup = 1, repeat = 3, order = sequential }

  measure decode_rate, ttft

  expect median(decode_rate) > 1tok/s per engine
}
"""


def mobench(folder: Path, *arguments: str) -> str:
    argv = [str(Path(sys.executable).parent / "mobench"), *arguments]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_from_a_spec_to_the_database(tmp_path: Path, weights: Path) -> None:
    """mobench compiles and runs for a target and an engine that its source never names."""
    (tmp_path / "foreign.bench").write_text(SPEC, "utf-8")
    mobench(tmp_path, "compile", "foreign.bench")
    mobench(tmp_path, "exec", "--gate=off")
    query = "SELECT engine, count(*) AS n, min(decode_rate) AS slowest FROM results GROUP BY engine ORDER BY engine"
    rows = json.loads(mobench(tmp_path, "sql", query, "--format", "json"))
    assert [(row["engine"], row["n"]) for row in rows] == [("fast", 3), ("slow", 3)]
    assert all(row["slowest"] > 0 for row in rows)
    verdicts = json.loads(mobench(tmp_path, "sql", "SELECT DISTINCT status FROM verdict", "--format", "json"))
    assert verdicts == [{"status": "holds"}]
