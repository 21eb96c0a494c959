"""A phone that goes on charging, on a USB hub that switches its ports: off for the run, and on whatever happens.

The hub is virtual, too: `mobench_targets.android.virtual.hub` stands for the program and what it switches.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.android import conditions, found, kind, power, uhubctl
from mobench_targets.android.virtual import hub

from mobench_lang.execute import launch, loop
from mobench_lang.execute.progress import DeviceGone, Notice
from tests.conftest import Golden
from tests.support import plans
from tests.support.runs import Lab, journal
from tests.targets.android.conftest import Phone, build, condition, put_on_path

SwitchOn = Callable[[str], Phone]
OFF = (condition("charger", "off"),)
OFF_AND_ON = ["1-1.4 port 2 off", "1-1.4 port 2 on"]
HOW = "USB hub 1-1.4, port 2 switched off by uhubctl"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for is there sooner on a virtual phone; its gauge moves once a second."""
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.05, 0.2, 0.5, 1.0, 2.0))
    monkeypatch.setattr(kind, "READING_S", 0.05)
    monkeypatch.setattr(kind, "LOAD_S", 1)
    monkeypatch.setattr(conditions, "SUSPENDED_S", 3.0)


def dead(phone: Phone) -> list[str]:
    """The ports of the phone's hub that have no power."""
    return [name for name, on in hub.read(phone.virtual.folder)["ports"].items() if not on]


def charger(lab: Lab) -> dict[str, Any]:
    """What became of the condition, in the newest run."""
    record: dict[str, Any] = journal(lab.folders()[-1], "device")[-1]["conditions"][0]
    return record


def actions(phone: Phone) -> list[str]:
    """What the hub was told to do."""
    log = phone.virtual.folder / "hub.log"
    return log.read_text().splitlines() if log.exists() else []


def files(lab: Lab) -> list[str]:
    """What this host has written down of ports without power."""
    return [path.name for path in (lab.runs / ".devices").glob("usb-*.json")]


# ---------------------------------------------------------------- off, and on again


@pytest.mark.parametrize("kind_of_hub", ["ppps", "usb3"])
def test_a_phone_that_does_not_listen(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, monkeypatch: pytest.MonkeyPatch, kind_of_hub: str
) -> None:
    phone = switch_on(f"inverted:hub={kind_of_hub}")
    before = phone.settings()
    address = phone.address
    if kind_of_hub == "ppps":  # once as a person has it: the program of the PATH
        put_on_path(tmp_path, phone, monkeypatch)
        address["virtual_hub"] = ""

    async def story() -> None:
        folder = build(tmp_path, {"phone": address}, "slow", conditions=OFF)
        running = asyncio.create_task(lab.exec_async(folder, None))
        await phone.wait_async()
        assert dead(phone) == ["2"]
        assert len(files(lab)) == 1
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    assert charger(lab) == {
        "name": "charger", "requested": "off", "applied": True, "verified": True, "reason": "", "how": HOW,
    }  # fmt: skip
    assert (dead(phone), files(lab)) == ([], [])
    assert phone.settings() == before


def test_a_phone_that_listens_keeps_its_port(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("pixel:hub=ppps")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "slow", conditions=OFF), None))
        await phone.wait_async()
        assert dead(phone) == []
        await running

    asyncio.run(story())
    assert charger(lab)["how"] == "power.battery_input.suspended"


def test_a_link_that_breaks_while_it_measures(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    """A phone that is found again while its launch goes on is not charged in between."""
    phone = switch_on("inverted:hub=ppps")

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(build(tmp_path, phone, "slow", conditions=OFF), None))
        await phone.wait_async()
        await phone.virtual.ask("cut", refuse=0.5)
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    assert len(journal(lab.folders()[-1], "start")) == 1
    assert actions(phone) == OFF_AND_ON


