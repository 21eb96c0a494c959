"""The scripts themselves: their text, what shellcheck says, and the whole plan by hand without mobench."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Golden
from tests.support.ready import Ready, gone
from tests.support.shell_link import SHELLS, tools
from tests.targets.shell.conftest import INSTRUMENT, scripts

WARM = {"abort_above": 85_000, "start_below": 45_000, "cooldown_ns": 5_000_000_000, "max_load": "0.25"}


def test_the_scripts_are_what_a_person_reviews(golden: Golden, tmp_path: Path) -> None:
    plain, warm = scripts(tmp_path / "plain"), scripts(tmp_path / "warm", **WARM)
    golden("shell/run.sh", (plain / "run.sh").read_text())
    golden("shell/run_with_limits.sh", (warm / "run.sh").read_text())
    golden("shell/restore.sh", (plain / "restore.sh").read_text())
    golden("shell/README.md", (plain / "README.md").read_text())


@pytest.mark.parametrize("protocol", [{}, WARM], ids=["plain", "limits"])
def test_shellcheck_finds_nothing(tmp_path: Path, protocol: dict[str, Any]) -> None:
    if shutil.which("shellcheck") is None:
        pytest.fail("shellcheck is missing: python3 .ci/setup.py tools installs the packages of the tests")
    folder = scripts(tmp_path, **protocol)
    found = subprocess.run(
        ["shellcheck", "--shell=sh", folder / "run.sh", folder / "restore.sh"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


# ---------------------------------------------------------------- by hand


class Hand:
    """A build's folder on a device, and a person who types commands."""

    def __init__(self, folder: Path, shell: str, behaves: list[str], **protocol: Any) -> None:
        self.folder = scripts(folder / "a build '$(reboot)'", **protocol)
        self.shell = folder / "bin/sh"
        self.env = {"PATH": tools(shell, folder / "bin"), "HOME": str(folder / "home"), **_ready()}
        jobs, order = [], []
        for line, behave in enumerate(behaves, 1):
            job = {
                "job_id": f"study/cell{line}a0",
                "model": {"path": "models/k1.gguf", "sha256": "1" * 64},
                "engine": {"threads": 1, "extra": {"behave": behave}},
                "warmup": 0,
                "measured": 1,
                "seed": 1,
                "text": "it's $(reboot) \\t",
            }
            jobs.append(json.dumps(job) + "\n")
            order += [f"{rep}\t{line}\t{line}\tcell{line}\t{rep}\t1\n" for rep in range(2)]
        (self.folder / "jobs.jsonl").write_text("".join(jobs))
        (self.folder / "order.tsv").write_text("".join(sorted(order)))

    def type(self, *words: str, script: str = "run.sh") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.shell, script, *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def runs(self, argv: list[str]) -> None:
        """Let launches run this instead of the runner, by what `MB_EXEC` is for: words before it."""
        program = self.folder / "emulator"
        program.write_text(f'#!/bin/sh\nshift\nexec {" ".join(argv)} "$@"\n')
        program.chmod(0o755)
        self.env["MB_EXEC"] = "./emulator"

    def state(self, name: str) -> dict[str, str]:
        lines = (self.folder / "launches" / name / "state").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def _ready() -> dict[str, str]:
    return {name: os.environ[name] for name in ("FAKE_READY",) if name in os.environ}


