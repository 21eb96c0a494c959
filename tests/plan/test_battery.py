"""What a run off the charger takes out of a battery: bounds by hand, and what is not known by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.specs import bench, compiles, rejects

SPEC = """mobench 1

use "std/models" {{ tiny }}

device phone {{ target = android, {attributes} }}

workload story {{ prompts = ["Tell a long story."], output = 64, duration = 10min }}

bench demo {{
  model    = tiny
  engine   = llama_cpp
  device   = phone
  workload = story
  run        {{ repeat = 3, timeout = 20min }}
  thermal    {{ cooldown = 1min }}
  conditions {{ {conditions} }}
}}
"""
ALL = "battery = 10Wh, load_draw = 6W, idle_draw = 600mW"


def mobench(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobench_lang.cli.main", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=300)


def planned(
    tmp_path: Path, attributes: str, conditions: str = "charger = off, battery_floor = 20%"
) -> dict[str, object]:
    (tmp_path / "a.bench").write_text(SPEC.format(attributes=attributes, conditions=conditions))
    (device,) = json.loads(mobench("plan", "a.bench", "--json", cwd=tmp_path).stdout)["devices"]
    found: dict[str, object] = device["battery"]
    return found


def test_the_bounds(tmp_path: Path) -> None:
    # 3 × 10 min at 6 W are 3 Wh, two cool-downs at 0.6 W 0.02 Wh; at most 62 min at 6 W.
    assert planned(tmp_path, ALL) == {
        "capacity_j": 36000.0, "least": pytest.approx(0.302), "most": pytest.approx(0.62), "floor": 0.2, "missing": []
    }  # fmt: skip
    shown = mobench("plan", "a.bench", cwd=tmp_path).stdout
    assert "off its charger: at least 30%, at most 62% of a full battery (10.0 Wh), of which 80% lie above" in shown


def test_a_charge_is_that_of_one_cell(tmp_path: Path) -> None:
    found = planned(tmp_path, "battery = 1000mAh, load_draw = 6W, idle_draw = 1W")
    assert found["capacity_j"] == pytest.approx(3.85 * 3600)


def test_what_is_not_declared_is_named(tmp_path: Path) -> None:
    found = planned(tmp_path, "battery = 10Wh")
    assert (found["least"], found["most"], found["missing"]) == (None, None, ["load_draw", "idle_draw"])
    found = planned(tmp_path, "battery = 10Wh, idle_draw = 600mW")
    assert (found["least"], found["most"]) == (pytest.approx(0.032), None)  # 32 min of which none draws less
    shown = mobench("plan", "a.bench", cwd=tmp_path).stdout
    assert "more is not known without `load_draw` in its declaration" in shown
    found = planned(tmp_path, "load_draw = 6W")
    assert (found["least"], found["most"], found["missing"]) == (None, None, ["battery", "idle_draw"])


def test_on_the_charger_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.bench").write_text(SPEC.format(attributes=ALL, conditions="charger = on"))
    assert "battery" not in mobench("plan", "a.bench", cwd=tmp_path).stdout


def phone(more: str, duration: str = "10min") -> str:
    workload = f'workload story {{ prompts = ["a"], output = 8, duration = {duration} }}'
    body = "device = phone\nworkload = story\nrun { repeat = 4 }\nconditions { charger? = off, battery_floor = 40% }\n"
    return bench(
        body + more,
        without="device workload",
        before=f"device phone {{ target = android, battery = 10Wh, load_draw = 6W, idle_draw = 600mW }}\n{workload}",
    )


def test_a_run_that_does_not_fit() -> None:
    # 4 × 10 min at 6 W are 4 of 10 Wh, and 6 lie above the floor.
    compiles(phone(""))  # 40 %
    compiles(phone("", "15min"))  # 60 %, to the floor
    found = compiles(phone("", "16min"), warns=("W0901",))
    assert found.protocol.repeat == 4
    compiles(phone("matrix { threads in [1, 2] }"), warns=("W0901",))
    compiles(phone("thermal { cooldown = 2h }"), warns=("W0901",))  # pauses count at the idle draw


def test_a_bare_number_for_a_battery() -> None:
    rejects("device d { target = android, battery = 5000 }", "E0312", at="5000")
    rejects("device d { target = android, battery = 5W }", "E0313", at="5W")
    rejects("device d { target = android, battery = x5 }", "E0301", at="x5")
