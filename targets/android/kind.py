"""A phone as the shared session sees it: facts, state, conditions, sensors.

In: a link. Out: data; what is sampled during launches and how the gauge's numbers are to be read.
"""

from __future__ import annotations

import asyncio
from shlex import quote
from typing import Any, Literal

from mobench_targets.android import conditions, facts, gauge
from mobench_targets.android.facts import Phone
from mobench_targets.android.power import PortPower
from mobench_targets.shell.platform import Changes, Channel, Sampling, Sensor
from mobench_targets.shell.standing import clocks, processors
from mobench_targets.shell.transport import Transport

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError

ROOT = "/data/local/tmp/mobench"
FAST = 8
"""Files that the sampler reads in every row."""
READINGS, READING_S = 5, 0.3
LOAD_S = 3
"""How long the gauge is read at rest, and the processor kept busy, to see which way the current moves."""

_STATE = """read -r up rest </proc/uptime; print -r -- "up $up"; print -r -- "wall $(date +%s)"
{ read -r cpu rest </proc/stat && print -r -- "stat $rest"; } 2>/dev/null
while read -r key value unit; do
  case $key in MemAvailable:|SwapTotal:|SwapFree:) print -r -- "$key $value" ;; esac
done </proc/meminfo
"""


class PhoneKind:
    """One phone; a `Platform`."""

    root = ROOT

    def __init__(self, meter: str | None = None, port: PortPower | None = None) -> None:
        """`meter` is the kind of energy source that a spec asks for: `gauge`, `rails`, that of a meter outside of the
        phone, or None for the best there is; `port` the USB port that the phone hangs on, where a spec tells it."""
        self._only = meter
        self.outside = meter not in (None, "gauge", "rails")
        self.port = port
        self._phone: Phone | None = None
        self._meaning: gauge.Meaning | None = None

    @property
    def phone(self) -> Phone:
        """What was found; `facts` comes first."""
        if self._phone is None:
            raise DeviceError("not_opened", "the phone was not looked at yet")
        return self._phone

    async def facts(self, link: Transport) -> dict[str, Any]:
        """What the phone is."""
        ran = await link.run(facts.SCRIPT)
        try:
            self._phone = facts.parse(ran.stdout.decode("utf-8", "replace"))
        except ValueError as error:
            raise DeviceError("unsupported", str(error)) from error
        if self._only == "rails" and not self._phone.rails:
            raise DeviceError("no_meter", "the phone has no power rails that this shell may read; use another meter")
        if self._only == "gauge" and "current_now" not in self._phone.gauge:
            raise DeviceError("no_meter", "the phone shows no current of its battery to this shell; use another meter")
        await self._read_gauge(link, load=False)
        return self._phone.facts

    async def state(self, link: Transport) -> dict[str, Any]:
        """How it stands now. The framework's thermal status takes tens of ms: never asked for in a window."""
        phone = self.phone
        zone = phone.soc_zone
        script = _STATE
        if zone is not None:
            script += f'{{ read -r v <{quote(zone.path)}/temp && print -r -- "heat $v"; }} 2>/dev/null\n'
        if phone.supply:
            for name in ("capacity", "temp", "status"):
                script += f'{{ read -r v <{quote(phone.supply)}/{name} && print -r -- "{name} $v"; }} 2>/dev/null\n'
        for policy in phone.policies:
            name = policy.rpartition("/")[2]
            script += f'{{ read -r v <{quote(policy)}/scaling_max_freq && print -r -- "cap.{name} $v"; }} 2>/dev/null\n'
        if (phone.facts["api"] or 0) >= 29:
            script += "dumpsys thermalservice 2>/dev/null | grep -m 1 'Thermal Status'\n"
        script += ":\n"
        ran = await link.run(script)
        said = dict(line.strip().split(" ", 1) for line in ran.text.splitlines() if " " in line.strip())
        scale = zone.scale if zone is not None else None
        status = _int(said.get("Thermal", "").rpartition(":")[2].strip())
        caps = {key.removeprefix("cap."): _int(value) for key, value in said.items() if key.startswith("cap.")}
        return {
            **clocks(said.get("up"), said.get("wall")),
            **processors(said.get("stat")),
            "temperature": _int(said.get("heat"), scale) if scale else None,
            "battery_level": _int(said.get("capacity")),
            "battery_temp": _int(said.get("temp"), 100),
            "battery_status": said.get("status"),
            "thermal_status": status,
            "freq_caps_khz": caps,
            "throttled": _throttled(phone, caps, status),
            "memory_available": _int(said.get("MemAvailable:"), 1024),
            "swap_used": (_int(said.get("SwapTotal:"), 1024) or 0) - (_int(said.get("SwapFree:"), 1024) or 0),
            "cores": phone.facts["cores"],
        }

    async def prepare(self, link: Transport, changes: Changes, wanted: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        """Set and verify conditions; then see how the gauge counts, now that charging may have stopped."""
        asking = conditions.Asking(link, changes, self.phone.facts["api"] or 0, self.phone.supply, self.port)
        records = await conditions.apply(asking, wanted)
        await self._read_gauge(link, load=any(c.name == "charger" and c.value == "off" for c in wanted))
        return records

    def heat(self) -> Sensor | None:
        """The processor's thermal zone."""
        zone = self.phone.soc_zone
        return None if zone is None or zone.scale is None else Sensor(f"{zone.path}/temp", zone.scale)

    def sampling(self) -> Sampling | None:
        """Rails and the battery's current and voltage in every row, the rest once a second."""
        phone = self.phone
        found = [
            Channel(
                f"energy.{rail.name}", "µJ", rail.path, f"ODPM {rail.name}", "fast" if number < FAST else "slow",
                after=rail.after,
            )
            for number, rail in enumerate(() if self._only == "gauge" else phone.rails)
        ]  # fmt: skip
        found += self._battery_channels(phone)
        found += _heat_channels(phone)
        found += [
            Channel(f"cpu_freq.{p.rpartition('/')[2]}", "kHz", f"{p}/scaling_cur_freq", "cpufreq")
            for p in phone.policies
        ]
        found += [
            Channel(f"pressure.{name}", "µs", f"/proc/pressure/{name}", "PSI, somebody waited", after="total=")
            for name in phone.pressure
        ]
        lead = 3.0 if phone.rails or phone.supply or self.outside else 0.0
        return Sampling(tuple(found), lead_s=lead, pulses=self.outside)

    def _battery_channels(self, phone: Phone) -> list[Channel]:
        if phone.supply is None:
            return []
        found = []
        tier: Literal["fast", "slow"] = "slow" if phone.rails and self._only != "gauge" else "fast"
        if self._meaning is not None and "current_now" in phone.gauge:
            about = f"battery gauge ({self._meaning.rests_on}{'' if self._meaning.sure else '; not sure'})"
            found.append(Channel("current", self._meaning.unit, f"{phone.supply}/current_now", about, tier))
        if "voltage_now" in phone.gauge:
            found.append(Channel("voltage", "µV", f"{phone.supply}/voltage_now", "battery gauge", tier))
        for file, name, unit in (("charge_counter", "charge", "µAh"), ("temp", "battery_temp", "d°C")):
            if file in phone.gauge:
                found.append(Channel(name, unit, f"{phone.supply}/{file}", "battery gauge"))
        return found

    async def _read_gauge(self, link: Transport, *, load: bool) -> None:
        """Find out how the gauge counts; with `load`, by keeping the processor busy for a moment."""
        phone = self.phone
        if phone.supply is None or "current_now" not in phone.gauge:
            return
        rest = await self._currents(link)
        busy: list[int] = []
        if load:
            command = f"for i in 1 2; do timeout {LOAD_S} sh -c 'while :; do :; done' & done; wait"
            working = asyncio.create_task(link.run(command))
            await asyncio.sleep(LOAD_S / 2)
            busy = await self._currents(link)
            await working
        status = (await link.run(f"cat {quote(phone.supply)}/status")).text.strip()
        self._meaning = gauge.interpret(rest, busy, status)
        phone.facts["gauge"] = None if self._meaning is None else self._meaning.rests_on

    async def _currents(self, link: Transport) -> list[int]:
        path = f"{quote(self.phone.supply or '')}/current_now"
        script = f"i=0; while [ $i -lt {READINGS} ]; do cat {path}; sleep {READING_S}; i=$((i+1)); done"
        ran = await link.run(script)
        return [int(x) for x in ran.text.split() if x.lstrip("-").isdigit()]


def _heat_channels(phone: Phone) -> list[Channel]:
    found, default = [], phone.soc_zone
    for zone in phone.zones:
        if zone.scale is None:
            continue
        low = zone.type.lower()
        name = "soc_temp" if zone is default else "skin_temp" if "skin" in low else f"temp.{zone.type}"
        found.append(Channel(name, "m°C", f"{zone.path}/temp", f"thermal zone {zone.type}", scale=zone.scale))
    return found


def _throttled(phone: Phone, caps: dict[str, int | None], status: int | None) -> bool | None:
    """Whether a cluster may not use its maximum frequency, or Android says that heat slows it; None: unknown."""
    most = {p.rpartition("/")[2]: hz for p, hz in zip(phone.policies, phone.facts["max_freq_hz"], strict=False)}
    told = [cap * 1000 < hz for name, cap in caps.items() if cap and (hz := most.get(name))]
    told += [] if status is None else [status > 0]
    return any(told) if told else None


def _int(text: str | None, scale: int = 1) -> int | None:
    try:
        return int(text or "") * scale
    except ValueError:
        return None