FAKE = [sys.executable, "-I", "-S", str(INSTRUMENT)]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_whole_plan_runs_by_hand_in_its_order(tmp_path: Path, shell: str) -> None:
    hand = Hand(tmp_path, shell, ["ok", "mute"])
    hand.runs(FAKE)
    first = hand.type("all")
    assert first.returncode == 0, first.stderr
    assert [line.split(": ")[1].split(",")[0] for line in first.stdout.splitlines()] == [
        "cell cell1", "cell cell2", "cell cell1", "cell cell2",
    ]  # fmt: skip
    assert first.stderr.count("failed: exit status 7") == 2
    assert (hand.state("cell1-r0")["status"], hand.state("cell2-r1")["status"]) == ("0", "7")
    job = json.loads((hand.folder / "launches/cell1-r0/job.json").read_text())
    assert job["text"] == "it's $(reboot) \\t"
    events = (hand.folder / "launches/cell1-r1/events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["status"] == "ok"
    # Again: what is done stays, what failed is tried anew.
    second = hand.type("all")
    assert [line.split(": ")[1].split(",")[0] for line in second.stdout.splitlines()] == ["cell cell2"] * 2


class Counted:
    """A /proc of our own; each second that a script sleeps brings the next line of its `stat`."""

    def __init__(self, hand: Hand, stats: list[str]) -> None:
        self.folder = hand.folder / "proc"
        self.folder.mkdir()
        for number, line in enumerate(stats):
            (self.folder / f"stat.{number}").write_text(f"{line}\ncpu0 1 1 1 1 1 1 1 1\n")
            (self.folder / f"uptime.{number}").write_text(f"{number}.07 1\n")
        (self.folder / "second").write_text("0\n")
        slept = hand.shell.with_name("sleep")
        slept.unlink(missing_ok=True)
        slept.write_text(
            '#!/bin/sh\n[ "$1" = 1 ] || exit 0\ncd "$MB_PROC" && read -r n <second && n=$((n + 1)) &&\n'
            'echo "$n" >second && cp "stat.$n" stat && cp "uptime.$n" uptime\n'
        )
        slept.chmod(0o755)
        for name in ("stat", "uptime"):
            shutil.copy(self.folder / f"{name}.0", self.folder / name)
        hand.env |= {"MB_PROC": str(self.folder)}
        hand.env["PATH"] = f"{slept.parent}:{hand.env['PATH']}"

    @property
    def seconds(self) -> int:
        return int((self.folder / "second").read_text())


TOO_BUSY = "others keep the device busier than asked for"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("stats", "seconds", "said"),
    [
        (["cpu 10 0 10 980 0 0 0 0 0 0", "cpu 12 0 12 1076 0 0 0 0 0 0"], 1, ""),
        # Two seconds too busy, then calm: counters beyond 32 bits that run over the nine digits that are looked at.
        (
            ["cpu 8999999980 0 7 99999999990 0 0 0 0", "cpu 9000000030 0 7 100000000040 0 0 0 0",
             "cpu 9000000060 0 7 100000000110 0 0 0 0", "cpu 9000000084 0 7 100000000186 0 0 0 0"], 3, "",
        ),
        # Waiting for a disk is not busy; interrupts are.
        (["cpu 0 0 0 0 0 0 0 0", "cpu 0 0 0 10 90 0 0 0"], 1, ""),
        (["cpu 0 0 0 0 0 0 0 0", "cpu 0 0 0 60 0 20 20 0", "cpu 0 0 0 160 0 20 20 0"], 2, ""),
        (["cpu 0 0 0 0 0 0 0 0", *(f"cpu {50 * n} 0 0 {50 * n} 0 0 0 0" for n in range(1, 5))], 4, TOO_BUSY),
        (["cpu 0 0 0 0"], 0, "how busy the device is cannot be read"),
        (["cpu 0 0 x 0 0 0 0 0"], 0, "how busy the device is cannot be read"),
    ],
)  # fmt: skip
def test_by_hand_a_launch_waits_until_others_are_done(
    tmp_path: Path, shell: str, stats: list[str], seconds: int, said: str
) -> None:
    hand = Hand(tmp_path, shell, ["ok"], max_load="0.25", gate_timeout_ns=4_000_000_000)
    counted = Counted(hand, stats)
    # In a /proc without processes no launch can be made: the gate of the first one is all that is seen here.
    told = hand.type("all").stderr.splitlines()
    assert counted.seconds == seconds
    gate = [line for line in told if "the device" in line and "bus" in line]
    assert len(gate) == bool(said)
    assert all(said in line for line in gate)


@pytest.mark.parametrize("shell", SHELLS)
def test_interrupted_by_hand_it_ends_the_launch(tmp_path: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Ready(tmp_path, monkeypatch)
    hand = Hand(tmp_path, shell, ["hang"])
    hand.runs(FAKE)
    process = subprocess.Popen(
        [hand.shell, "run.sh", "all"], cwd=hand.folder, env=hand.env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, pid = ready.wait()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143
    assert gone(pid)
    assert hand.state("cell1-r0")["reason"] == "cancelled"


@pytest.mark.parametrize("shell", SHELLS)
def test_restore_by_hand_ends_a_launch_and_undoes_changes(
    tmp_path: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Ready(tmp_path, monkeypatch)
    hand = Hand(tmp_path, shell, ["hang"])
    hand.runs(FAKE)
    folder = hand.folder / "launches/one"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text((hand.folder / "jobs.jsonl").read_text())
    assert hand.type("change", "echo was >setting", "echo is >setting").returncode == 0
    assert (hand.folder / "setting").read_text() == "is\n"
    assert hand.type("start", "launches/one").returncode == 0
    _, pid = ready.wait()
    busy = hand.type("start", "launches/one")
    assert (busy.returncode, "still running" in busy.stderr) == (70, True)
    assert hand.type(script="restore.sh").returncode == 0
    assert gone(pid)
    assert (hand.folder / "setting").read_text() == "was\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ([], 64, "say what"),
        (["fly"], 64, "there is no fly"),
        (["launch"], 64, "needs the folder"),
        (["wait", "nowhere"], 66, "no folder nowhere"),
        (["wait", "."], 66, "has no launch"),
        (["change", "one"], 64, "change needs"),
        (["all", "now"], 64, "takes no argument"),
    ],
)
def test_a_wrong_word_is_answered(tmp_path: Path, shell: str, words: list[str], status: int, text: str) -> None:
    said = Hand(tmp_path, shell, []).type(*words)
    assert (said.returncode, text in said.stderr, said.stdout) == (status, True, "")
