"""`exec --device`: other addresses of devices than those beside the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from mobench_targets.android import AndroidTarget

from mobench_lang.execute.devices import Fleet, open_fleet
from mobench_lang.execute.errors import UsageError
from mobench_lang.execute.load import load
from mobench_lang.ir import Entity, Value
from mobench_lang.plugins import DeviceError
from tests.support import plans


def opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], **attrs: Value
) -> dict[str, Value]:
    """The attributes of the device that the target is to open."""
    asked: dict[str, Value] = {}

    async def noting(self: AndroidTarget, device: Entity, scratch: Path, scripts: Path) -> None:
        asked.update(device.attrs)
        raise DeviceError("noted", "nothing is opened here")

    monkeypatch.setattr(AndroidTarget, "open", noting)
    device = plans.entity("device", "phone", "android", **attrs)
    build = load(plans.build(tmp_path / "build", devices=(device,)))

    async def opening() -> Fleet:
        return await open_fleet(build, {"phone"}, tmp_path / "runs", given, {})

    assert asyncio.run(opening()).refused["phone"].reason == "noted"
    return asked


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, {"serial": "a", "hub_port": "1-1:2"}),
        ({"phone": "b"}, {"serial": "b"}),  # the hub's port was that of the other phone
        ({"phone": "b", "phone.hub_port": "1-1:3"}, {"serial": "b", "hub_port": "1-1:3"}),
        ({"phone.hub_port": "1-1:3"}, {"serial": "a", "hub_port": "1-1:3"}),
        ({"phone.hub_port": "1-1:3", "phone": "b"}, {"serial": "b", "hub_port": "1-1:3"}),
        ({"phone.adb_port": "5038"}, {"serial": "a", "hub_port": "1-1:2", "adb_port": 5038}),
        ({"phone.serial": "b"}, {"serial": "b"}),
    ],
)
def test_other_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], asked: dict[str, Value]
) -> None:
    assert opened(tmp_path, monkeypatch, given, serial="a", hub_port="1-1:2") == asked


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"other.serial": "b"}, "the plan has no device other; it has phone"),
        (
            {"phone.": "b"},
            "phone has no address '' that --device could give; it has serial, adb_port, hub_port, meter_serial",
        ),
        (
            {"phone.meter": "b"},
            "phone has no address 'meter' that --device could give; it has serial, adb_port, hub_port, meter_serial",
        ),
        (
            {"phone.hub_port": "1-1.4; reboot"},
            "--device phone.hub_port takes LOCATION:PORT, such as 1-1.4:2, with a port from 1 to 14, "
            "found '1-1.4; reboot'",
        ),
        ({"phone.adb_port": "0"}, "--device phone.adb_port takes a number from 1 to 65535, found '0'"),
        ({"phone.adb_port": "x"}, "--device phone.adb_port takes a number from 1 to 65535, found 'x'"),
        ({"phone.adb_port": "²"}, "--device phone.adb_port takes a number from 1 to 65535, found '²'"),
    ],
)
def test_what_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as error:
        opened(tmp_path, monkeypatch, given)
    assert str(error.value) == said
