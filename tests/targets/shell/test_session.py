"""The session over real shells: start, wait in silence, collect; faults at every stage; nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobench_targets.shell.platform import Sensor
from mobench_targets.shell.session import ShellSession

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError, Launch, Limits, Outcome
from tests.support.ready import Ready, gone
from tests.targets.shell.conftest import LIMITS, Box, MakeJob

AIRPLANE = (PlanSetting(name="airplane", value="on", optional=False),)


def events(folder: Path) -> list[str]:
    return [json.loads(line)["e"] for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Box) -> Ready:
    """Tells when the instrument on the device is at work."""
    found = Ready(tmp_path, monkeypatch)
    box.env["FAKE_READY"] = os.environ["FAKE_READY"]
    return found


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 120))  # type: ignore[arg-type]


def measured(box: Box, launch: Launch, behave: MakeJob, what: str, limits: Limits = LIMITS) -> tuple[Outcome, Path]:
    """The outcome of one launch, and its folder on the host."""
    folder = box.trial(what)
    found: list[Outcome] = []

    async def story() -> None:
        session = box.session()
        await session.start(behave(what), launch, folder, limits)
        found.append(await session.wait())
        await session.close()

    run(story)
    return found[0], folder


def test_a_launch_from_start_to_its_files(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    async def story() -> None:
        session, folder = box.session(), box.trial("a")
        await session.facts()
        assert session.platform == "linux-test"
        await session.start(make_job(), fake_launch, folder, LIMITS)
        outcome = await session.wait()
        assert (outcome.status, outcome.reason, outcome.slept_ns) == ("ok", "", 0)
        assert outcome.cpu_ns is not None and outcome.cpu_ns > 0
        assert events(folder)[-1] == "end"
        assert (folder / "stderr.log").read_bytes() == b""
        await session.close()

    run(story)
    assert list((box.root / "hosted").iterdir()) == []
    assert box.carriers() == []


def test_an_output_that_is_kept_is_a_file_of_its_own(box: Box, make_job: MakeJob) -> None:
    """A program of the device's user, below their home: what it prints, what it says beside that, and how it ends."""
    program = box.home / "my tools/speak"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "heard $1"\necho aside >&2\nexit 3\n')
    program.chmod(0o755)
    launch = Launch(("~/my tools/speak", "$(reboot) 'it'"), {}, keeps_output=True)
    outcome, folder = measured(box, launch, make_job, "ok")
    assert (outcome.status, outcome.reason, outcome.exit) == ("failed", "crashed", 3)
    assert (folder / "output.txt").read_text() == "heard $(reboot) 'it'\n"
    assert (folder / "stderr.log").read_text() == "aside\n"
    assert not (folder / "events.jsonl").exists()


