"""Runs on virtual phones: the settings afterwards, the silence while it measures, and every fault."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mobench_targets.android import kind

from mobench_lang.execute import launch, loop
from mobench_lang.execute.progress import Waiting
from mobench_lang.plan.model import PlanSetting
from tests.support import plans
from tests.support.runs import Lab, events, journal
from tests.targets.android.conftest import Phone, build, condition

SwitchOn = Callable[[str], Phone]

EVERYTHING = (
    condition("airplane", "on"),
    condition("brightness", "0.2"),
    condition("charger", "off"),
    condition("fixed_performance", "on"),
    condition("low_power", "off"),
    condition("screen", "on"),
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is there sooner on a virtual phone."""
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.05, 0.2, 0.5, 1.0, 2.0))
    monkeypatch.setattr(kind, "READING_S", 0.05)
    monkeypatch.setattr(kind, "LOAD_S", 1)


def ends(lab: Lab) -> list[tuple[str, str]]:
    """Status and reason of every trial's launches in the newest run."""
    return [(end["status"], end["reason"]) for end in journal(lab.folders()[-1], "end", "skip")]


@pytest.mark.parametrize("profile", ["pixel", "galaxy_ma", "inverted", "denied", "api26", "no_shell_v2"])
def test_a_launch_on_every_phone(lab: Lab, tmp_path: Path, switch_on: SwitchOn, profile: str) -> None:
    phone = switch_on(profile)
    before = phone.settings()
    result = lab.exec(build(tmp_path, phone))
    assert ends(lab) == [("ok", "")]
    assert result.counts == {"ok": 1}
    assert phone.settings() == before
    assert phone.carriers() == []
    (device,) = journal(lab.folders()[-1], "device")
    assert device["facts"]["simulated"] is True


def test_nothing_crosses_the_cable_while_it_measures(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    lab.exec(build(tmp_path, phone, "slow", repeat=2))
    (folder,) = lab.folders()
    frames = phone.ask("frames")["frames"]
    assert frames
    starts = journal(folder, "start")
    assert len(starts) == 2
    for start in starts:
        told = events(folder, start)
        windows = [(e["start"], e["end"]) for e in told if e["e"] == "pass" and not e["warmup"]]
        assert windows and all(end - begin > 900_000_000 for begin, end in windows)
        for begin, end in windows:
            assert [frame for frame in frames if begin <= frame[0] <= end] == []


@pytest.mark.parametrize("behave", ["ok", "crash"])
def test_every_setting_is_as_before(lab: Lab, tmp_path: Path, switch_on: SwitchOn, behave: str) -> None:
    phone = switch_on("pixel")
    before = phone.settings()
    lab.exec(build(tmp_path, phone, behave, conditions=EVERYTHING, retries=0))
    assert ends(lab) == [("ok", "") if behave == "ok" else ("failed", "crashed")]
    (device,) = journal(lab.folders()[-1], "device")
    assert {c["name"]: c["applied"] for c in device["conditions"]} == {c.name: True for c in EVERYTHING}
    assert phone.settings() == before


def test_every_setting_is_as_before_after_an_interrupt(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    before = phone.settings()

    async def story() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "hang", conditions=EVERYTHING), stop))
        await phone.wait_async()
        during = (await phone.virtual.ask("snapshot"))["snapshot"]
        assert during != before
        stop.set()
        assert (await running).interrupted

    asyncio.run(story())
    assert phone.settings() == before
    assert phone.carriers() == []


