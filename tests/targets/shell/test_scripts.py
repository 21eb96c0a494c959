"""The scripts themselves: their text, what shellcheck says, and the whole plan by hand without mobench."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Golden
from tests.support.ready import Ready, gone
from tests.support.shell_link import SHELLS, tools
from tests.targets.shell.conftest import INSTRUMENT, scripts

WARM = {"abort_above": 85_000, "start_below": 45_000, "cooldown_ns": 5_000_000_000}


def test_the_scripts_are_what_a_person_reviews(golden: Golden, tmp_path: Path) -> None:
    plain, warm = scripts(tmp_path / "plain"), scripts(tmp_path / "warm", **WARM)
    golden("shell/run.sh", (plain / "run.sh").read_text())
    golden("shell/run_with_heat_limits.sh", (warm / "run.sh").read_text())
    golden("shell/restore.sh", (plain / "restore.sh").read_text())
    golden("shell/README.md", (plain / "README.md").read_text())


@pytest.mark.parametrize("protocol", [{}, WARM], ids=["plain", "heat limits"])
def test_shellcheck_finds_nothing(tmp_path: Path, protocol: dict[str, int]) -> None:
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

    def __init__(self, folder: Path, shell: str, behaves: list[str]) -> None:
        self.folder = scripts(folder / "a build '$(reboot)'")
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
