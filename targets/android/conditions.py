"""Conditions of a phone: requested, applied, verified, and put back.

In: the conditions of a plan, a link, and `Changes`, which writes down how to undo a change before it is made. Out: one
record each. Guarantee: nothing is changed without its undo on the phone; what the phone does not confirm is not called
verified, and what it refuses has the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from shlex import quote
from typing import Any, Protocol

from mobench_targets.shell.platform import Changes
from mobench_targets.shell.transport import Transport

from mobench_lang.ir import Quantity, Value
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError

SUSPENDED_S = 12.0
"""How long a gauge may take to notice that charging stopped: some update every ten seconds."""
POLL_S = 0.5
SUSPENDED = "power.battery_input.suspended"
"""The property that stops charging without root, on phones that know it."""
_DOZE = ("deep", "light")
"""Android 6 knows one kind of doze, and does not look at the word."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a condition stands."""

    applied: bool
    verified: bool
    reason: str = ""
    how: str = ""


class Port(Protocol):
    """The USB port that the phone hangs on, where the host can switch its power."""

    def claim(self) -> None:
        """Hold it for this phone. Raises DeviceError."""

    def fresh(self, seconds: float) -> bool:
        """Whether its power came back so short ago that the phone may not have noticed."""

    async def off(self, serial: str) -> str:
        """Take its power away; how that was done. Raises DeviceError with what stands in the way."""

    async def still_off(self) -> bool:
        """Whether it has none yet. Raises DeviceError."""

    async def back(self) -> None:
        """Give its power back. Raises DeviceError."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a setter needs: the link, how to change, the API level, the gauge's folder, the USB port if it is known."""

    link: Transport
    changes: Changes
    api: int
    supply: str | None
    port: Port | None = None

    async def text(self, command: str) -> str:
        """What a command says; its failure is an empty text."""
        ran = await self.link.run(command)
        return ran.text.strip() if ran.rc == 0 else ""

    async def setting(self, space: str, key: str, value: str) -> bool:
        """Put a setting of Android; whether it is there then."""
        before = await self.text(f"settings get {space} {key}")
        if before == value:
            return True
        undo = (
            f"settings delete {space} {key}"
            if before in ("", "null")
            else f"settings put {space} {key} {quote(before)}"
        )
        await self.changes.change(f"settings put {space} {key} {quote(value)}", undo)
        return await self.text(f"settings get {space} {key}") == value


Setter = Callable[[Asking, str], Awaitable[Answer]]


