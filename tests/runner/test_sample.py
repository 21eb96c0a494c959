"""`--sample`: what the sampler writes, when it ends, and what it says of files that do not answer."""

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
from pydantic import TypeAdapter

from mobench_lang.collect.samples import read_samples
from mobench_lang.protocol import Sample
from tests.runner.conftest import Describe, as_nobody

SAMPLE: TypeAdapter[Sample] = TypeAdapter(Sample)
FULL = Path("/dev/full")


def channel(path: Path | str, name: str = "soc_temp", **more: Any) -> dict[str, Any]:
    return {"name": name, "unit": "m°C", "path": str(path), **more}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a whole file, each of which keeps to the published schema."""
    lines = path.read_bytes().splitlines()
    for line in lines:
        SAMPLE.validate_json(line, strict=False)
    return [json.loads(line) for line in lines]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.005)


class Sampler:
    """A running sampler; `end` closes its stdin and gives its lines."""

    def __init__(self, tools: Path, described: Path, out: Path, **popen: Any) -> None:
        self.out = out
        argv = [tools, "--sample", described]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **popen)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def rows(self, count: int) -> None:
        """Wait until the file has so many rows (they come in chunks)."""
        wait_for(lambda: self.out.exists() and self.out.read_bytes().count(b'"e":"s"') >= count)

    def end(self, status: int = 0) -> list[dict[str, Any]]:
        _, stderr = self.process.communicate(timeout=30)
        assert self.process.returncode == status, stderr.decode()
        return rows_of(self.out)


@pytest.fixture
def start(tools: Path, tmp_path: Path, describe: Describe) -> Callable[..., Sampler]:
    def begin(popen: dict[str, Any] | None = None, **given: Any) -> Sampler:
        out = tmp_path / "samples.jsonl"
        return Sampler(tools, describe("sample", **{"out": str(out), "hz": 200, **given}), out, **(popen or {}))

    return begin


def test_rows_between_head_and_cost(start: Callable[..., Sampler], tmp_path: Path) -> None:
    (tmp_path / "heat").write_text("45123\n")
    (tmp_path / "low").write_text("-7")
    channels = [channel(tmp_path / "heat", tier="fast"), channel(tmp_path / "low", "x", scale=1000, source="a chip")]
    running = start(channels=channels, slow_every=4)
    running.tell(f"{os.getpid()}\n")
    running.rows(32)
    head, *rows, tail = running.end()
    assert head["channels"] == ["rss", "cpu_process", "cpu_busy", "cpu_steal", "soc_temp", "x"]
    assert head["units"] == ["B", "ns", "ns", "ns", "m°C", "m°C"]
    assert head["sources"][0] == f"/proc/{os.getpid()}/statm"
    assert head["sources"][4:] == [str(tmp_path / "heat"), "a chip"]
    assert head["states"] == ["ok"] * 6 == tail["states"]
    assert tail["rows"] == len(rows) >= 32
    assert all(r["v"][4] == 45123 for r in rows)
    assert [r["v"][5] for r in rows[:5]] == [-7000, None, None, None, -7000]
    stamps = [r["t"] for r in rows]
    assert stamps == sorted(stamps)
    assert all(r["v"][0] > 1 << 20 and r["v"][2] > 0 for r in rows)
    assert 0 < tail["cpu_ns"] < tail["wall_ns"]


def test_the_numbers_of_this_process(start: Callable[..., Sampler]) -> None:
    """CPU time and memory are those that the kernel tells by other means."""
    before = time.process_time_ns()
    running = start()
    running.tell(f"{os.getpid()}\n")
    running.rows(32)
    while time.process_time_ns() - before < 100_000_000:  # work, so that there is something to be seen
        pass
    _, *rows, _ = running.end()
    after = time.process_time_ns()
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= rows[-1]["v"][1] <= after + 2 * tick
    assert rows[-1]["v"][1] >= rows[0]["v"][1]


def test_one_file_for_several_channels(start: Callable[..., Sampler], tmp_path: Path) -> None:
    """Rails of a power monitor and lines of /proc/meminfo: the integer behind a text."""
    rails = tmp_path / "energy_value"
    rails.write_text("t=349894\nCH3(T=349894)[S2M_VDD_CPUCL2], 9223372036854775807\nCH4(T=1)[VSYS], 12.5\n")
    channels = [
        channel(rails, "energy.big", after="[S2M_VDD_CPUCL2], "),
        channel(rails, "fraction", after="[VSYS], "),
        channel(rails, "too_large", after="[S2M_VDD_CPUCL2], ", scale=2),
        channel(rails, "not_there", after="[GPU], "),
        channel("/proc/meminfo", "mem_available", after="MemAvailable:", scale=1024),
    ]
    running = start(channels=channels, until="signal")
    running.rows(32)
    running.process.terminate()
    head, row, *_, tail = running.end()
    assert row["v"][4:8] == [2**63 - 1, None, None, None]
    assert row["v"][8] % 1024 == 0
    assert row["v"][8] > 0
    assert row["v"][:2] == [None, None]  # no process was named
    assert head["states"] == tail["states"]
    assert tail["states"] == ["missing", "missing", "ok", "ok", "ok", "no_number", "no_number", "no_number", "ok"]


def test_denied_missing_and_gone(
    start: Callable[..., Sampler], tmp_path: Path, tools: Path, request: pytest.FixtureRequest
) -> None:
    """Why a column is empty: not allowed, never there, or its device is gone (a process that ended stands for it)."""
    secret = tmp_path / "secret"
    secret.write_text("1\n")
    secret.chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(0o777 if folder == tmp_path else folder.stat().st_mode | 0o055)
    for folder in (tools, *tools.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as device:
        channels = [
            channel(secret, "a"),
            channel(tmp_path / "nowhere", "b"),
            channel(f"/proc/{device.pid}/oom_score", "c", tier="fast"),
        ]
        running = start(popen={"preexec_fn": as_nobody()}, channels=channels, until="signal")
        running.rows(32)
        device.kill()
        device.wait()
    before = running.out.read_bytes().count(b"\n")
    running.rows(before + 32)
    running.process.terminate()
    head, *rows, tail = running.end()
    assert head["states"][4:] == ["denied", "missing", "ok"]
    assert tail["states"][4:] == ["denied", "missing", "gone"]
    assert rows[0]["v"][6] is not None
    assert rows[-1]["v"][4:] == [None, None, None]
    assert list(read_samples(running.out).states) == tail["states"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_a_whole_file(start: Callable[..., Sampler], number: int) -> None:
    running = start(until="signal")
    running.rows(32)
    running.process.send_signal(number)
    assert running.end()[-1]["e"] == "cost"


def test_a_stop_file_ends_it(start: Callable[..., Sampler], tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    running = start(until="signal", stop=str(stop), slow_every=2)
    running.rows(32)
    stop.touch()
    assert running.end()[-1]["e"] == "cost"


def test_the_end_of_the_process_ends_it(start: Callable[..., Sampler]) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as followed:
        running = start(until="pid", pid=followed.pid, slow_every=2)
        running.rows(32)
        followed.communicate(b"\n")
    assert running.end()[-1]["e"] == "cost"


def test_a_killed_sampler_leaves_whole_lines(start: Callable[..., Sampler]) -> None:
    running = start()
    running.tell(f"{os.getpid()}\n")
    running.rows(64)
    running.process.kill()
    head, *rows = running.end(-signal.SIGKILL)
    assert head["e"] == "channels"
    assert len(rows) >= 64


def test_without_a_process_nothing_is_written(start: Callable[..., Sampler]) -> None:
    assert start().end() == []


def test_it_stays_on_its_core(start: Callable[..., Sampler]) -> None:
    core = min(os.sched_getaffinity(0))
    running = start(until="signal", cpu=core)
    running.rows(1)
    assert os.sched_getaffinity(running.process.pid) == {core}
    running.process.terminate()
    assert running.end()[0]["cpu"] == core


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said(start: Callable[..., Sampler]) -> None:
    running = start(out=str(FULL), until="signal")
    _, stderr = running.process.communicate(timeout=30)
    assert running.process.returncode == 3
    assert stderr.startswith(b"full_disk: cannot write /dev/full")


def test_a_file_that_grew_too_large_keeps_whole_lines(start: Callable[..., Sampler]) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    running = start(popen={"preexec_fn": limit}, until="signal")
    _, stderr = running.process.communicate(timeout=30)
    assert running.process.returncode == 3
    assert stderr.startswith(b"full_disk")
    assert rows_of(running.out)[0]["e"] == "channels"
    assert not read_samples(running.out).damaged


BAD: dict[str, dict[str, Any]] = {
    "version: this sampler speaks 1": {"version": 2},
    "surprise: unknown field": {"surprise": 1},
    "hz: must be a number": {"hz": "often"},
    "hz: must be from 0.01 to 1000": {"hz": 0},
    "until: must be stdin, pid or signal": {"until": "noon"},
    "slow_every: must be from 1 to": {"slow_every": 0},
    "cpu: must be a whole number": {"cpu": 0.5},
    "until: is pid, and there is none": {"until": "pid"},
    "unit: is missing": {"channels": [{"name": "x"}]},
    "colour: unknown field": {"channels": [channel("x", colour="red")]},
    "tier: must be fast or slow": {"channels": [channel("x", tier="quick")]},
    "more than 8 files in the fast tier": {"channels": [channel(f"f{i}", f"c{i}", tier="fast") for i in range(9)]},
    "channels: are more than 256": {"channels": [channel("f", f"c{i}") for i in range(257)]},
    "channels: have more than 128 files": {"channels": [channel(f"f{i}", f"c{i}") for i in range(129)]},
}


@pytest.mark.parametrize("text", BAD)
def test_a_description_that_cannot_be(start: Callable[..., Sampler], text: str) -> None:
    running = start(**BAD[text])
    _, stderr = running.process.communicate(timeout=30)
    assert running.process.returncode == 2
    assert stderr.decode().startswith("bad_sample: ")
    assert text in stderr.decode()
    assert not running.out.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "this is no value at byte 0"),
        ("[1, 2", "a comma or the end is missing"),
        ('{"a": 1, "a": 2}', "a name stands twice"),
        ('{"a": "\\ud800"}', "an escape that is none"),
        ('{"a": 01}', "this is no value"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ('{"version": 1} {', "something follows"),
        ("[]", "must be an object"),
        ("{}", "version: is missing"),
        ('{"a": "\\ud834\\u0041"}', "an escape that is none"),
    ],
)
def test_what_is_no_json(tools: Path, tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "sample.json"
    path.write_text(text)
    done = subprocess.run([tools, "--sample", path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert why in done.stderr


def test_hostile_names_come_back_as_they_went_in(start: Callable[..., Sampler], tmp_path: Path) -> None:
    name = 'a "quoted"\nname\t\\ $(reboot) – ü 𝄞'
    path = tmp_path / "$(reboot) 'x' \"y\""
    path.write_text("3\n")
    running = start(channels=[channel(path, name)], until="signal")
    running.rows(32)
    running.process.terminate()
    head, row, *_ = running.end()
    assert (head["channels"][4], head["sources"][4], row["v"][4]) == (name, str(path), 3)