def test_a_phone_that_stays_away(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port has its power back at the end of the exec that lost it."""
    monkeypatch.setattr(loop, "REOPEN_AFTER_S", (0.05,))
    monkeypatch.setattr(launch, "COLLECT_S", 0.0)
    phone = switch_on("inverted:hub=ppps")
    folder = build(tmp_path, phone, "hang+once", conditions=OFF, timeout_ns=plans.SECOND)

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(folder, None))
        await phone.wait_async()
        await phone.virtual.ask("cut", refuse=600)
        assert (await running).pending == 1

    asyncio.run(story())
    assert (dead(phone), files(lab)) == ([], [])
    assert actions(phone) == OFF_AND_ON


def killed(lab: Lab, phone: Phone, folder: Path) -> None:
    """An exec that dies while the phone measures, and leaves its port without power."""
    impatient = (
        "from mobench_targets.android import conditions; conditions.SUSPENDED_S = 3.0; "
        "from tests.support import host; host.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", impatient, str(folder), str(lab.runs)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    phone.wait()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert dead(phone) == ["2"]
    assert len(files(lab)) == 1


def test_a_killed_host_and_a_new_exec(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    phone = switch_on("inverted:hub=ppps")
    before = phone.settings()
    folder = build(tmp_path, phone, "hang+once", conditions=OFF)
    killed(lab, phone, folder)
    assert [str(place) for place in power.left(lab.runs / ".devices")] == ["1-1.4:2"]
    assert lab.exec(folder).counts == {"ok": 1}
    # It was on in between: a battery that still shows what was must not be taken for one that is not charged.
    assert actions(phone) == OFF_AND_ON * 2
    assert charger(lab)["how"] == HOW
    assert (dead(phone), files(lab)) == ([], [])
    assert phone.settings() == before


def test_a_killed_host_and_a_phone_that_never_answers_again(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, golden: Golden
) -> None:
    """Its battery is empty, perhaps because of that."""
    phone = switch_on("inverted:hub=ppps")
    folder = build(tmp_path, phone, "hang+once", conditions=OFF)
    killed(lab, phone, folder)
    phone.ask("cut", refuse=600)
    assert lab.exec(folder, dry_run=True).pending == 1
    (gone,) = {item.message for item in lab.said(DeviceGone)}
    golden("android/hub_given_back.txt", f"{named(phone, gone)}\n")
    assert (dead(phone), files(lab)) == ([], [])


def test_a_port_that_does_not_get_its_power_back(lab: Lab, tmp_path: Path, switch_on: SwitchOn, golden: Golden) -> None:
    """The next exec tries again, and says so until it worked."""
    phone = switch_on("inverted:hub=ppps")
    folder = build(tmp_path, phone, "slow", conditions=OFF)

    async def story() -> None:
        running = asyncio.create_task(lab.exec_async(folder, None))
        await phone.wait_async()
        hub.build(phone.virtual.folder, "stuck", "")
        assert (await running).counts == {"ok": 1}

    asyncio.run(story())
    (notice,) = lab.said(Notice)
    (name,) = files(lab)
    golden("android/hub_not_given_back.txt", f"{notice.message}\n".replace(str(lab.runs / ".devices" / name), "FILE"))
    phone.ask("set", hub="ppps")
    lab.exec(folder, fresh=True)
    assert (dead(phone), files(lab)) == ([], [])


# ---------------------------------------------------------------- refused


def named(phone: Phone, text: str) -> str:
    """A text without what is another in every test."""
    return text.replace(str(phone.address["serial"]), "HOST:PORT")


def refusal(lab: Lab, folder: Path) -> str:
    """What an exec says of the phones that cannot be used."""
    lab.progress.clear()
    lab.exec(folder, fresh=True)
    assert lab.said(DeviceGone), journal(lab.folders()[-1], "device")
    return "\n".join(item.message for item in lab.said(DeviceGone))


def test_every_hub_that_is_of_no_use(
    lab: Lab, tmp_path: Path, switch_on: SwitchOn, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    monkeypatch.setattr(conditions, "SUSPENDED_S", 1.0)
    phone = switch_on("inverted:hub=ppps")
    before = phone.settings()
    address = phone.address
    said = []

    def refused(what: str, **other: Any) -> None:
        text = refusal(lab, build(tmp_path, {"phone": address | other}, conditions=OFF))
        said.append(f"{what}\n  {named(phone, text)}\n")
        assert files(lab) == []
        assert dead(phone) == []

    refused("no hub_port", hub_port="")
    for kind_of_hub in ("ganged", "nops", "linked", "leaky", "stuck", "denied"):
        phone.ask("set", hub=kind_of_hub)
        refused(f"a hub that {hub.KINDS[kind_of_hub]}")
    phone.ask("set", hub="ppps")
    refused("no hub at that place", hub_port="3-1:2")
    refused("a port that the hub has not", hub_port="1-1.4:7")
    refused("no port at all", hub_port="1-1.4; reboot")
    before_these = actions(phone)
    for what, device in (
        ("another device on the port", "1058:25a1 Western Digital Elements 25A1 575832"),
        ("another hub on the port", "0424:2514 Microchip USB2514B, USB 2.00, 4 ports, ppps"),
    ):
        hub.build(phone.virtual.folder, "ppps", device)
        refused(what)
    with monkeypatch.context() as patched:
        patched.setattr(uhubctl, "SBIN", ())
        patched.setenv("PATH", str(tmp_path))
        refused("no uhubctl", virtual_hub="")
        patched.setattr(found, "over_network", lambda serial: False)
        refused("adb by USB", virtual_hub="")
    assert actions(phone) == before_these  # nothing is switched that is not known to be the phone's
    golden("android/hub_refusals.txt", "\n".join(said))
    assert phone.settings() == before


def test_a_port_without_power_stays_so(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    """Somebody had switched it off, and charges the phone otherwise."""
    phone = switch_on("inverted:hub=leaky")
    assert hub.main(phone.virtual.folder, ["-l", "1-1.4", "-p", "2", "-a", "off"]) == 0
    text = refusal(lab, build(tmp_path, phone, conditions=OFF))
    assert text.endswith("its USB port 1-1.4:2 has no power as it is; is it that port?")
    assert (dead(phone), len(actions(phone))) == (["2"], 1)


def test_two_phones_on_one_port(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    one, other = switch_on("inverted:hub=ppps"), switch_on("pixel")
    place = {key: one.address[key] for key in ("hub_port", "virtual_hub")}
    text = refusal(lab, build(tmp_path, {"one": one.address, "other": other.address | place}, conditions=OFF))
    assert text.endswith("another device of this run has hub_port = 1-1.4:2, too; two phones cannot hang on one port")
    assert (dead(one), files(lab)) == ([], [])


def test_two_phones_on_one_hub(lab: Lab, tmp_path: Path, switch_on: SwitchOn) -> None:
    """They are prepared beside each other: what one switches is not taken for a fault of the other's port."""
    one, other = switch_on("inverted:hub=ppps"), switch_on("inverted")
    place = {"hub_port": "1-1.4:3", "virtual_hub": one.address["virtual_hub"]}
    text = refusal(lab, build(tmp_path, {"one": one.address, "other": other.address | place}, conditions=OFF))
    # The second hangs on no hub, in truth.
    assert text == (
        "the condition charger cannot be set: the phone goes on charging though asked to stop, and also after that: "
        "USB hub 1-1.4, port 3 switched off by uhubctl. Is `hub_port` its port, and does that hub cut the current, not "
        "only the data?"
    )
    assert dead(one) == []
    assert sorted(actions(one)) == sorted(f"1-1.4 port {port} {to}" for port in (2, 3) for to in ("off", "on"))
