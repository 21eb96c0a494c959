"""The gate before a launch, through a device whose temperature is scripted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobench_lang.execute import gate
from mobench_lang.execute.progress import Waiting
from tests.support import plans
from tests.support.runs import Lab, journal


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "POLL_S", 0.01)


def run(lab: Lab, tmp_path: Path, temperatures: str, **protocol: object) -> tuple[dict[str, object], list[str]]:
    """The gate of the only launch, and the flags of its end."""
    script = tmp_path / "script"
    script.mkdir()
    if temperatures:
        (script / "temperatures").write_text(temperatures)
    lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone", script),), **protocol))
    folder = lab.folders()[0]
    flags = [f for f in journal(folder, "end")[0]["flags"] if f not in ("busy_host", "cpu_stolen")]
    return journal(folder, "start")[0]["gate"], flags


def test_no_limit_no_wait(lab: Lab, tmp_path: Path) -> None:
    found, flags = run(lab, tmp_path, "99000")
    assert (found["passed"], found["reasons"], flags) == (True, [], [])


def test_it_waits_until_it_is_cool_and_settled(lab: Lab, tmp_path: Path) -> None:
    found, flags = run(lab, tmp_path, "45000 45000 42000 38000 37800 20000", start_below=40_000)
    assert (found["passed"], flags) == (True, [])
    waits = [(w.what, w.temperature) for w in lab.said(Waiting)]
    assert waits == [
        ("45.0 °C, starts below 40 °C", 45000),
        ("42.0 °C, starts below 40 °C", 42000),
        ("38.0 °C and still changing", 38000),
    ]


def test_when_the_time_is_over_the_launch_runs_and_is_marked(lab: Lab, tmp_path: Path) -> None:
    found, flags = run(lab, tmp_path, "45000", start_below=40_000, gate_timeout_ns=50_000_000)
    assert found["passed"] is False
    assert found["reasons"] == ["45.0 °C, starts below 40 °C"]
    assert flags == ["gate_timeout"]


def test_a_limit_without_a_sensor_is_marked_and_not_waited_for(lab: Lab, tmp_path: Path) -> None:
    found, flags = run(lab, tmp_path, "", start_below=40_000)
    assert (found["passed"], found["reasons"]) == (False, ["no temperature sensor"])
    assert flags == ["gate_unknown"]


def test_background_load(lab: Lab, tmp_path: Path) -> None:
    found, flags = run(lab, tmp_path, "", max_load="0", gate_timeout_ns=50_000_000)
    assert flags == ["gate_timeout"]
    (reason,) = found["reasons"]  # type: ignore[misc]
    assert reason.startswith("background load")
    assert reason.endswith("starts below 0%")


def test_a_launch_that_gets_too_hot_is_ended(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobench_targets.local import facts, session

    monkeypatch.setattr(session, "HEAT_POLL_S", 0.01)
    real = facts.state
    readings = iter([40_000, 60_000])

    def state(root: Path) -> dict[str, object]:
        return {**real(root), "temperature": next(readings, 96_000)}

    monkeypatch.setattr(facts, "state", state)
    lab.exec(plans.build(tmp_path / "build", engines=(plans.fake("hang"),), abort_above=95_000))
    (end,) = journal(lab.folders()[0], "end")
    assert (end["reason"], end["detail"]) == ("too_hot", "96.0 °C, ended above 95 °C")


def test_the_pause_between_launches(lab: Lab, tmp_path: Path) -> None:
    lab.exec(plans.build(tmp_path / "build", repeat=2, cooldown_ns=1_200_000_000))
    first, second = journal(lab.folders()[0], "start")
    assert first["gate"]["waited_ns"] < 1_000_000_000 < second["gate"]["waited_ns"]
    assert [w.what.split(",")[0] for w in lab.said(Waiting)] == ["cooldown"]
