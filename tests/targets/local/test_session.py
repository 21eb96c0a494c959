"""One launch on this machine, whatever the engine does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from mobench_targets.local import target
from mobench_targets.local.leftovers import TOKEN
from mobench_targets.local.session import LocalSession

from mobench_lang import packs, plugins
from mobench_lang.plugins import DeviceError, Launch, Limits, Outcome
from mobench_lang.protocol import Job, JobEngine, JobModel, JobWorkload, SampleHead, SampleRow, SampleTail
from tests.support import plans
from tests.support.ready import Ready, gone

MINUTE = 60 * plans.SECOND


def job(behave: str, affinity: tuple[int, ...] | None = None) -> Job:
    return Job(
        job_id="job/a0",
        model=JobModel(path="weights", sha256="0" * 64),
        engine=JobEngine(name="fake", extra={"behave": behave}),
        workload=JobWorkload(prompt_tokens=1, output_tokens=1),
        affinity=affinity,
    )


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    return Ready(tmp_path, monkeypatch)


async def launch(session: LocalSession, folder: Path, what: Job, timeout_ns: int = MINUTE) -> Outcome:
    await start(session, folder, what, timeout_ns)
    return await session.wait()


async def start(session: LocalSession, folder: Path, what: Job, timeout_ns: int = MINUTE) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "job.json").write_text(what.model_dump_json())
    await session.start(what, plugins.engine("fake").launch("host", plans.fake()), folder, Limits(timeout_ns))


def run(tmp_path: Path, behave: str, **more: int) -> Outcome:
    async def main() -> Outcome:
        session = LocalSession(tmp_path)
        try:
            return await launch(session, tmp_path / "trial", job(behave), **more)
        finally:
            await session.close()

    return asyncio.run(main())


def test_a_good_end(tmp_path: Path) -> None:
    outcome = run(tmp_path, "ok")
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.spawned is not None
    assert outcome.exited is not None
    assert outcome.spawned < outcome.exited
    assert not list(tmp_path.glob("*.json"))  # nothing is left to clear up


def test_what_the_kernel_killed_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "vmstat").write_text("nr_free_pages 1\noom_kill 7\n")
    monkeypatch.setenv("FAKE_VMSTAT", str(root / "proc" / "vmstat"))

    async def main() -> Outcome:
        return await launch(LocalSession(tmp_path, root), tmp_path / "trial", job("oom_killed"))

    outcome = asyncio.run(main())
    assert (outcome.reason, outcome.detail) == ("out_of_memory", "killed by the kernel: out of memory")


def test_killed_by_somebody_else_is_a_crash(tmp_path: Path, ready: Ready) -> None:
    async def main() -> Outcome:
        session = LocalSession(tmp_path)
        await start(session, tmp_path / "trial", job("hang"))
        _, pid = await ready.wait_async()
        os.kill(pid, 9)
        return await session.wait()

    assert asyncio.run(main()).reason == "crashed"


def test_nothing_that_a_launch_started_is_left(tmp_path: Path, ready: Ready) -> None:
    outcome = run(tmp_path, "tree+ok")
    assert outcome.status == "ok"
    assert gone(ready.wait()[1])


def test_cancelled_in_the_middle(tmp_path: Path, ready: Ready) -> None:
    async def main() -> int:
        session = LocalSession(tmp_path)
        await start(session, tmp_path / "trial", job("hang"))
        waiting = asyncio.create_task(session.wait())
        _, pid = await ready.wait_async()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await session.cancel()
        await session.cancel()
        return pid

    assert gone(asyncio.run(main()))
    assert (tmp_path / "trial" / "samples.jsonl").read_text().splitlines()[-1].startswith('{"e":"cost"')


def test_the_sampler_is_there_before_the_engine_and_after_it(tmp_path: Path) -> None:
    run(tmp_path, "slow")
    head, *rows, tail = (tmp_path / "trial" / "samples.jsonl").read_text().splitlines()
    channels = SampleHead.model_validate_json(head)
    values = [SampleRow.model_validate_json(row) for row in rows]
    events = [json.loads(line) for line in (tmp_path / "trial" / "events.jsonl").read_text().splitlines()]
    assert SampleTail.model_validate_json(tail).t >= events[-1]["t"]
    assert [row.t for row in values] == sorted(row.t for row in values)
    rss = channels.channels.index("rss")
    assert any((row.v[rss] or 0) > 1 << 20 for row in values)
    busy = [row.v[channels.channels.index("cpu_busy")] or 0 for row in values]
    assert busy == sorted(busy)


def test_sensors_are_sampled_and_the_slow_ones_seldom(tmp_path: Path) -> None:
    root = tmp_path / "root"
    zone = root / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu_thermal\n")
    (zone / "temp").write_text("48200\n")
    rapl = root / "sys/class/powercap/intel-rapl:0"
    rapl.mkdir(parents=True)
    (rapl / "name").write_text("package-0\n")
    (rapl / "energy_uj").write_text("1234567\n")

    async def main() -> Outcome:
        return await launch(LocalSession(tmp_path, root), tmp_path / "trial", job("slow"))

    assert asyncio.run(main()).status == "ok"
    head, *rows, _ = map(json.loads, (tmp_path / "trial" / "samples.jsonl").read_text().splitlines())
    assert head["channels"][-2:] == ["energy.package-0", "soc_temp"]
    assert head["units"][-2:] == ["µJ", "m°C"]
    assert rows[0]["v"][-2:] == [1234567, 48200]
    assert all(row["v"][-2:] == [1234567, None] for row in rows[1:-1][:9])
    assert rows[-1]["v"][-2:] == [1234567, 48200]  # the last window has readings on both sides


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        session = LocalSession(tmp_path)
        (tmp_path / "trial").mkdir()
        await session.start(job("ok"), Launch(("/nonexistent/engine", "{job}"), {}), tmp_path / "trial", Limits(MINUTE))

    with pytest.raises(DeviceError, match="/nonexistent/engine cannot be started") as caught:
        asyncio.run(main())
    assert caught.value.code == "engine_missing"


def test_arguments_are_a_vector(tmp_path: Path) -> None:
    hostile = "$(touch pwned); 'x' \"y\"\n`id`"
    folder = tmp_path / "a folder; with 'odd' $names"
    code = "import json,sys; json.dump(sys.argv[1:], open('seen', 'w'))"

    async def main() -> Outcome:
        session = LocalSession(tmp_path)
        folder.mkdir()
        command = Launch((sys.executable, "-c", code, hostile, "{job}", "x{job}"), {"ODD": hostile})
        await session.start(job("ok"), command, folder, Limits(MINUTE))
        return await session.wait()

    assert asyncio.run(main()).status == "ok"
    assert json.loads((folder / "seen").read_text()) == [hostile, str(folder / "job.json"), "x{job}"]
    assert not list(tmp_path.rglob("pwned"))


def test_leftovers_are_ended_by_a_new_session(tmp_path: Path, ready: Ready) -> None:
    async def abandon() -> int:
        session = LocalSession(tmp_path)
        await start(session, tmp_path / "trial", job("hang"))
        _, pid = await ready.wait_async()
        assert session._engine is not None
        return pid

    async def clear() -> None:
        session = LocalSession(tmp_path)
        await session.restore()
        await session.restore()

    pid = asyncio.run(abandon())
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert TOKEN.encode() in environment
    asyncio.run(clear())
    assert gone(pid)
    assert not list(tmp_path.glob("local-*.json"))


def test_open_and_discover(tmp_path: Path) -> None:
    session = asyncio.run(target.open(plans.LOCAL, tmp_path, tmp_path))
    (found,) = target.discover()
    assert found["identity"] == asyncio.run(session.facts())["identity"]
    assert (found["name"], found["target"], found["state"]) == ("local", "local", "ready")
    with pytest.raises(DeviceError, match="has no serial"):
        asyncio.run(target.open(plans.entity("device", "local", "local", serial="x"), tmp_path, tmp_path))


def test_elsewhere_it_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert target.discover() == []
    with pytest.raises(DeviceError, match="the local target needs Linux; this is win32"):
        asyncio.run(target.open(plans.LOCAL, tmp_path, tmp_path))


def test_the_manifest_is_the_pack(tmp_path: Path) -> None:
    manifest = packs.manifests("target")["local"]
    assert manifest.executes
    assert manifest.conditions == {}
    assert manifest.metrics["peak_memory"].method == "VmHWM"
