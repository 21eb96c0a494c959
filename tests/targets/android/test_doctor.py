"""What `mobench doctor android` says of phones that are attached, and of what virtual ones need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mobench_targets.android import target, uhubctl
from mobench_targets.android.virtual import root

from mobench_lang.plugins import Finding
from tests.targets.android.conftest import Phone, put_on_path

SwitchOn = Callable[[str], Phone]
Said = dict[str, Finding]


@pytest.fixture
def diagnose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Phone], Said]:
    """What is said of a phone, by what it is about."""

    def said(phone: Phone) -> Said:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(phone.address["adb_port"]))
        found = {finding.about: finding for finding in target.diagnose(tmp_path)}
        return {"phone" if about == phone.address["serial"] else about: finding for about, finding in found.items()}

    return said


def bad(said: Said) -> dict[str, str]:
    """What is not in order, and how bad it is."""
    return {about: finding.level for about, finding in said.items() if finding.level != "ok"}


def test_a_phone_that_is_ready_but_for_its_charger(switch_on: SwitchOn, diagnose: Callable[[Phone], Said]) -> None:
    phone = switch_on("pixel")
    before = phone.settings()
    said = diagnose(phone)
    assert bad(said) == {"charger": "warn"}
    assert said["phone"].found == "Google Pixel 8, Android 14, android-arm64+dotprod"
    assert said["energy"].found.startswith("power rails: VSYS_PWR_MODEM, ")
    assert phone.settings() == before  # looking changes nothing


def test_everything_that_stands_in_the_way(switch_on: SwitchOn, diagnose: Callable[[Phone], Said]) -> None:
    phone = switch_on("pixel:level=14,throttle=0.5,ambient=60,speed=100000")
    state = phone.root / root.STATE
    (state / "screen").write_text("Asleep\n")
    (state / "settings/global/low_power").write_text("1\n")
    (state / "storage_kib").write_text("100000\n")
    said = diagnose(phone)
    assert bad(said) == {
        "charger": "warn", "battery": "warn", "screen": "warn", "low power": "bad", "temperature": "warn",
        "throttling": "bad", "storage": "warn",
    }  # fmt: skip
    assert said["battery"].found == "14 %"
    assert "the phone may doze" in said["screen"].found
    assert "thermal status 3" in said["throttling"].found and "kHz" in said["throttling"].found
    assert all(finding.help for finding in said.values() if finding.level != "ok")


def test_a_phone_that_hides_and_one_that_is_old(switch_on: SwitchOn, diagnose: Callable[[Phone], Said]) -> None:
    said = diagnose(switch_on("denied"))
    assert {"load": "warn", "temperature": "warn", "denied": "warn"}.items() <= bad(said).items()
    assert "max_load" in said["load"].help
    assert "shell v2" in diagnose(switch_on("no_shell_v2"))["adb"].found


def test_a_phone_without_any_source_of_energy(switch_on: SwitchOn, diagnose: Callable[[Phone], Said]) -> None:
    phone = switch_on("denied")
    (phone.root / "sys/class/power_supply/battery/current_now").chmod(0)
    assert diagnose(phone)["energy"].help == (
        "no energy from this phone but by a meter in its supply line, such as `meter = monsoon_hvpm`"
    )


def test_a_phone_that_nobody_allowed(switch_on: SwitchOn, diagnose: Callable[[Phone], Said]) -> None:
    said = diagnose(switch_on("pixel:unauthorized=true"))
    assert bad(said) == {"phone": "bad"}
    assert "allow USB debugging" in said["phone"].help


def test_which_port_of_a_hub_a_phone_hangs_on(
    switch_on: SwitchOn, diagnose: Callable[[Phone], Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    phone = switch_on("pixel:hub=ppps")
    put_on_path(tmp_path, phone, monkeypatch)
    said = diagnose(phone)
    assert said["USB hubs"].found == (
        "1-1.4 switches its 4 ports (2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps)"
    )
    assert said["USB port"].found == 'the hub shows it there: hub_port = "1-1.4:2"'
    (found,) = target.discover()
    assert (found["hub_port"], found["where"]) == ("1-1.4:2", "USB hub 1-1.4, port 2")


@pytest.mark.parametrize(
    ("kind", "finding"),
    [
        ("ganged", Finding("USB hubs", "ok", "1-1.4 does not switch single ports "
                           "(2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ganged)")),
        ("denied", Finding("USB hubs", "warn", "no port can be switched",
                           "this user may not open every USB hub, says uhubctl: install the udev rules of its README "
                           "(https://git.io/JIB2Z), or run as root")),
    ],
)  # fmt: skip
def test_hubs_that_switch_no_port(
    switch_on: SwitchOn, diagnose: Callable[[Phone], Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    kind: str, finding: Finding,
) -> None:  # fmt: skip
    phone = switch_on(f"pixel:hub={kind}")
    put_on_path(tmp_path, phone, monkeypatch)
    said = diagnose(phone)
    assert said["USB hubs"] == finding
    assert "USB port" not in said
    assert "hub_port" not in target.discover()[0]


def test_no_hub_and_no_uhubctl(
    switch_on: SwitchOn, diagnose: Callable[[Phone], Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    phone = switch_on("pixel")
    put_on_path(tmp_path, phone, monkeypatch)
    assert diagnose(phone)["USB hubs"] == Finding("USB hubs", "ok", "uhubctl finds none")
    (tmp_path / "bin/uhubctl").unlink()
    monkeypatch.setattr(uhubctl, "SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert diagnose(phone)["USB hubs"].found.endswith("install it (Debian: apt-get install uhubctl)")


def test_a_port_that_a_dead_exec_left_off(
    switch_on: SwitchOn, diagnose: Callable[[Phone], Said], tmp_path: Path
) -> None:
    phone = switch_on("pixel")
    scratch = tmp_path / "runs/.devices"
    scratch.mkdir(parents=True)
    (scratch / "usb-0123456789abcdef.json").write_text('{"port": "1-1.4:2", "virtual": "", "phone": "x"}')
    assert diagnose(phone)["USB port 1-1.4:2"] == Finding(
        "USB port 1-1.4:2", "warn", "has no power since an exec died",
        "the next exec gives it back; or `uhubctl -l 1-1.4 -p 2 -a on`",
    )  # fmt: skip


def test_what_a_host_lacks_for_virtual_phones(
    switch_on: SwitchOn, diagnose: Callable[[Phone], Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = switch_on("pixel")
    monkeypatch.setattr(root, "PACKAGES", {"no-such-shell": "mksh", "no-such-box": "toybox"})
    found = diagnose(phone)["virtual phones"]
    assert (found.level, found.found, found.help) == (
        "warn", "mksh, toybox missing", "apt-get install mksh toybox",
    )  # fmt: skip
