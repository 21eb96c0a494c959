"""A Monsoon in the supply line of a virtual phone: from a spec to SQL, the real package over a virtual bus."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from mobench_targets.android.virtual.model import DRAWN

from tests.support.runs import events, journal
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
    assert json.loads((phone / "meter-unit.json").read_text()) == {"sampling": False, "usb": 2}
    header = json.loads((run / "run.json").read_text())
    assert header["devices"]["phone"]["facts"]["meter"]["unit"] == "20641"
