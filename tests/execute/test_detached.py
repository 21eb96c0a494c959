"""Devices that work on while they cannot be reached: what the core makes of a link that is lost and found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.execute import loop
from mobench_lang.execute.progress import DeviceGone
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plan.render import render, renderer
from tests.support import plans
from tests.support.ready import Ready, gone
from tests.support.runs import Lab, events, journal
from tests.support.shell_link import SHELLS


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.01, 0.02))


def box(tmp_path: Path) -> Path:
    home = tmp_path / "device"
    home.mkdir()
    return home


def build(tmp_path: Path, home: Path, behave: str = "ok", shell: str = "dash", **run: Any) -> Path:
    """A plan with one device of a shell, and the scripts that compile would put beside it."""
    device = plans.entity("device", "box", "shellbox", home=str(home), shell=shell)
    folder = plans.build(tmp_path / "build", devices=(device,), engines=(plans.fake(behave),), **run)
    (folder / "box").mkdir(exist_ok=True)
    environment = renderer("mobench_fake.shell", ("mobench_targets.shell",))
    values = {
        "bench": "hello", "device": {"name": "box", "target": "shellbox"}, "cells": 1, "conditions": [], "models": [],
        "protocol": plans.protocol().model_dump(mode="json"),
    }  # fmt: skip
    for name in ("run.sh", "restore.sh"):
        (folder / "box" / name).write_text(render(environment, f"{name}.j2", values))
    return folder


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("cuts", [0, 1, 3])
def test_a_launch_that_outlives_its_link_is_one_trial(lab: Lab, tmp_path: Path, shell: str, cuts: int) -> None:
    home = box(tmp_path)
    (home / "cuts").write_text(str(cuts))
    result = lab.exec(build(tmp_path, home, shell=shell))
    assert result.counts == {"ok": 1}
    (folder,) = lab.folders()
    (start,), (end,) = journal(folder, "start"), journal(folder, "end")
    assert (start["attempt"], end["status"]) == (0, "ok")
    assert [e["e"] for e in events(folder, start)].count("start") == 1
    assert (home / "log").read_text().count("open") == 1 + cuts


def test_a_device_that_comes_back_without_its_launch_begins_anew(lab: Lab, tmp_path: Path) -> None:
    home = box(tmp_path)
    (home / "cuts").write_text("1")
    behave = "ok"
    folder = build(tmp_path, home, behave)
    (home / "log").write_text("")

    real = loop.open_device

    async def forgetting(*arguments: Any) -> Any:
        if (home / "cuts").read_text() == "0" and not (home / "forgot").exists():
            (home / "forgot").touch()
            (home / "forgets").touch()
        return await real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "open_device", forgetting)
        result = lab.exec(folder)
    assert result.counts == {"ok": 1}
    ends = [(end["attempt"], end["status"], end["reason"]) for end in journal(lab.folders()[0], "end")]
    assert ends == [(0, "failed", "lost_device"), (1, "ok", "")]


def test_a_device_that_stays_away_is_looked_for_as_long_as_its_launch_may_take(
    lab: Lab, tmp_path: Path, ready: Ready
) -> None:
    home = box(tmp_path)
    (home / "cuts").write_text("1")

    real = loop.open_device

    async def gone_for_good(*arguments: Any) -> Any:
        (home / "away").touch()
        return await real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "open_device", gone_for_good)
        result = lab.exec(build(tmp_path, home, "hang", timeout_ns=plans.SECOND // 2))
    _, pid = ready.wait()
    assert result.counts == {"failed": 1}
    (end,) = journal(lab.folders()[0], "end")
    assert (end["reason"], end["attempt"]) == ("lost_device", 0)
    assert [said.reason for said in lab.said(DeviceGone)] == ["lost"]
    assert gone(pid)  # the device ended the launch by itself when its time was over


def test_a_host_that_is_killed_leaves_nothing_for_long(lab: Lab, tmp_path: Path, ready: Ready) -> None:
    home = box(tmp_path)
    conditions = (PlanSetting(name="airplane", value="on", optional=False),)
    folder = build(tmp_path, home, "hang+child+once", conditions=conditions)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.host", str(folder), str(lab.runs)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pids = [ready.wait()[1] for _ in range(2)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (home / "airplane").read_text() == "on\n"

    result = lab.exec(folder)
    assert (result.resumed, result.counts) == (True, {"ok": 1})
    assert all(gone(pid) for pid in pids)
    assert (home / "airplane").read_text() == "off\n"
    (run,) = lab.folders()
    assert [r["attempt"] for r in journal(run, "start")] == [0, 1]
    assert [r["attempt"] for r in journal(run, "end")] == [1]
    assert not (home / "root/hosted").exists() or not list((home / "root/hosted").iterdir())


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    return Ready(tmp_path, monkeypatch)