async def apply(asking: Asking, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
    """Set and verify conditions, in the order in which they do not disturb each other."""
    records = []
    for condition in sorted(conditions, key=lambda c: (_ORDER.index(c.name) if c.name in _ORDER else 99, c.name)):
        setter, wanted = _SETTERS.get(condition.name), plain(condition.value)
        try:
            answer = await setter(asking, wanted) if setter else Answer(False, False, "the android target sets no such")
        except DeviceError as error:
            if error.code == "lost":
                raise
            answer = Answer(False, False, str(error))
        records.append(
            {
                "name": condition.name, "requested": wanted, "applied": answer.applied, "verified": answer.verified,
                "reason": answer.reason,
            }
            | ({"how": answer.how} if answer.how else {})
        )  # fmt: skip
    return records


def plain(value: Value) -> str:
    """A condition as a word or a number: ratios as 0.2."""
    if isinstance(value, Quantity):
        value = value.value
    return str(Decimal(value).normalize()) if isinstance(value, Decimal) else str(value)


# ---------------------------------------------------------------- one by one


async def _screen(asking: Asking, wanted: str) -> Answer:
    goal = "Awake" if wanted == "on" else "Asleep"
    keys = {"Awake": 224, "Asleep": 223}
    before = await _wakefulness(asking)
    if wanted == "on":
        for space, key, value in (
            ("global", "stay_on_while_plugged_in", "7"),
            ("system", "screen_off_timeout", "86400000"),
        ):
            if not await asking.setting(space, key, value):
                return Answer(False, False, f"the phone does not keep {key}")
    elif "1" in await _stay_awake(asking):
        return Answer(False, False, "the phone may doze with its screen off, and stop what runs; keep the screen on")
    if before != goal:
        back = keys.get(before, 224)
        await asking.changes.change(f"input keyevent {keys[goal]}", f"input keyevent {back}")
    for _ in range(10):
        now = await _wakefulness(asking)
        if (now == "Awake") == (goal == "Awake"):
            unknown = wanted == "off" and set(await _dozes(asking)) != {"0"}
            return Answer(True, not unknown, "the phone does not tell whether it may doze" if unknown else "")
        await asyncio.sleep(POLL_S)
    return Answer(False, False, f"the screen is {now or 'unknown'}; unlock the phone, or switch off its lock")


async def _stay_awake(asking: Asking) -> list[str]:
    """Keep the phone from dozing, which stops what runs on it; how it stands then."""
    for name, dozes in zip(_DOZE, await _dozes(asking), strict=True):
        if dozes != "0":
            await asking.changes.change(
                f"dumpsys deviceidle disable {name} >/dev/null", f"dumpsys deviceidle enable {name} >/dev/null"
            )
    return await _dozes(asking)


async def _dozes(asking: Asking) -> list[str]:
    """For each kind of doze: `1` where the phone may, `0` where it may not; anything else is no answer."""
    return [await asking.text(f"dumpsys deviceidle enabled {name}") for name in _DOZE]


async def _wakefulness(asking: Asking) -> str:
    text = await asking.text("dumpsys power")
    found = [line.partition("=")[2].strip() for line in text.splitlines() if "mWakefulness=" in line]
    return found[0] if found else ""


async def _brightness(asking: Asking, wanted: str) -> Answer:
    level = str(max(0, min(255, round(float(wanted) * 255))))
    automatic = await asking.setting("system", "screen_brightness_mode", "0")
    there = await asking.setting("system", "screen_brightness", level)
    return Answer(True, True) if automatic and there else Answer(False, False, "the phone does not keep the brightness")


async def _airplane(asking: Asking, wanted: str) -> Answer:
    value = "1" if wanted == "on" else "0"
    before = await asking.text("settings get global airplane_mode_on")
    if before == value:
        return Answer(True, True)
    if asking.api < 30:
        return Answer(
            False, False, "before Android 11 the shell cannot switch airplane mode; switch it in the phone's settings"
        )
    words = {"1": "enable", "0": "disable"}
    await asking.changes.change(
        f"cmd connectivity airplane-mode {words[value]}",
        f"cmd connectivity airplane-mode {words['1' if before == '1' else '0']}",
    )
    now = await asking.text("settings get global airplane_mode_on")
    return Answer(True, True) if now == value else Answer(False, False, "the phone did not switch airplane mode")


async def _charger(asking: Asking, wanted: str) -> Answer:
    if asking.supply is None:
        return Answer(False, False, "the phone shows no battery to this shell")
    if wanted == "on":
        status = await _status(asking)
        good = status in ("Charging", "Full", "Not charging")
        return Answer(good, good, "" if good else f"the battery is {status or 'unknown'}; connect a charger")
    if asking.port is not None:
        asking.port.claim()
    if await _status(asking) == "Discharging" and not (await _fresh(asking) and await _waits(asking, _charges)):
        return Answer(True, True)
    charging = await _current(asking)
    before = await asking.text(f"getprop {SUSPENDED}")
    await asking.changes.change(f"setprop {SUSPENDED} true", f"setprop {SUSPENDED} {quote(before or 'false')}")
    stopped = await _stopped(asking, charging, SUSPENDED)
    if stopped.applied or asking.port is None:
        return stopped
    return await _without_power(asking, asking.port, charging)


async def _fresh(asking: Asking) -> bool:
    """Whether a charger was put back a moment ago: the battery may still show what was."""
    if asking.port is not None and asking.port.fresh(SUSPENDED_S):
        return True
    ago = await asking.changes.put_back_ago()
    return ago is not None and ago < SUSPENDED_S


async def _charges(status: str) -> bool:
    return status != "Discharging"


async def _stopped(asking: Asking, charging: int | None, how: str) -> Answer:
    """Whether charging stops within a while; `charging` is the current before."""
    discharging = False

    async def gone(status: str) -> bool:
        nonlocal discharging
        discharging = status == "Discharging"
        return discharging and (charging is None or turned(charging, await _current(asking)))

    if await _waits(asking, gone):
        blind = charging is None
        return Answer(True, True, "by the status alone: the phone shows no current to this shell" if blind else "", how)
    if discharging:
        return Answer(False, False, "the status says Discharging, but the battery's current did not turn; unplug it")
    return Answer(
        False, False,
        "the phone goes on charging though asked to stop; unplug it, or hang it on a USB hub that switches ports "
        "(`hub_port`) and reach it over the network",
    )  # fmt: skip


async def _without_power(asking: Asking, port: Port, charging: int | None) -> Answer:
    """Stop charging by taking the power away from the USB port of a phone that does not listen."""
    listens = "the phone goes on charging though asked to stop, and "
    try:
        how = await port.off(await asking.text("getprop ro.serialno"))
    except DeviceError as error:
        return Answer(False, False, listens + str(error))
    answer = await _stopped(asking, charging, how)
    wrong = ""
    if not answer.applied:
        wrong = f"also after that: {how}. Is `hub_port` its port, and does that hub cut the current, not only the data?"
    elif not await port.still_off():
        wrong = f"the power came back by itself after that: {how}. Kernels before 6.0 do that, take a newer one"
    if not wrong:
        return answer
    await port.back()
    return Answer(False, False, listens + wrong)


async def _waits(asking: Asking, wanted: Callable[[str], Awaitable[bool]]) -> bool:
    """Whether the battery's status becomes what is wanted within a while."""
    waited = 0.0
    while waited < SUSPENDED_S:
        if await wanted(await _status(asking)):
            return True
        await asyncio.sleep(POLL_S)
        waited += POLL_S
    return False


def turned(charging: int, now: int | None) -> bool:
    """Whether a battery's current shows that the charger is off: its sign is another than before, or there was next to
    none (a full battery) and now there is. No unit and no convention of signs is needed for that."""
    return now is not None and now != 0 and (charging * now < 0 or abs(charging) * 4 < abs(now))


async def _current(asking: Asking) -> int | None:
    text = await asking.text(f"cat {quote(asking.supply or '')}/current_now 2>/dev/null")
    return int(text) if text.lstrip("-").isdigit() else None


async def _status(asking: Asking) -> str:
    return await asking.text(f"cat {quote(asking.supply or '')}/status")


async def _battery_floor(asking: Asking, wanted: str) -> Answer:
    level = await asking.text(f"cat {quote(asking.supply)}/capacity") if asking.supply else ""
    if not level.isdigit():
        return Answer(False, False, "the phone does not tell its battery's level")
    least = float(wanted) * 100
    good = int(level) >= least
    return Answer(
        good, good, "" if good else f"the battery is at {level} %, {least:g} % are asked for; charge it first"
    )


async def _fixed_performance(asking: Asking, wanted: str) -> Answer:
    if asking.api < 30:
        return Answer(False, False, "the fixed-performance mode came with Android 11")
    state = {"on": "true", "off": "false"}[wanted]
    await asking.changes.change(
        f"cmd power set-fixed-performance-mode-enabled {state}", "cmd power set-fixed-performance-mode-enabled false"
    )
    return Answer(True, False, "the phone took it, and has no way to tell whether it holds")


async def _low_power(asking: Asking, wanted: str) -> Answer:
    value = "1" if wanted == "on" else "0"
    before = await asking.text("settings get global low_power")
    if before == value or (value == "0" and before in ("null", "")):
        return Answer(True, True)
    undo = "1" if before == "1" else "0"
    if asking.api >= 26:
        await asking.changes.change(f"cmd power set-mode {value}", f"cmd power set-mode {undo}")
    else:
        await asking.setting("global", "low_power", value)
    now = await asking.text("settings get global low_power")
    return Answer(True, True) if now == value else Answer(False, False, "the phone did not switch its battery saver")


_SETTERS: dict[str, Setter] = {
    "airplane": _airplane,
    "charger": _charger,
    "low_power": _low_power,
    "fixed_performance": _fixed_performance,
    "screen": _screen,
    "brightness": _brightness,
    "battery_floor": _battery_floor,
}
_ORDER = list(_SETTERS)
"""Charging stops before the battery saver is asked for, which a charging phone refuses."""
