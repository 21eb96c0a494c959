"""`--guard` and `--gate`: what ends a program, what is left of it, and what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runner.conftest import Describe, without_capabilities
from tests.runner.test_sample import rows_of, wait_for

MS = 1_000_000
NEVER = 600 * 1000 * MS


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def said(output: bytes | str) -> dict[str, Any]:
    """The one line that the guard prints."""
    (line,) = output.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


Guard = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def guard(tools: Path, describe: Describe) -> Guard:
    def run(*argv: str | Path, **given: Any) -> subprocess.CompletedProcess[bytes]:
        words = [tools, "--guard", describe("guard", **given), *argv]
        return subprocess.run(words, capture_output=True, check=False, timeout=60)

    return run


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def limit(path: Path, **more: Any) -> dict[str, Any]:
    return {"reason": "too_hot", "path": str(path), **more}


def test_an_end_of_its_own(guard: Guard) -> None:
    before = time.monotonic_ns()
    done = guard("--", *python("raise SystemExit(7)"))
    found = said(done.stdout)
    assert done.returncode == 7
    assert (found["reason"], found["status"], found["signal"], found["sampler"]) == ("", 7, None, None)
    assert before < found["spawned"] < found["exited"] < time.monotonic_ns()


def test_a_crash(guard: Guard) -> None:
    done = guard("--", *python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    found = said(done.stdout)
    assert (found["reason"], found["status"], found["signal"]) == ("", None, signal.SIGSEGV)
    assert done.returncode == 128 + signal.SIGSEGV


def test_a_program_that_is_not_there(guard: Guard) -> None:
    done = guard("--", "/nowhere/$(reboot)\n")
    found = said(done.stdout)
    assert done.returncode == 127
    assert (found["reason"], found["spawned"]) == ("not_started", None)
    assert found["detail"] == "/nowhere/$(reboot)\n: No such file or directory"


def test_a_log_that_cannot_be_written(guard: Guard, tmp_path: Path) -> None:
    done = guard("--", "true", log=str(tmp_path / "none/log"))
    assert done.returncode == 127
    found = said(done.stdout)
    assert (found["reason"], found["detail"]) == ("not_started", "true, or its log: No such file or directory")


def test_a_process_of_another_user_is_not_guarded(tools: Path, describe: Describe) -> None:
    other = subprocess.Popen(["sleep", "600"], user=65534) if os.geteuid() == 0 else None
    words = [tools, "--guard", describe("guard"), str(other.pid if other else 1)]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, preexec_fn=without_capabilities)
    if other:
        other.kill()
        other.wait()
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"PID: is a process of another user" in done.stderr


def test_the_time_is_over(guard: Guard) -> None:
    done = guard("--", *python("import signal; signal.pause()"), timeout_ns=50 * MS)
    found = said(done.stdout)
    assert done.returncode == 124
    assert (found["reason"], found["detail"], found["signal"]) == ("timeout", "ended after 0.05 s", signal.SIGTERM)


def test_who_does_not_hear_is_killed_with_all_that_it_started(guard: Guard, tmp_path: Path) -> None:
    """A program and its child, both deaf to SIGTERM: after the grace nothing is left."""
    deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    pids = tmp_path / "pids"
    text = f"{deaf}; os.fork(); open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    done = guard("--", *python(text), timeout_ns=2000 * MS, grace_ns=100 * MS)
    found = said(done.stdout)
    assert (found["reason"], found["signal"]) == ("timeout", signal.SIGKILL)
    numbers = [int(line) for line in pids.read_text().split()]
    assert len(numbers) == 2
    wait_for(lambda: not any(alive(pid) for pid in numbers))


def test_a_child_that_outlives_its_parent_goes_too(guard: Guard, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"import os, time; p = os.fork(); open({str(pids)!r}, 'w').write(str(p)) if p else time.sleep(600)"
    done = guard("--", *python(text), timeout_ns=NEVER)
    assert done.returncode == 0
    wait_for(lambda: not alive(int(pids.read_text())))


@pytest.mark.parametrize(
    ("bound", "detail"),
    [({"above": 45_000}, "45001, ended above 45000"), ({"below": 46_000}, "45001, ended below 46000")],
)
def test_a_limit_ends_it(guard: Guard, tmp_path: Path, bound: dict[str, int], detail: str) -> None:
    (tmp_path / "heat").write_text("45001\n")
    done = guard(
        "--", *python("import signal; signal.pause()"), poll_ns=5 * MS, limits=[limit(tmp_path / "heat", **bound)]
    )
    found = said(done.stdout)
    assert done.returncode == 120
    assert (found["reason"], found["detail"]) == ("too_hot", detail)
    assert found["limits"] == [{"reason": "too_hot", "state": "ok", "value": 45001}]


def test_a_limit_that_breaks_later(tools: Path, describe: Describe, tmp_path: Path) -> None:
    """The battery falls below its floor while the program runs; the scale brings percent to per mille."""
    battery = tmp_path / "capacity"
    battery.write_text("21\n")
    floor = {"reason": "low_battery", "path": str(battery), "scale": 10, "below": 200}
    out = tmp_path / "out.json"
    file = describe("guard", poll_ns=5 * MS, limits=[floor], out=str(out))
    ready = "import signal, sys; print('ready', file=sys.stderr, flush=True); signal.pause()"
    argv = [tools, "--guard", file, "--", *python(ready)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        assert process.poll() is None
        battery.write_text("19\n")
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 120
    assert said(stdout)["reason"] == "low_battery"
    assert said(out.read_bytes()) == said(stdout)


def test_a_limit_that_cannot_be_read_holds_and_says_so(guard: Guard, tmp_path: Path) -> None:
    done = guard("--", *python(""), limits=[limit(tmp_path / "nowhere", above=1)])
    assert done.returncode == 0
    assert said(done.stdout)["limits"] == [{"reason": "too_hot", "state": "missing", "value": None}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_ends_the_guard_ends_the_program(tools: Path, describe: Describe, number: int) -> None:
    ready = "import os, sys; print(os.getpid(), file=sys.stderr, flush=True); input()"
    argv = [tools, "--guard", describe("guard"), "--", *python(ready)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        pid = int(process.stderr.readline())
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=30)
    found = said(stdout)
    assert (found["reason"], found["pid"]) == ("cancelled", pid)
    assert not alive(pid)


def test_a_killed_guard_takes_its_program_along(tools: Path, describe: Describe) -> None:
    ready = "import os, sys; print(os.getpid(), file=sys.stderr, flush=True); input()"
    argv = [tools, "--guard", describe("guard"), "--", *python(ready)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        pid = int(process.stderr.readline())
        process.kill()
        wait_for(lambda: not alive(pid))


def test_output_goes_to_the_log(guard: Guard, tmp_path: Path) -> None:
    log = tmp_path / "stderr.log"
    done = guard("--", *python("import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"), log=str(log))
    assert said(done.stdout)["status"] == 0
    assert log.read_bytes() == b"out\nerr\n"


def test_a_sampler_follows_the_program(guard: Guard, describe: Describe, tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    sample = describe("sample", out=str(samples), hz=100)
    done = guard("--", *python("x = sum(range(3_000_000)); print('done')"), sample=str(sample))
    program = done.stdout.splitlines()
    found = said(program[-1])
    assert program[0] == b"done"
    assert (found["status"], found["sampler"]) == (0, 0)
    head, *rows, tail = rows_of(samples)
    assert head["sources"][0] == f"/proc/{found['pid']}/statm"
    assert tail["e"] == "cost"
    assert rows


def test_a_sampler_that_cannot_work_does_not_stop_the_program(guard: Guard, describe: Describe) -> None:
    sample = describe("sample", out="/nowhere/samples.jsonl")
    done = guard("--", *python(""), sample=str(sample))
    assert (done.returncode, said(done.stdout)["sampler"]) == (0, 3)


def test_a_process_of_others_is_watched(guard: Guard, tmp_path: Path) -> None:
    with subprocess.Popen(python("input()"), stdin=subprocess.PIPE, start_new_session=True) as other:
        (tmp_path / "heat").write_text("2\n")
        done = guard(str(other.pid), poll_ns=5 * MS, grace_ns=50 * MS, timeout_ns=50 * MS)
        assert other.wait(30) == -signal.SIGTERM
    found = said(done.stdout)
    assert (done.returncode, found["reason"], found["pid"], found["status"]) == (124, "timeout", other.pid, None)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"version": 2}, "version: this guard speaks 1"),
        ({"surprise": 1}, "surprise: unknown field"),
        ({"timeout_ns": "long"}, "timeout_ns: must be a whole number"),
        ({"timeout_ns": -1}, "timeout_ns: must be from 0 to"),
        ({"poll_ns": 10}, "poll_ns: must be from 1000000 to"),
        ({"limits": {}}, "limits: must be a list"),
        ({"limits": [{"reason": "too_hot"}]}, "path: is missing"),
        ({"limits": [{"reason": 'x"', "path": "p"}]}, "reason: must be a word of at most 64 small letters"),
        ({"limits": [{"reason": "x" * 65, "path": "p"}]}, "reason: must be a word of at most 64 small letters"),
        ({"limits": [{"reason": "x", "path": "p", "settle_span": -1}]}, "settle_span: must be from 0 to"),
        ({"limits": [{"reason": "x", "path": "p", "at": 1}]}, "at: unknown field"),
        ({"limits": [{"reason": "x", "path": "p"}] * 17}, "limits: are more than 16"),
    ],
)
def test_what_cannot_be_guarded_starts_nothing(guard: Guard, tmp_path: Path, given: dict[str, Any], why: str) -> None:
    done = guard("--", *python(f"open({str(tmp_path / 'ran')!r}, 'w')"), **given)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("bad_guard: ")
    assert why in done.stderr.decode()
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------- the gate


def test_an_open_gate(tools: Path, describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "heat").write_text("39000\n")
    file = describe("gate", limits=[limit(tmp_path / "heat", above=40_000)], timeout_ns=NEVER)
    done = subprocess.run([tools, "--gate", file], capture_output=True, check=False, timeout=60)
    found = said(done.stdout)
    assert done.returncode == 0
    assert (found["passed"], found["reason"]) == (True, "")


def test_the_gate_opens_when_it_is_cool(tools: Path, describe: Describe, tmp_path: Path) -> None:
    heat = tmp_path / "heat"
    heat.write_text("41000\n")
    file = describe("gate", limits=[limit(heat, above=40_000)], timeout_ns=NEVER, poll_ns=5 * MS)
    with subprocess.Popen([tools, "--gate", file], stdout=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        heat.write_text("40000\n")
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said(stdout)["waited_ns"] >= 100 * MS


def test_the_gate_waits_until_it_has_settled(tools: Path, describe: Describe, tmp_path: Path) -> None:
    heat = tmp_path / "heat"
    heat.write_text("39000\n")
    limits = [limit(heat, above=40_000, settle_ns=300 * MS, settle_span=500)]
    file = describe("gate", limits=limits, timeout_ns=NEVER, poll_ns=5 * MS)
    done = subprocess.run([tools, "--gate", file], capture_output=True, check=False, timeout=60)
    assert said(done.stdout)["waited_ns"] >= 300 * MS


def test_a_gate_that_stays_closed(tools: Path, describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "heat").write_text("41000\n")
    file = describe("gate", limits=[limit(tmp_path / "heat", above=40_000)], timeout_ns=50 * MS, poll_ns=5 * MS)
    done = subprocess.run([tools, "--gate", file], capture_output=True, check=False, timeout=60)
    found = said(done.stdout)
    assert (done.returncode, found["passed"], found["reason"]) == (1, False, "too_hot")
    assert found["limits"] == [{"reason": "too_hot", "state": "ok", "value": 41000}]


def test_a_gate_that_is_told_to_end(tools: Path, describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "heat").write_text("41000\n")
    file = describe("gate", limits=[limit(tmp_path / "heat", above=40_000)], timeout_ns=NEVER)
    with subprocess.Popen([tools, "--gate", file], stdout=subprocess.PIPE) as process:
        wait_for(lambda: ignores(process.pid, signal.SIGPIPE))  # the last thing before it waits
        process.terminate()
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert said(stdout)["reason"] == "cancelled"


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_usage(tools: Path) -> None:
    for words in (["--guard", "x"], ["--gate"], ["--guard", "x", "1"], ["--guard", "x", "--"]):
        done = subprocess.run([tools, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr[:6]) == (2, "usage:"), words
