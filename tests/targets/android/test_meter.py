"""A Monsoon in the supply line of a virtual phone: from a spec to SQL, the real package over a virtual bus; and what
may befall it, the phone or the host while it records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mobench_targets.android.virtual.model import DRAWN

from mobench_lang.execute import loop
from mobench_lang.execute.progress import DeviceGone
from mobench_lang.ir import Entity
from mobench_lang.plugins import RECORDING
from mobench_lang.store.database import reading, run, writing
from mobench_lang.store.load import load_run
from tests.support import meters
from tests.support.ready import PATIENCE_S
from tests.support.runs import Lab, events, journal
from tests.targets.android.conftest import Phone, build
from tests.targets.android.test_end_to_end import compiled, mobench, rows

SPEC = """mobench 1

use "std/models" { tiny }
use "std/meters" { monsoon_hvpm }

device phone { target = android, meter = monsoon_hvpm { usb = off } }

bench study {
  model = tiny
  matrix {
    workload in [generate(prompt = 16, output = 8)]
  }
  engine = llama_cpp { threads = 2 }
  device = phone
  run { warmup = 0, repeat = 1 }
  measure decode_rate
  measure? energy, idle_power, power
}
"""


ATTEMPTS = 3
"""A host so busy that a virtual phone's bursts blur is refused an energy, which is right and not what this is about."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose spec asks for a Monsoon, measured; anew where the pulses could not be found."""
    for _ in range(ATTEMPTS):
        folder = compiled(tmp_path_factory.mktemp("metered"), SPEC)
        done = mobench(folder, "exec", "--simulate", "phone=pixel", MOBENCH_PHONE_LINGER="5")
        assert done.returncode == 0, done.stderr
        if rows(folder, "select reason from metric where name = 'power'") != [("meter_not_aligned",)]:
            break
    return folder


def drawn(folder: Path, start: int, end: int) -> float:
    """The energy in J that the phone drew between two times of its clock, from its own model."""
    data = np.array(list(struct.iter_unpack(DRAWN.format, (folder / "power.bin").read_bytes())))
    grid = np.linspace(start, end, 5000)
    return float(np.trapezoid(np.interp(grid, data[:, 0], data[:, 1] * 1e-3), grid) * 1e-9)


def test_energy_is_the_meters_and_that_of_the_phone(project: Path) -> None:
    (run,) = (project / "runs").glob("study-*")
    (phone,) = (project / "runs" / ".devices").glob("phone-*")
    (start,) = journal(run, "start")
    folder = run / start["folder"]
    assert len((folder / "pulses.jsonl").read_text().splitlines()) == 10
    told = {str(n): (v, m, r) for n, v, m, r in rows(project, "select name, value, method, reason from metric")}
    value, method, reason = told["power"]
    assert value is not None, reason
    assert str(method).startswith("Monsoon HVPM 20641, aligned by pulses of load to ")
    (window,) = [e for e in events(run, start) if e["e"] == "pass"]
    truth = drawn(phone, window["start"], window["end"]) / ((window["end"] - window["start"]) * 1e-9)
    assert value == pytest.approx(truth, rel=0.03)
    # What the phone draws at rest is known from the time between the pulses and the instrument, not from the pulses.
    idle, method, reason = told["idle_power"]
    assert idle is not None, reason
    assert "before the launch" in str(method)
    assert 0.3 < float(str(idle)) < 2.2
    assert told["energy"][0] is not None, told["energy"]
    channels = {str(name) for (name,) in rows(project, "select distinct channel from channel")}
    assert {"power.meter", "energy.VSYS_PWR_DISPLAY"} <= channels
    assert meters.unit(phone) == {"sampling": False, "usb": 2}
    header = json.loads((run / "run.json").read_text())
    assert header["devices"]["phone"]["facts"]["meter"]["unit"] == "20641"


# ---------------------------------------------------------------- what may befall it

SwitchOn = Callable[[str], Phone]
METER = Entity("meter", "monsoon_hvpm", "monsoon", "", (("kind", "monsoon"),))


def metered(tmp_path: Path, phone: Phone, behave: str) -> Path:
    """A plan for a phone whose power a Monsoon measures."""
    return build(tmp_path, {"phone": phone.address | {"meter": METER}}, behave, metrics=("power",))


def recordings(lab: Lab) -> list[list[dict[str, Any]]]:
    """Begin and end of the recordings of every launch of the newest run."""
    folder = lab.folders()[-1]
    lines = [map(json.loads, (folder / s["folder"] / RECORDING).open()) for s in journal(folder, "start")]
    return [[line for line in of_launch if line["e"] in ("meter", "end")] for of_launch in lines]


def power(lab: Lab) -> list[tuple[Any, ...]]:
    """What SQL says of the power, warm-up and measured pass alike."""
    with writing(lab.folder / "db.duckdb") as connection:
        load_run(connection, lab.folders()[-1])
    with reading(lab.folder / "db.duckdb") as connection:
        return run(connection, "SELECT DISTINCT value, reason FROM metric WHERE name = 'power'")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"unplugged": True}, "meter_lost"),
        ({"silent": True}, "meter_lost"),
        ({"tripped": True}, "meter_tripped"),
        ({"drop": 0.2}, "meter_dropped"),
    ],
)
def test_a_fault_of_the_meter_is_why_there_is_no_power(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, what: dict[str, Any], reason: str
) -> None:
    """The launch itself counts; its power is no other source's."""
    phone = switch_on("pixel")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(metered(tmp_path, phone, "slow"), None))
        await phone.wait_async()
        meters.fault(phone.virtual.folder, **what)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    assert power(lab) == [(None, reason)]


def test_a_meter_that_is_not_there_is_looked_for_again_by_the_next_exec(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn
) -> None:
    phone = switch_on("pixel")
    folder = metered(tmp_path, phone, "ok")
    meters.fault(phone.virtual.folder, unplugged=True)
    assert lab.exec(folder).pending == 1
    (gone,) = lab.said(DeviceGone)
    assert "no Monsoon HVPM (USB 2ab9:0001) is attached" in gone.message
    meters.fault(phone.virtual.folder)
    assert lab.exec(folder).counts == {"ok": 1}
    assert [[line["e"] for line in lines] for lines in recordings(lab)] == [["meter", "end"]]


def test_a_link_that_breaks_does_not_break_the_recording(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phone measures on, and so does the meter, which hangs on the host."""
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.05, 0.2, 0.5, 1.0, 2.0))
    phone = switch_on("pixel")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(metered(tmp_path, phone, "slow"), None))
        await phone.wait_async()
        await phone.virtual.ask("cut", refuse=0.5)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    ((head, end),) = recordings(lab)
    assert (head["e"], end["e"], end["reason"]) == ("meter", "end", "")
    assert meters.unit(phone.virtual.folder)["sampling"] is False


def test_a_killed_host_leaves_no_meter_at_work(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel")
    folder = metered(tmp_path, phone, "hang+once")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.host", str(folder), str(lab.runs)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    phone.wait()
    assert meters.unit(phone.virtual.folder)["sampling"] is True
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    async def stopped() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while meters.unit(phone.virtual.folder)["sampling"]:
                await asyncio.sleep(0.02)

    asyncio.run(stopped())
    assert lab.exec(folder).counts == {"ok": 1}
    last = recordings(lab)[-1]
    assert [(line["e"], line.get("reason")) for line in last] == [("meter", None), ("end", "")]
