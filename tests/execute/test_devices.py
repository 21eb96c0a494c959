"""Several devices: none stops another, and whatever happens they are put back as they were."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.execute import loop
from mobench_lang.execute.errors import StoreError, UsageError
from mobench_lang.execute.progress import DeviceGone
from mobench_lang.execute.run import Run
from mobench_lang.plan.model import PlanSetting
from tests.support import plans
from tests.support.runs import Lab, journal


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.01, 0.01))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "script"
    folder.mkdir()
    return folder


def by_device(lab: Lab, kind: str = "end") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in journal(lab.folders()[-1], kind):
        found.setdefault(record["device"], []).append(record["reason"] or record["status"])
    return found


def test_a_device_that_is_not_there_leaves_rows_and_comes_back(lab: Lab, tmp_path: Path, script: Path) -> None:
    (script / "absent").touch()
    build = plans.build(tmp_path / "build", devices=(plans.device("gone", script), plans.device("here")), repeat=2)
    result = lab.exec(build)
    assert (result.counts, result.pending) == ({"ok": 2, "skipped": 2}, 2)
    assert by_device(lab, "skip") == {"gone": ["not_found", "not_found"]}
    assert [(g.device, g.reason) for g in lab.said(DeviceGone)] == [("gone", "not_found")]
    (script / "absent").unlink()
    assert lab.exec(build).counts == {"ok": 4}
    assert len(lab.folders()) == 1
    # Now its identity is pinned like that of the others.
    other = lab.exec(build, devices={"gone": "another"})
    assert len(lab.folders()) == 2
    assert other.counts == {"ok": 4}


def test_no_device_at_all_is_a_run_of_rows(lab: Lab, tmp_path: Path, script: Path) -> None:
    (script / "absent").touch()
    result = lab.exec(plans.build(tmp_path / "build", devices=(plans.device("gone", script),)))
    assert result.counts == {"skipped": 1}


def test_a_lost_device_is_found_again(lab: Lab, tmp_path: Path, script: Path) -> None:
    (script / "lose").write_text("1")
    lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone", script), plans.device("b")), repeat=3))
    assert by_device(lab) == {"phone": ["ok", "lost_device", "ok", "ok"], "b": ["ok"] * 3}
    log = (script / "log").read_text().split("\n")
    assert [line.split(" ")[0] for line in log if line][-3:] == ["start", "start", "restore"]
    assert log.count("prepare") == 2  # conditions are set again on a device that came back


def test_a_device_that_stays_lost_ends_its_own_loop_only(lab: Lab, tmp_path: Path, script: Path) -> None:
    (script / "lose").write_text("0")
    build = plans.build(tmp_path / "build", devices=(plans.device("phone", script), plans.device("b")), repeat=2)
    real = loop.open_device

    async def unreachable(*_: object) -> object:
        from mobench_lang.execute.devices import Refusal

        return Refusal("not_found", "no such device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "open_device", unreachable)
        result = lab.exec(build)
    assert loop.open_device is real
    assert by_device(lab) == {"phone": ["lost_device"], "b": ["ok", "ok"]}
    assert result.pending == 2
    assert journal(lab.folders()[0], "done")[-1]["status"] == "partial"
    assert lab.exec(build).counts == {"ok": 4}


def test_a_bug_in_a_pack_ends_its_own_loop_only(lab: Lab, tmp_path: Path, script: Path) -> None:
    (script / "lose").write_text("broken")
    devices = (plans.device("phone", script), plans.device("b"))
    result = lab.exec(plans.build(tmp_path / "build", devices=devices, repeat=2))
    assert (by_device(lab), result.pending) == ({"b": ["ok", "ok"]}, 2)
    assert [(g.device, g.message) for g in lab.said(DeviceGone)] == [("phone", "RuntimeError: a bug in the pack")]
    assert "a bug in the pack" in journal(lab.folders()[0], "note")[0]["message"]


def test_two_names_of_one_machine_never_measure_at_once(lab: Lab, tmp_path: Path) -> None:
    devices = (plans.device("a", serial="same"), plans.device("b", serial="same"))
    lab.exec(plans.build(tmp_path / "build", devices=devices, repeat=3))
    kinds = [r["kind"] for r in journal(lab.folders()[0], "start", "end")]
    assert kinds == ["start", "end"] * 6


def test_two_machines_measure_at_once(lab: Lab, tmp_path: Path) -> None:
    devices = (plans.device("a"), plans.device("b"))
    lab.exec(plans.build(tmp_path / "build", devices=devices, engines=(plans.fake("slow"),)))
    assert [r["kind"] for r in journal(lab.folders()[0], "start", "end")] == ["start", "start", "end", "end"]


def test_conditions(lab: Lab, tmp_path: Path, script: Path) -> None:
    asked = PlanSetting(name="airplane", value=True, optional=False)
    wish = PlanSetting(name="brightness", value=20, optional=True)
    (script / "set").write_text("airplane")
    devices = (plans.device("can", script), plans.device("cannot"))
    result = lab.exec(plans.build(tmp_path / "build", devices=devices, conditions=(asked, wish)))
    assert result.counts == {"ok": 1, "skipped": 1}
    assert by_device(lab, "skip") == {"cannot": ["condition"]}
    records = {r["device"]: r["conditions"] for r in journal(lab.folders()[0], "device")}
    assert [(c["name"], c["applied"]) for c in records["can"]] == [("airplane", True), ("brightness", False)]
    assert (script / "log").read_text().split("\n")[-2] == "restore"


def test_serials_for_devices_that_are_not_there(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the plan has no device tablet; it has local"):
        lab.exec(plans.build(tmp_path / "build"), devices={"tablet": "x"})
    result = lab.exec(plans.build(tmp_path / "build"), devices={"local": "x"})
    assert result.counts == {"skipped": 1}
    assert by_device(lab, "skip") == {"local": ["bad_serial"]}


def test_a_target_that_is_not_installed(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was started"):
        lab.exec(plans.build(tmp_path / "build", devices=(plans.entity("device", "fridge", "fridgeos"),)))
    assert not lab.folders()


def test_nothing_chosen(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no cell"):
        lab.exec(plans.build(tmp_path / "build"), only=lambda labels, values: False)


def test_a_virtual_device_stands_in_for_a_real_one(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", devices=(plans.device("phone"),))
    assert lab.exec(build, simulate={"phone": "fast"}).counts == {"ok": 1}
    (real,) = lab.folders()
    header = json.loads((real / "run.json").read_text())
    assert header["simulated"] is True
    assert header["devices"]["phone"]["identity"] == "virtual-fast"
    assert header["devices"]["phone"]["facts"]["simulated"] is True
    assert not list((lab.runs / ".devices").glob("*.running"))
    # The real device begins a run of its own.
    assert lab.exec(build).counts == {"ok": 1}
    assert [json.loads((f / "run.json").read_text())["simulated"] for f in lab.folders()] == [True, False]


def test_a_simulator_that_cannot_start_is_a_reason(lab: Lab, tmp_path: Path) -> None:
    build = plans.build(tmp_path / "build", devices=(plans.device("phone"),))
    assert lab.exec(build, simulate={"phone": "absent"}).counts == {"skipped": 1}
    assert by_device(lab, "skip") == {"phone": ["simulator_missing"]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"simulate": {"phone": "slow"}}, "no profile 'slow'; it has fast, absent"),
        ({"simulate": {"tablet": "fast"}}, "no device tablet; it has phone, here"),
        ({"simulate": {"here": "fast"}}, "devices of the target local cannot be simulated"),
        ({"simulate": {"phone": "fast"}, "devices": {"phone": "x"}}, "choose one"),
    ],
)
def test_what_cannot_be_simulated_is_said(lab: Lab, tmp_path: Path, options: dict[str, Any], says: str) -> None:
    here = plans.entity("device", "here", "local")
    build = plans.build(tmp_path / "build", devices=(plans.device("phone"), here))
    with pytest.raises(UsageError, match=re.escape(says)):
        lab.exec(build, **options)
    assert not lab.folders()


def test_a_store_that_fails_once_conditions_are_set(
    lab: Lab, tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed on the device is put back, though nothing can be recorded."""
    append = Run.append

    def full(self: Run, kind: str, **fields: Any) -> None:
        if kind == "device":
            raise StoreError("no space left")
        append(self, kind, **fields)

    monkeypatch.setattr(Run, "append", full)
    with pytest.raises(StoreError, match="no space left"):
        lab.exec(plans.build(tmp_path / "build", devices=(plans.device("phone", script),)))
    assert (script / "log").read_text().split() == ["restore", "prepare", "restore"]
