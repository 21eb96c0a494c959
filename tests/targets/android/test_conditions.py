"""Conditions that a phone only pretends to take: what is not confirmed is not called verified."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mobench_targets.android import conditions
from mobench_targets.shell.transport import Progress, Ran

from mobench_lang.plan.model import PlanSetting


class Answering:
    """A phone that answers by its last word; a setting that is changed may change the answers."""

    def __init__(self, answers: dict[str, str], after: dict[str, str], ago: float | None = None) -> None:
        self.answers, self.after, self.ago = answers, after, ago
        self.undo: list[str] = []

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        for key, answer in self.answers.items():
            if key in command:
                return Ran(0, answer.encode() + b"\n", b"")
        return Ran(1, b"", b"no such thing")

    async def change(self, do: str, undo: str) -> None:
        self.undo.append(undo)
        self.answers |= self.after

    async def put_back_ago(self) -> float | None:
        return self.ago

    async def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        raise AssertionError("a condition runs commands, and nothing else")

    async def pull(self, remote: str, local: Path) -> None:
        raise AssertionError("a condition runs commands, and nothing else")

    async def hold(self, command: str) -> int:
        raise AssertionError("a condition runs commands, and nothing else")

    async def close(self) -> None:
        raise AssertionError("a condition runs commands, and nothing else")


def charger_off(phone: Answering) -> dict[str, object]:
    asking = conditions.Asking(phone, phone, 34, "/s/battery")
    wanted = (PlanSetting(name="charger", value="off", optional=False),)
    (record,) = asyncio.run(conditions.apply(asking, wanted))
    return record


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "SUSPENDED_S", 0.02)
    monkeypatch.setattr(conditions, "POLL_S", 0.01)


@pytest.mark.parametrize(
    ("before", "now", "verified"),
    [
        ("900000", "-350000", True),
        ("-900", "350", True),  # mA, the other sign
        ("0", "-350000", True),  # it was full
        ("900000", "880000", False),  # the status is all that changed
        ("-350000", "-340000", False),
        ("900000", "0", False),
    ],
)
def test_charging_has_stopped_when_the_current_says_so(before: str, now: str, verified: bool) -> None:
    phone = Answering(
        {"/status": "Charging", "/current_now": before, "getprop": ""},
        {"/status": "Discharging", "/current_now": now},
    )
    record = charger_off(phone)
    assert (record["applied"], record["verified"]) == (verified, verified)
    assert ("did not turn" in str(record["reason"])) is not verified
    assert phone.undo == ["setprop power.battery_input.suspended false"]


def test_a_phone_that_goes_on_charging() -> None:
    record = charger_off(Answering({"/status": "Charging", "/current_now": "900000"}, {}))
    assert (record["applied"], record["verified"]) == (False, False)
    assert "goes on charging" in str(record["reason"])


def test_a_phone_that_hides_its_current() -> None:
    record = charger_off(Answering({"/status": "Charging"}, {"/status": "Discharging"}))
    assert (record["verified"], record["reason"]) == (
        True, "by the status alone: the phone shows no current to this shell",
    )  # fmt: skip


class Following(Answering):
    """A phone whose gauge follows only when it was asked for the second time."""

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        ran = await super().run(command, stdin=stdin, timeout=timeout)
        if "/status" in command and not self.undo:
            self.answers |= {"/status": "Charging", "/current_now": "900000"}
        return ran


@pytest.mark.parametrize(("ago", "believed"), [(0.001, False), (None, True), (3600.0, True)])
def test_a_battery_that_still_shows_what_was_is_not_believed(ago: float | None, believed: bool) -> None:
    """An exec before this one put the charger back; the gauge has not noticed."""
    phone = Following(
        {"/status": "Discharging", "/current_now": "-350000", "getprop": ""},
        {"/status": "Discharging", "/current_now": "-350000"},
        ago,
    )
    record = charger_off(phone)
    assert (record["applied"], record["verified"]) == (True, True)
    assert phone.undo == ([] if believed else ["setprop power.battery_input.suspended false"])


def screen_off(phone: Answering) -> dict[str, object]:
    asking = conditions.Asking(phone, phone, 34, "/s/battery")
    wanted = (PlanSetting(name="screen", value="off", optional=False),)
    (record,) = asyncio.run(conditions.apply(asking, wanted))
    return record


ASLEEP = {"dumpsys power": "  mWakefulness=Asleep"}


@pytest.mark.parametrize(
    ("before", "after", "applied", "verified", "reason", "undo"),
    [
        (("1", "1"), ("0", "0"), True, True, "", ["deep", "light"]),
        (("0", "1"), ("0", "0"), True, True, "", ["light"]),  # its user had switched the other off
        (("0", "0"), ("0", "0"), True, True, "", []),
        (("1", "1"), ("1", "0"), False, False, "may doze with its screen off", ["deep", "light"]),
        (("", ""), ("", ""), True, False, "does not tell whether it may doze", ["deep", "light"]),
    ],
)
def test_a_phone_with_its_screen_off_may_not_doze(
    before: tuple[str, str], after: tuple[str, str], applied: bool, verified: bool, reason: str, undo: list[str]
) -> None:
    def answers(kinds: tuple[str, str]) -> dict[str, str]:
        return {f"enabled {name}": said for name, said in zip(("deep", "light"), kinds, strict=True)}

    phone = Answering(ASLEEP | answers(before), answers(after))
    record = screen_off(phone)
    assert (record["applied"], record["verified"]) == (applied, verified)
    assert reason in str(record["reason"]) and bool(reason) == bool(record["reason"])
    assert phone.undo == [f"dumpsys deviceidle enable {name} >/dev/null" for name in undo]