def test_start_and_end_cost_a_few_commands_and_the_time_between_none(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    async def story() -> None:
        session, folder = box.session(), box.trial("a")
        await session.restore()
        await session.start(make_job("hang"), fake_launch, folder, LIMITS)
        begun = len(box.link.log)
        waiting = asyncio.ensure_future(session.wait())
        _, pid = await ready.wait_async()
        await box.link.holding.wait()
        assert [entry.split()[0] for entry in box.link.log[begun:]] == ["hold"]
        os.kill(pid, signal.SIGTERM)
        assert (await waiting).reason == "crashed"
        await session.start(make_job("ok", 1), fake_launch, box.trial("b"), LIMITS)
        again = len(box.link.log)
        assert (await session.wait()).status == "ok"
        # One command starts a launch once the scripts are there; after its end: what is there, three files, tidying up.
        assert [entry.split()[0] for entry in box.link.log[again - 1 :]] == ["run", "hold", "run", "pull", "run"]

    run(story)


@pytest.mark.parametrize("what", ["hang", "stubborn", "hang+tree", "hang+child"])
def test_a_launch_whose_time_is_over_is_ended_with_all_it_started(
    box: Box, fake_launch: Launch, make_job: MakeJob, what: str, ready: Ready
) -> None:
    outcome, folder = measured(box, fake_launch, make_job, what, Limits(1_000_000_000))
    assert (outcome.status, outcome.reason) == ("failed", "timeout")
    assert "end" not in events(folder)
    assert box.carriers() == []


def test_a_device_that_gets_too_hot_ends_its_launch(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    heat = box.home / "temp of $(reboot)"
    heat.write_text("300\n")
    box.kind.sensor = Sensor(str(heat), scale=100)
    folder = box.trial("hot")

    async def story() -> None:
        session = box.session()
        await session.start(make_job("hang"), fake_launch, folder, Limits(60_000_000_000, abort_above=80_000))
        await ready.wait_async()
        heat.write_text("801\n")
        assert (await session.wait()).reason == "too_hot"

    run(story)
    assert box.carriers() == []


@pytest.mark.parametrize(
    ("what", "reason", "detail"),
    [
        ("crash", "crashed", "SIGSEGV"),
        ("mute", "crashed", "exit status 7: usage: nobody knows"),
        ("bad_alloc", "out_of_memory", "std::bad_alloc"),
    ],
)
def test_an_instrument_that_fails_says_how(
    box: Box, fake_launch: Launch, make_job: MakeJob, what: str, reason: str, detail: str
) -> None:
    outcome, folder = measured(box, fake_launch, make_job, what)
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert detail in outcome.detail
    assert (folder / "stderr.log").stat().st_size > 0


def test_a_program_that_is_not_there(box: Box, make_job: MakeJob) -> None:
    outcome, _ = measured(box, Launch(("/no such/program", "{job}"), {}), make_job, "a")
    assert outcome.reason == "crashed"
    assert "/no such/program" in outcome.detail


def test_a_long_log_keeps_its_end(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    outcome, folder = measured(box, fake_launch, make_job, "noisy")
    log = (folder / "stderr.log").read_bytes()
    assert outcome.status == "ok"
    assert b"bytes before this were not kept" in log.splitlines()[0]
    assert log.splitlines()[-1] == b"the last line"
    assert len(log) < 1_100_000


def test_cancel_ends_everything_and_keeps_what_is_there(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    folder = box.trial("a")

    async def story() -> None:
        session = box.session()
        await session.cancel()  # nothing runs: nothing happens
        await session.start(make_job("hang+tree"), fake_launch, folder, LIMITS)
        _, pid = await ready.wait_async()
        await session.cancel()
        assert gone(pid)
        await session.cancel()

    run(story)
    assert events(folder)[0] == "start"
    assert box.carriers() == []


# ---------------------------------------------------------------- a link that is lost


def test_a_launch_that_outlives_its_link_is_taken_up_again(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    folder = box.trial("a")

    async def story() -> None:
        job = make_job("hang")
        session = box.session()
        await session.start(job, fake_launch, folder, LIMITS)
        _, pid = await ready.wait_async()
        waiting = asyncio.ensure_future(session.wait())
        await box.link.holding.wait()
        box.link.cut()
        with pytest.raises(DeviceError) as lost:
            await waiting
        assert lost.value.code == "lost"
        await session.close()

        again = box.session()
        assert await again.attach(job, folder, LIMITS)
        waiting = asyncio.ensure_future(again.wait())
        await box.link.holding.wait()
        os.kill(pid, signal.SIGTERM)
        outcome = await waiting
        assert outcome.reason == "crashed"

    run(story)
    assert events(folder)[0] == "start"
    assert box.carriers() == []


def test_a_launch_that_ended_while_its_link_was_lost(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    folder = box.trial("a")

    async def story() -> None:
        session = box.session()
        await session.start(make_job(), fake_launch, folder, LIMITS)
        await box.link.hold(await_end(box))
        box.link.cut()
        again = box.session()
        assert await again.attach(make_job(), folder, LIMITS)
        assert (await again.wait()).status == "ok"
        assert not await again.attach(make_job(), folder, LIMITS)  # it was fetched: nobody measures it twice

    run(story)
    assert events(folder)[-1] == "end"


def await_end(box: Box) -> str:
    """A command that lasts as long as the one launch of the device."""
    script = next((box.root / "scripts").iterdir()) / "run.sh"
    launch = next((box.root / "hosted").iterdir())
    return f'MB_ROOT="{"$HOME"}"/nowhere sh {quoted(script)} wait {quoted(launch)}'


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def test_a_launch_that_never_began_is_not_taken_up(box: Box, make_job: MakeJob) -> None:
    async def story() -> None:
        session = box.session()
        assert not await session.attach(make_job(), box.trial("a"), LIMITS)
        await session.cancel()

    run(story)


@pytest.mark.parametrize("stage", range(8))
def test_a_link_that_is_lost_at_any_command_loses_no_launch_and_makes_none_twice(
    tmp_path: Path, fake_launch: Launch, make_job: MakeJob, stage: int
) -> None:
    """The link dies right before its n-th command; from then on a new one does the rest."""
    box = Box(tmp_path, "dash")
    folder = box.trial("a")

    async def story() -> str:
        session = box.session()
        cut_before(session, stage)
        try:
            await session.start(make_job(), fake_launch, folder, LIMITS)
            return (await session.wait()).status
        except DeviceError as error:
            code = error.code
        assert code == "lost"
        session = box.session()
        if not await session.attach(make_job(), folder, LIMITS):
            await session.restore()
            await session.start(make_job(), fake_launch, folder, LIMITS)
        return (await session.wait()).status

    assert asyncio.run(story()) == "ok"
    assert events(folder).count("start") == 1
    assert box.carriers() == []
    assert list((box.root / "hosted").iterdir()) == []


def cut_before(session: ShellSession, number: int) -> None:
    """Cut a session's link before its n-th operation."""
    link = session._link
    left = [number]

    def counting(operation: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def call(*args: object, **options: object) -> object:
            if left[0] == 0:
                link.cut()  # type: ignore[attr-defined]
            left[0] -= 1
            return await operation(*args, **options)

        return call

    for name in ("run", "hold", "pull", "push"):
        setattr(link, name, counting(getattr(link, name)))


# ---------------------------------------------------------------- a host that dies, a device that starts anew


def test_the_next_host_ends_what_a_dead_one_left_and_puts_settings_back(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    async def story() -> None:
        session = box.session()
        records = await session.prepare(AIRPLANE)
        assert [record["verified"] for record in records] == [True]
        await session.start(make_job("hang+child"), fake_launch, box.trial("a"), LIMITS)
        _, first = await ready.wait_async()
        _, second = await ready.wait_async()
        # The host dies here: nothing is cancelled, nothing closed.
        following = box.session()
        await following.restore()
        assert gone(first)
        assert gone(second)
        assert (box.home / "airplane").read_text() == "off\n"
        await following.restore()

    run(story)
    assert box.carriers() == []
    assert not (box.root / "hosted").exists()


def test_a_device_that_never_saw_mobench_is_not_touched_by_restore(box: Box) -> None:
    async def story() -> None:
        await box.session().restore()

    run(story)
    assert list(box.home.iterdir()) == []


def test_a_launch_whose_script_was_killed_is_over(
    box: Box, fake_launch: Launch, make_job: MakeJob, ready: Ready
) -> None:
    async def story() -> None:
        session = box.session()
        await session.start(make_job("hang"), fake_launch, box.trial("a"), LIMITS)
        await ready.wait_async()
        waiting = asyncio.ensure_future(session.wait())
        await box.link.holding.wait()
        os.kill(int(state_of(box)["pid"]), signal.SIGKILL)
        outcome = await waiting
        assert (outcome.reason, "killed on the device" in outcome.detail) == ("crashed", True)

    run(story)
    assert box.carriers() == []


def state_file(box: Box) -> Path:
    return next((box.root / "hosted").iterdir()) / "state"


def state_of(box: Box) -> dict[str, str]:
    return dict(line.split("=", 1) for line in state_file(box).read_text().splitlines())


def rewrite(box: Box, **values: str) -> None:
    state_file(box).write_text("".join(f"{key}={value}\n" for key, value in (state_of(box) | values).items()))


@pytest.mark.parametrize("changed", ["boot", "started"])
def test_a_number_that_another_process_has_now_is_not_signalled(
    box: Box, fake_launch: Launch, make_job: MakeJob, changed: str
) -> None:
    """The device started anew, or its numbers went around: the recorded pid is somebody else's."""
    innocent = subprocess.Popen(["sleep", "600"])

    async def story() -> Outcome:
        session = box.session()
        await session.start(make_job(), fake_launch, box.trial("a"), LIMITS)
        await box.link.hold(await_end(box))
        born = Path(f"/proc/{innocent.pid}/stat").read_text().rsplit(") ", 1)[1].split()[19]
        values = {"state": "running", "pid": str(innocent.pid), "started": born, "status": ""}
        rewrite(box, **{**values, changed: "1"})
        return await session.wait()

    try:
        outcome = asyncio.run(story())
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
    assert outcome.reason == ("lost_device" if changed == "boot" else "crashed")


# ---------------------------------------------------------------- settings


def test_changes_are_undone_last_first_and_those_that_fail_stay_written_down(box: Box) -> None:
    async def story() -> None:
        session = box.session()
        log = box.home / "log"
        assert await session.put_back_ago() is None
        await session.change("echo do1 >>log", "echo 'undo $(1)' >>log")
        await session.change("echo do2 >>log", "[ -f mended ] && echo undo2 >>log")
        with pytest.raises(DeviceError) as failed:
            await session.change("echo no such setting >&2; exit 9", "echo undo3 >>log")
        assert (failed.value.code, str(failed.value)) == ("change_failed", "no such setting")
        with pytest.raises(DeviceError) as restored:
            await box.session().restore()
        assert restored.value.code == "not_restored"
        assert "mended" in str(restored.value)
        assert log.read_text().splitlines() == ["do1", "do2", "undo3", "undo $(1)"]
        (box.home / "mended").touch()
        await box.session().restore()
        assert log.read_text().splitlines()[4:] == ["undo2"]
        ago = await box.session().put_back_ago()
        assert ago is not None and 0 <= ago < 3600
        (box.root / "put_back").write_text("1e12 0\n")  # the device started anew since
        assert await session.put_back_ago() is None
        assert not (box.root / "changed").exists()
        with pytest.raises(DeviceError, match="line end"):
            await session.change("echo never >>log", "echo a\necho b")
        assert "never" not in log.read_text()

    run(story)


# ---------------------------------------------------------------- hostile words

_words = st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=40)


@pytest.mark.parametrize("shell", ["dash", "mksh", "busybox"])
def test_words_reach_the_instrument_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, make_job: MakeJob, shell: str
) -> None:
    box = Box(tmp_path_factory.mktemp("words"), shell)
    tell = "import json,os,sys; open(sys.argv[1],'w').write(json.dumps([sys.argv[2:], os.environ['SAID']])+'\\n')"
    number = iter(range(1000))

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(words=_words, said=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
    def check(words: list[str], said: str) -> None:
        words = [*words, "-n", "--", "a'b\"c", "$(reboot)", "`x`", "new\nline", "\\", "*", "~", ""]
        argv = (sys.executable, "-I", "-S", "-X", "utf8", "-c", tell, "{events}", *words)
        outcome, folder = measured(box, Launch(argv, {"SAID": said}), lambda _: make_job(), f"words-{next(number)}")
        assert outcome.status == "ok", outcome.detail
        assert json.loads((folder / "events.jsonl").read_text()) == [words, said]

    check()


def test_a_name_that_no_environment_can_have_is_refused(box: Box, fake_launch: Launch, make_job: MakeJob) -> None:
    async def story() -> None:
        session = box.session()
        with pytest.raises(DeviceError, match="no name of an environment variable"):
            await session.start(make_job(), Launch(fake_launch.argv, {"A=b; reboot": "1"}), box.trial("a"), LIMITS)

    run(story)
