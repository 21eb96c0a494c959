"""From a spec to SQL on a virtual phone, and the build folder by hand with `adb`: the real runner, under qemu."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from mobench_targets.android.virtual import client, root

from tests.support.runs import events, journal
from tests.targets.android.conftest import Phone

PLATFORM = "android-arm64+dotprod"
SPEC = """mobench 1

use "std/models" { tiny }

device phone { target = android }

bench study {
  model = tiny
  matrix {
    quant    in [F16, Q8_0]
    workload in [generate(prompt = 16, output = 8)]
  }
  engine = llama_cpp { threads = 2 }
  device = phone
  run { warmup = 0, repeat = 1 }
  conditions { charger = off, screen = on, brightness = 10% }
  measure load_time, ttft, prefill_rate, decode_rate, itl, peak_memory
  measure? energy, energy_per_token, idle_power, power, soc_temp, battery_temp
}
"""


CACHE = {name: value for name, value in os.environ.items() if name == "MOBENCH_CACHE"}
"""Where `make runners` built, as it was before tests of the engine took a cache of their own."""


def mobench(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobench_lang.cli.main", *words]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={k: v for k, v in os.environ.items() if k != "MOBENCH_CACHE"} | CACHE | env,
    )


def compiled(folder: Path, spec: str) -> Path:
    """A project with a compiled spec, where the runner for the phone is built."""
    if mobench(folder, "runner", "path", PLATFORM).returncode != 0:
        pytest.fail(f"the runner for {PLATFORM} is not built; `make runners` builds what the tests need")
    if lacking := root.missing():
        pytest.fail(f"{', '.join(lacking)} missing: python3 .ci/setup.py tools installs the packages of the tests")
    (folder / "study.bench").write_text(spec)
    done = mobench(folder, "compile", "study.bench")
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a compiled spec."""
    return compiled(tmp_path_factory.mktemp("project"), SPEC)


@pytest.fixture(scope="module")
def measured(build: Path) -> Path:
    """The project after `exec` on a virtual phone."""
    done = mobench(build, "exec", "--simulate", "phone=pixel", MOBENCH_PHONE_LINGER="5")
    assert done.returncode == 0, done.stderr
    return build


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "mobench.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_tokens_phases_samples_and_energy(measured: Path) -> None:
    found = rows(measured, "select quant, simulated, ttft > 0, decode_rate > 0, peak_memory > 1e6, load_time > 0 "
                           "from results order by quant")  # fmt: skip
    assert found == [("F16", True, True, True, True, True), ("Q8_0", True, True, True, True, True)]
    assert rows(measured, "select count(*) from token") == [(16,)]
    phases = rows(measured, "select distinct name from phase order by name")
    assert {("load",), ("prefill",), ("decode",)} <= set(phases)
    channels = {str(name) for (name,) in rows(measured, "select distinct channel from channel")}
    assert {"energy.VSYS_PWR_DISPLAY", "current", "voltage", "battery_temp", "soc_temp", "cpu_freq.policy0"} <= channels
    if Path("/proc/pressure").is_dir():  # what the host's kernel lacks cannot be shown by a phone on it
        assert {"pressure.cpu", "pressure.memory", "pressure.io"} <= channels
    assert all(count > 10 for (count,) in rows(measured, "select count(*) from sample group by trial_id"))  # type: ignore[operator]
    # Rails are counters: they have an energy wherever a window lies between two readings, and an idle power before it.
    told = rows(measured, "select value > 0, method, reason from metric where name = 'energy'")
    assert len(told) == 2
    for positive, method, reason in told:
        assert (positive and "ODPM" in str(method) and "VSYS_PWR_DISPLAY" in str(method)) or reason
    idle = rows(measured, "select value from metric where name = 'idle_power'")
    assert all(watts is not None and 0.5 < watts < 4 for (watts,) in idle)  # type: ignore[operator]


def test_what_ran_is_proved(measured: Path) -> None:
    (folder,) = (measured / "runs").glob("study-*")
    for start in journal(folder, "start"):
        told = {event["e"]: event for event in events(folder, start)}
        job = json.loads((folder / start["folder"] / "job.json").read_text())
        assert told["used"]["model_sha256"] == job["model"]["sha256"]
        assert told["used"]["n_threads"] == 2


def test_by_hand_with_nothing_but_adb(build: Path, tmp_path: Path, switch_on: Callable[[str], Phone]) -> None:
    """Every line of the README, as it stands there."""
    phone = switch_on("pixel")
    before = phone.settings()
    readme = (build / "build/phone/README.md").read_text()
    lines = [line.strip() for line in re.findall(r"(?m)^    (\S.*)$", readme)]
    assert lines[0] == "mobench stage BUILD --device phone -o staged"
    assert all(line.startswith("adb ") for line in lines[1:])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/adb").symlink_to(client.adb())
    env = os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "ANDROID_ADB_SERVER_PORT": str(phone.address["adb_port"]), "ANDROID_SERIAL": str(phone.address["serial"]),
    }  # fmt: skip

    def type_(line: str) -> str:
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        return done.stdout

    staged = mobench(
        tmp_path, *shlex.split(lines[0].replace("BUILD", str(build / "build")))[1:], "--platform", PLATFORM
    )
    assert staged.returncode == 0, staged.stderr
    ended = "adb shell 'while pgrep -f \"run.sh al[l]\" >/dev/null; do sleep 0.2; done'"
    for line in lines[1:]:
        said = type_(line)
        if "run.sh all" in line:
            type_(ended)
        if "all.log" in line and "tail" in line:
            assert "launch 2, block 0" in said
            assert "failed" not in said
    for number in (1, 2):
        launches = sorted((tmp_path / "launches").iterdir())
        told = [json.loads(line) for line in (launches[number - 1] / "events.jsonl").read_text().splitlines()]
        assert (told[0]["e"], told[-1]["e"], told[-1]["status"]) == ("start", "end", "ok")
        assert "reason=\nstatus=0\n" in (launches[number - 1] / "state").read_text()
        head, *rows_, cost = map(json.loads, (launches[number - 1] / "samples.jsonl").read_text().splitlines())
        assert {"energy.VSYS_PWR_DISPLAY", "current", "soc_temp", "cpu_freq.policy0"} <= set(head["channels"])
        assert told[0]["t"] - rows_[0]["t"] > 2_500_000_000  # what the phone draws without the instrument
        assert cost["e"] == "cost" and set(cost["states"]) == {"ok"}
    assert phone.settings() == before