def test_a_killed_host_and_a_new_exec(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    before = phone.settings()
    folder = build(tmp_path, phone, "hang+once", conditions=EVERYTHING)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.host", str(folder), str(lab.runs)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    phone.wait()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert phone.settings() != before
    assert phone.carriers() != []  # it works on, detached

    result = lab.exec(folder)
    assert (result.resumed, result.counts) == (True, {"ok": 1})
    assert phone.settings() == before
    assert phone.carriers() == []


# ---------------------------------------------------------------- faults


CHANGED = (condition("brightness", "0.2"), condition("low_power", "off"), condition("screen", "on"))


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a phone, how the trial then ends, and what mends it; `old` where a daemon
    without shell v2 has a way of its own."""

    name: str
    end: tuple[str, str]
    fault: Mapping[str, object]
    mended: Mapping[str, object] = field(default_factory=dict)
    do: str = "set"
    old: bool = False
    conditions: tuple[PlanSetting, ...] = CHANGED


OK = ("ok", "")
FLOOR = (*CHANGED, condition("battery_floor", "0.3"))
FAULTS = (
    Fault("drop mid-push", ("skipped", "lost"), {"drop_push": 300_000}, old=True),
    Fault("drop mid-pull", OK, {"drop_pull": 10}, old=True),
    Fault("ENOSPC", ("skipped", "no_space"), {"quota": 1_000_000}, {"quota": None}, old=True),
    Fault("unauthorised", ("skipped", "unauthorized"), {"unauthorized": True}, {"unauthorized": False}),
    Fault("offline", ("skipped", "not_found"), {"refuse": 60}, {"refuse": 0}, do="cut"),
    Fault("slow link", OK, {"rate": 1_500_000}),
    Fault("battery at 14 %", ("skipped", "condition"), {"level": 14}, {"level": 80}, conditions=FLOOR),
    Fault("truncated pull", OK, {"short_pulls": 1}, old=True),
    Fault("pulls that stay truncated", ("failed", "pull_failed"), {"short_pulls": 99}, {"short_pulls": 0}),
    Fault("throttling", OK, {"throttle": "0.5"}),
)


@pytest.mark.parametrize(
    ("profile", "fault"),
    [pytest.param("pixel", fault, id=fault.name) for fault in FAULTS]
    + [pytest.param("no_shell_v2", fault, id=f"{fault.name}, old daemon") for fault in FAULTS if fault.old],
)
def test_a_fault_ends_in_a_row_and_the_phone_is_as_before(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, fault: Fault, profile: str
) -> None:
    """What went wrong has a status and a reason; once mended, the next exec measures; every setting is as it was."""
    phone = switch_on(profile)
    before = phone.settings()
    (tmp_path / "weights.gguf").write_bytes(os.urandom(2_000_000))
    folder = build(tmp_path, phone, conditions=fault.conditions, retries=0)
    phone.ask(fault.do, **fault.fault)
    lab.exec(folder)
    assert ends(lab)[-1] == fault.end
    for record in journal(lab.folders()[-1], "end", "skip"):
        assert bool(record["detail"]) == (record["status"] != "ok")
    phone.ask(fault.do, **fault.mended)
    assert lab.exec(folder, retry_failed=True).counts == {"ok": 1}
    assert phone.settings() == before
    assert phone.carriers() == []
    assert not list((phone.root / "data/local/tmp/mobench/store").glob("*.part"))


def test_a_phone_that_goes_away_for_good(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials stay for the next exec, which also puts its settings back."""
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.05,))
    phone = switch_on("pixel")
    before = phone.settings()
    folder = build(tmp_path, phone, "hang+once", conditions=CHANGED, timeout_ns=plans.SECOND)

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(folder, None))
        await phone.wait_async()
        await phone.virtual.ask("cut", refuse=600)
        assert (await running).pending == 1

    monkeypatch.setattr(launch, "COLLECT_S", 0.0)
    asyncio.run(story())
    assert [note["level"] for note in journal(lab.folders()[-1], "note")] == ["warning"]
    phone.ask("cut", refuse=0)
    assert phone.settings() != before
    assert lab.exec(folder).counts == {"ok": 1}
    assert phone.settings() == before
    assert phone.carriers() == []


def test_a_phone_that_forbids_its_folder(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    before = phone.settings()
    place = phone.root / "data/local/tmp"
    place.chmod(0o555)
    folder = build(tmp_path, phone, retries=0)
    lab.exec(folder)
    (record,) = journal(lab.folders()[-1], "end", "skip")
    assert (record["status"], record["reason"]) == ("skipped", "start_failed")
    assert "Permission denied" in record["detail"]
    place.chmod(0o755)
    assert lab.exec(folder).counts == {"ok": 1}
    assert phone.settings() == before


def test_a_cable_that_is_pulled_while_it_measures(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "slow"), None))
        await phone.wait_async()
        await phone.virtual.ask("cut", refuse=0.5)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    (start,) = journal(lab.folders()[-1], "start")  # the launch went on: it is one attempt
    assert start["attempt"] == 0


def test_a_phone_that_starts_anew(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "hang+once"), None))
        await phone.wait_async()
        await phone.virtual.ask("reboot")
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    assert ends(lab) == [("failed", "lost_device"), ("ok", "")]


