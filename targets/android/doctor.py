"""What on attached phones stands in the way of numbers that can be trusted, and how to mend it.

In: the user's adb server. Out: findings. Guarantee: nothing is changed on a phone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobench_targets.android import found, power, uhubctl
from mobench_targets.android.kind import PhoneKind
from mobench_targets.android.link import unusable
from mobench_targets.android.transport import connect
from mobench_targets.android.uhubctl import Hub
from mobench_targets.android.virtual import root

from mobench_lang.plugins import DeviceError, Finding

LEAST_FREE_KIB = 4 << 20
WARM = 40_000
NO_METER = "no energy from this phone but by a meter in its supply line, such as `meter = monsoon_hvpm`"


async def findings(where: Path) -> list[Finding]:
    """The findings of all phones, of hubs that could switch their power, and whether there can be virtual ones."""
    hubs, about = await _hubs()
    return [*await _attached(hubs), *about, *_left(where / "runs" / ".devices"), _virtual()]


async def _hubs() -> tuple[list[Hub], list[Finding]]:
    """The hubs that switch single ports, and what is to say of hubs."""
    name = "USB hubs"
    try:
        program = uhubctl.find()
    except DeviceError:
        needed = f"no uhubctl: it stops phones that go on charging, by a hub's port; {uhubctl.INSTALL}"
        return [], [Finding(name, "ok", needed)]
    try:
        hubs = await program.hubs()
        others = [hub for hub in await program.hubs(any_kind=True) if hub.switching in ("ganged", "nops")]
    except DeviceError as error:
        return [], [Finding(name, "warn", "no port can be switched", str(error))]
    told = [Finding(name, "ok", f"{hub.location} switches its {len(hub.ports)} ports ({hub.about})") for hub in hubs]
    told += [Finding(name, "ok", f"{hub.location} does not switch single ports ({hub.about})") for hub in others]
    return hubs, told or [Finding(name, "ok", "uhubctl finds none")]


def _left(scratch: Path) -> list[Finding]:
    """The ports that an exec left without power when it died."""
    return [
        Finding(
            f"USB port {place}", "warn", "has no power since an exec died",
            f"the next exec gives it back; or `{place.command('on')}`",
        )
        for place in power.left(scratch)
    ]  # fmt: skip


def _virtual() -> Finding:
    """What virtual phones need of this host."""
    if lacking := root.missing():
        return Finding(
            "virtual phones", "warn", f"{', '.join(lacking)} missing", f"apt-get install {' '.join(lacking)}"
        )
    return Finding("virtual phones", "ok", "this host has what they are made of: `exec --simulate NAME=pixel`")


async def _attached(hubs: list[Hub]) -> list[Finding]:
    try:
        server = found.server(None)
        states = await found.settled(server)
    except DeviceError as error:
        return [Finding("adb", "warn", "no phone can be looked for", str(error))]
    if not states:
        return [Finding("adb", "ok", "no phone is attached")]
    told: list[Finding] = []
    for serial, state in sorted(states.items()):
        if state != "device":
            told.append(Finding(serial, "bad", state, str(unusable(serial, state))))
            continue
        try:
            link = await connect(server, serial)
            try:
                told += await phone(serial, link)
                if (place := await found.hung(server, serial, link, hubs)) is not None:
                    told.append(Finding("USB port", "ok", f'the hub shows it there: hub_port = "{place}"'))
            finally:
                await link.close()
        except DeviceError as error:
            told.append(Finding(serial, "bad", error.code, str(error)))
    return told


async def phone(serial: str, link: Any) -> list[Finding]:
    """The findings of one phone."""
    kind = PhoneKind()
    facts = await kind.facts(link)
    state = await kind.state(link)
    low = (await link.run("settings get global low_power")).text.strip()
    awake = "mWakefulness=Awake" in (await link.run("dumpsys power")).text
    name = f"{facts['manufacturer']} {facts['model']}"
    told = [Finding(serial, "ok", f"{name}, {facts['os']}, {facts['platform']}")]
    status = state["battery_status"]
    if status in ("Charging", "Full", "Not charging"):
        told.append(
            Finding("charger", "warn", f"the battery is {status}", "`conditions { charger = off }` stops charging")
        )
    if (level := state["battery_level"]) is not None and level < 30:
        told.append(Finding("battery", "warn", f"{level} %", "charge it: below 20 % phones slow down"))
    if low == "1":
        told.append(Finding("low power", "bad", "the battery saver is on", "`conditions { low_power = off }`"))
    if not awake:
        told.append(Finding("screen", "warn", "the screen is off: the phone may doze", "`conditions { screen = on }`"))
    if "busy_ns" not in state:
        told.append(Finding("load", "warn", "/proc/stat cannot be read", "`max_load` and `busy_host` are unknown"))
    if (heat := state["temperature"]) is None:
        told.append(Finding("temperature", "warn", "no thermal zone can be read", "`thermal` cannot wait"))
    elif heat > WARM:
        told.append(
            Finding("temperature", "warn", f"{heat / 1000:.1f} °C", "let it cool, or `thermal { start_below }`")
        )
    if state["throttled"]:
        caps = ", ".join(f"{name} {khz} kHz" for name, khz in state["freq_caps_khz"].items())
        status = f"thermal status {state['thermal_status']}, at most {caps or 'unknown'}"
        told.append(Finding("throttling", "bad", status, "let it cool; is the battery saver on?"))
    free = facts["free_kib"]
    if free is not None and free < LEAST_FREE_KIB:
        told.append(Finding("storage", "warn", f"{free >> 10} MiB free", "models need room in /data/local/tmp"))
    if facts["energy_counters"]:
        told.append(Finding("energy", "ok", f"power rails: {', '.join(facts['energy_counters'])}"))
    elif facts.get("gauge"):
        told.append(Finding("energy", "warn", f"battery gauge; {facts['gauge']}", "long windows only"))
    else:
        told.append(Finding("energy", "warn", "neither rails nor a gauge can be read", NO_METER))
    if facts["denied"]:
        told.append(Finding("denied", "warn", ", ".join(facts["denied"]), "this shell may not read them"))
    if "shell_v2" not in await link.features():
        told.append(Finding("adb", "warn", "an old daemon without shell v2", "it works, more slowly"))
    return told
