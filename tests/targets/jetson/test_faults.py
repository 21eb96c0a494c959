"""Boards that fail while a run measures on them: a reason, a row, nothing left running, settings put back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.linux.virtual import VirtualBoard

from mobench_lang.execute import RunResult, loop
from mobench_lang.execute.progress import DeviceGone
from tests.support.boards import link, session, story
from tests.support.packs_path import installed
from tests.support.ready import Ready, gone
from tests.support.runs import Lab, journal

SPEC = """mobench 1
model m {{ source = path("m.gguf") }}
device orin {{ target = jetson, class = edge, ram = 8GiB, host = "{host}", ssh_config = "{config}"{image} }}
bench study {{
  model = m
  engine = fake {{ behave = "{behave}" }}
  device = orin
  workload = generate(prompt = 8tok, output = 1tok)
  run {{ warmup = 0, repeat = 1, retries = {retries}, timeout = {timeout} }}
  conditions {{ power_mode = "15W", jetson_clocks = on, fan = 50% }}
  measure load_time
}}
"""


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.2, 0.4, 0.8, 1.6))
    with installed(monkeypatch):
        yield


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    return Ready(tmp_path, monkeypatch)


class Study:
    """A compiled bench for one board, and the runs of it."""

    def __init__(
        self, folder: Path, board: VirtualBoard, behave: str, timeout: str = "60s", retries: int = 1, image: str = ""
    ) -> None:
        self.lab, self.board = Lab(folder), board
        (folder / "m.gguf").write_bytes(b"weights")
        where = {"host": board.attributes["host"], "config": board.attributes["ssh_config"]}
        (folder / "study.bench").write_text(
            SPEC.format(**where, behave=behave, timeout=timeout, retries=retries, image=image)
        )
        self.build = folder / "build"
        done = subprocess.run(
            [sys.executable, "-m", "mobench_lang.cli.main", "compile", "study.bench"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        self.before = settings(board)

    async def exec(self) -> RunResult:
        return await self.lab.exec_async(self.build, None)

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        [folder] = self.lab.folders()
        return journal(folder, *kinds)

    def clean(self) -> None:
        """Nothing of a launch is left running, and everything stands as before."""
        left = [pid for pid in self.board.processes() if b"MOBENCH_LAUNCH=" in environment(pid)]
        assert all(gone(pid) for pid in left)
        assert settings(self.board) == self.before
        assert not (self.board.folder / "mobench/changed").exists()


def settings(board: VirtualBoard) -> dict[str, str]:
    clocks = board.sys / "devices/system/cpu/cpufreq/policy0"
    files = (board.folder / "mode", board.sys / str(board.profile.fan), clocks / "scaling_min_freq")
    return {path.name: path.read_text() for path in files} | {"fan": str((board.folder / "nvfancontrol").exists())}


def environment(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


async def during(study: Study, ready: Ready, fault: Callable[[], Awaitable[None]]) -> RunResult:
    """An `exec` into whose launch a fault falls."""
    running = asyncio.create_task(study.exec())
    waiting = asyncio.create_task(ready.wait_async())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert waiting.done(), await running
    assert settings(study.board) != study.before
    await fault()
    return await running


def test_a_reboot_ends_the_launch_and_the_trial_is_measured_again(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "hang+once")
        result = await during(study, ready, board.reboot)
        assert result.counts == {"ok": 1}
        first, second = study.records("end")
        assert (first["status"], first["reason"]) == ("failed", "lost_device")
        assert "started anew" in first["detail"]
        assert second["status"] == "ok"
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_a_board_that_is_gone_for_good_leaves_a_row_and_its_way_back_on_it(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "hang", timeout="3s")
        result = await during(study, ready, board.gone)
        assert result.counts == {"failed": 1}
        [end] = study.records("end")
        assert (end["status"], end["reason"]) == ("failed", "lost_device")
        assert [said.reason for said in study.lab.said(DeviceGone)] == ["lost"]
        # Somebody switches it on again; any later run of mobench finds what was changed.
        await board.power_on()
        later = await session(board, tmp_path)
        await later.restore()
        await later.close()
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_a_host_key_that_changes_meanwhile_is_never_talked_to(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "hang", timeout="3s")
        await during(study, ready, board.new_host_key)
        [end] = study.records("end")
        assert (end["status"], end["reason"]) == ("failed", "lost_device")
        assert "shows another host key" in study.lab.said(DeviceGone)[-1].message
        # The launch ends by itself, for its time is over; the way back is still written on the board.
        (board.folder / "known_hosts").write_text(
            f"[127.0.0.1]:{board.port} {(board.folder / 'host_key.pub').read_text()}"
        )
        later = await session(board, tmp_path)
        await later.restore()
        await later.close()
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_a_connection_that_is_cut_costs_no_trial(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "hang", timeout="4s")

        async def cut() -> None:
            board.cut()

        await during(study, ready, cut)
        ends = study.records("end")
        assert [(end["status"], end["reason"]) for end in ends] == [("failed", "timeout")]
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_a_clock_that_is_a_day_off_changes_nothing(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "ok")
        result = await study.exec()
        assert result.counts == {"ok": 1}
        [end] = study.records("end")
        assert "clock_jumped" not in end["flags"]
        study.clean()

    story(tmp_path, "orin-nano:clock_off=-86400", told)


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        ("no_key", "permission_denied", "ssh-copy-id"),
        ("other_key", "host_key_changed", "ssh-keygen -R"),
        ("no_sudo", "condition", "NOPASSWD"),
    ],
)
def test_a_board_that_does_not_let_one_has_a_row_with_the_reason(
    tmp_path: Path, fault: str, reason: str, says: str
) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "ok")
        await study.exec()
        [skip] = study.records("skip")
        assert skip["reason"] == reason and says in skip["detail"]
        study.clean()

    story(tmp_path, f"orin-nano:{fault}", told)


def can_mount() -> bool:
    try:
        words = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_mount = pytest.mark.skipif(not can_mount(), reason="no tmpfs can be mounted here")


@needs_mount
def test_a_model_that_does_not_fit_is_a_row(tmp_path: Path) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "ok")
        (tmp_path / "m.gguf").write_bytes(b"x" * 900_000)
        await study.exec()
        [skip] = study.records("skip")
        assert skip["reason"] == "no_space" and "delete something there" in skip["detail"]
        study.clean()

    story(tmp_path, "orin-nano:storage=66200", told)


@needs_mount
def test_a_storage_that_becomes_full_during_a_launch(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = Study(tmp_path, board, "hang", retries=0)

        async def fill() -> None:
            ssh = await link(board)
            filled = await ssh.run('cat /dev/zero >"$MB_ROOT/filler"')
            assert filled.rc == 1 and b"No space left" in filled.stderr
            # The engine ends; how it did has to be written down.
            [pid] = [pid for pid in board.processes() if b"hosted" in command(pid) and b"instrument.py" in command(pid)]
            os.kill(pid, signal.SIGTERM)
            await ssh.close()

        await during(study, ready, fill)
        [end] = study.records("end")
        assert (end["status"], end["reason"]) == ("failed", "crashed")
        assert "write down" not in end["detail"]
        study.clean()

    story(tmp_path, "orin-nano:storage=70000", told)


def command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