def test_a_battery_below_its_floor(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel:level=14")
    lab.exec(build(tmp_path, phone, conditions=(condition("battery_floor", "0.3"),)))
    (skip,) = journal(lab.folders()[-1], "skip")
    assert skip["status"] == "skipped"
    assert "the battery is at 14 %, 30 % are asked for" in skip["detail"]


def test_a_link_that_is_slow_and_hangs(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel:rate=3000000")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "slow"), None))
        await phone.wait_async()
        await phone.virtual.ask("hang", seconds=2)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())


def test_a_launch_whose_time_is_over(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    lab.exec(build(tmp_path, phone, "hang", timeout_ns=plans.SECOND, retries=0))
    assert ends(lab) == [("failed", "timeout")]
    assert phone.carriers() == []


# ---------------------------------------------------------------- what a phone did meanwhile


def flags(lab: Lab) -> list[str]:
    """The flags of the last launch."""
    found: list[str] = journal(lab.folders()[-1], "end")[-1]["flags"]
    return found


def during(lab: Lab, tmp_path: Path, phone: Phone, do: str, **more: object) -> None:
    """A launch, and what happens to the phone while it runs."""

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "slow", repeat=1), None))
        await phone.wait_async()
        await phone.virtual.ask(do, **more)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())


def test_nothing_happened_and_nothing_is_marked(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    lab.exec(build(tmp_path, switch_on("pixel"), "slow"))
    assert set(flags(lab)) <= {"busy_host"}


@pytest.mark.parametrize("seconds", [86_400, -3_600])
def test_a_clock_that_is_set(lab: Lab, tmp_path: Path, switch_on: SwitchOn, seconds: int) -> None:
    phone = switch_on("pixel")
    before = phone.settings()
    during(lab, tmp_path, phone, "clock", seconds=seconds)
    assert "clock_jumped" in flags(lab)
    assert phone.settings() == before
    # What measures time is not the wall clock.
    (start,) = journal(lab.folders()[-1], "start")
    passes = [event for event in events(lab.folders()[-1], start) if event["e"] == "pass"]
    assert passes and all(0 < event["end"] - event["start"] < 600_000_000_000 for event in passes)


def test_a_phone_that_dozes(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    during(lab, tmp_path, phone, "doze", seconds=6)
    assert "slept" in flags(lab)


def test_a_phone_that_heat_slows(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    during(lab, tmp_path, phone, "set", throttle="0.5")
    assert "throttled" in flags(lab)


def test_a_phone_that_is_lost_has_no_clock_that_jumped(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "hang+once", retries=1), None))
        await phone.wait_async()
        await phone.virtual.ask("reboot")
        await running

    asyncio.run(story())
    lost, _ = journal(lab.folders()[-1], "end")
    # The phone's shell sampled, for the instrument here has no runner, and went down with the phone.
    assert (lost["reason"], lost["flags"]) == ("lost_device", ["samples_incomplete"])


def test_a_phone_that_is_busy_with_other_things(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel:background=0.6")
    folder = build(tmp_path, phone, max_load="0.3", gate_timeout_ns=60 * plans.SECOND)

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(folder, None))
        while not lab.said(Waiting):
            await asyncio.sleep(0.05)
        await phone.virtual.ask("set", background=0)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    waited = [waiting.what for waiting in lab.said(Waiting)]
    assert waited[0].startswith("background load") and waited[0].endswith("starts below 30%")
    (start,) = journal(lab.folders()[-1], "start")
    assert (start["gate"]["passed"], start["gate"]["reasons"]) == (True, [])


def test_a_phone_that_stays_busy_and_one_that_does_not_tell(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel:background=0.9")
    lab.exec(build(tmp_path, phone, "slow", max_load="0.3", gate_timeout_ns=2 * plans.SECOND))
    assert {"gate_timeout", "busy_host"} <= set(flags(lab))
    hidden = switch_on("denied:background=0.9")
    lab.exec(build(tmp_path, hidden, "slow", max_load="0.3", gate_timeout_ns=60 * plans.SECOND))
    (start,) = journal(lab.folders()[-1], "start")
    assert start["gate"]["reasons"] == ["background load cannot be read"]
    assert flags(lab) == ["gate_unknown"]
