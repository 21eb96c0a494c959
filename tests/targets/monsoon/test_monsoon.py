"""The Monsoon's pack against a virtual unit: the real package, the real pyusb, a bus that is not there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mobench_targets.monsoon import Unit, meter
from mobench_targets.monsoon.decode import Decoder, Scales
from mobench_targets.monsoon.virtual import RECORD
from Monsoon import HVPM

from mobench_lang.ir import Entity
from mobench_lang.plugins import RECORDING, DeviceError
from tests.support import meters


class Bench:
    """A phone that draws what a test says, and the virtual unit in its supply line."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.launch = folder / "phone", folder / "launch"
        self.folder.mkdir()
        self.launch.mkdir()
        self.draw(2000.0)

    def draw(self, mw: float, mv: float = 3900.0) -> None:
        with (self.folder / "power.bin").open("ab") as file:
            file.write(RECORD.pack(0, mw, mv))

    def fault(self, **what: Any) -> None:
        meters.fault(self.folder, **what)

    def unit(self) -> dict[str, Any]:
        return meters.unit(self.folder)

    async def open(self, serial: str | None = None, **attrs: Any) -> Unit:
        address = f"virtual:{self.folder}" + (f"#{serial}" if serial else "")
        entity = Entity("meter", "m", "m", "", tuple(sorted(attrs.items())))
        return await meter.open(entity, Entity("device", "d", "d", "android", (("meter_serial", address),)))

    def lines(self, kind: str) -> list[dict[str, Any]]:
        path = self.launch / RECORDING
        found = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in found if line["e"] == kind]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_rows_are_block_means_of_what_the_phone_draws(bench: Bench) -> None:
    async def record() -> Unit:
        unit = await bench.open()
        await unit.start(bench.launch)
        bench.draw(3500.0)
        await bench.until(lambda: any(abs(r["v"][2] - 3.5e6) < 2e3 for r in bench.lines("s")))
        await unit.stop()
        return unit

    unit = asyncio.run(record())
    assert unit.facts == {"unit": "20641", "firmware": 32, "usb": "auto"}
    rows = bench.lines("s")
    assert {n["n"] % 10 for n in rows} == {0}
    assert all(abs(v[0] * v[1] * 1e-6 - v[2]) < 50 for v in (r["v"] for r in rows))
    assert abs(rows[0]["v"][2] - 2.0e6) < 2e3
    (head,), (end,) = bench.lines("meter"), bench.lines("end")
    assert (head["source"], end["reason"], end["dropped"]) == ("Monsoon HVPM 20641", "", 0)
    assert bench.unit()["sampling"] is False


def test_the_decoder_reads_a_packet_as_the_package_does() -> None:
    rng = np.random.default_rng(5)
    words = rng.integers(0, 65536, (3, 8))
    packet = struct.pack("<HBB", 3, 0, 3) + b"".join(struct.pack(">8H", *row) + bytes([7, 0]) for row in words)
    theirs = HVPM.Monsoon().swizzlePacket(list(packet))
    assert theirs[:3] == [3, 0, 3]
    for place in range(3):
        assert theirs[3 + 10 * place : 11 + 10 * place] == list(words[place])
        assert theirs[11 + 10 * place] & 0x30 == 0
    seen = np.frombuffer(packet[4:], ">u2").reshape(3, 9)
    assert (seen[:, :8] == words).all() and not (seen[:, 8] & 0x30).any()


def test_dropped_packets_count_and_are_not_filled() -> None:
    decoder = Decoder(Scales(6400, 15, 36500, 15))
    zero = struct.pack(">8H", 2100, 1800, 0, 0, 0, 0, 15600, 0)
    reference = struct.pack(">8H", 52100, 58800, 0, 0, 0, 0, 15600, 0)
    value = struct.pack(">8H", 6000, 65535, 0, 0, 0, 0, 15600, 0) + b"\0\0"
    pairs = [struct.pack("<HBB", 0, 0, 2) + zero + b"\0\x10" + reference + b"\0\x30"] * 5
    assert decoder.take(pairs) == [] and decoder.ready
    decoder.take([struct.pack("<HBB", 0, 0, 3) + value * 3] * 4)
    rows = decoder.take([struct.pack("<HBB", 9, 0, 3) + value * 3] * 8)
    assert decoder.dropped == 27
    assert decoder.count == 10 + 12 + 27 + 24
    assert {row[0] for row in rows}.isdisjoint({30})


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ({"units": []}, "no_meter", "no Monsoon HVPM (USB 2ab9:0001) is attached"),
        ({"unplugged": True}, "no_meter", "no Monsoon HVPM"),
        ({"units": ["1", "2"]}, "no_meter", "there are 2 Monsoons (1, 2); say which by `meter_serial`"),
        ({"denied": True}, "meter_denied", 'SUBSYSTEM=="usb", ATTR{idVendor}=="2ab9"'),
        ({"model": 1}, "no_meter", "is no HVPM but model 1"),
    ],
)
def test_a_unit_that_cannot_be_read_says_why(bench: Bench, fault: dict[str, Any], code: str, text: str) -> None:
    bench.fault(**fault)
    with pytest.raises(DeviceError) as told:
        asyncio.run(bench.open())
    assert told.value.code == code
    assert text in str(told.value)


def test_a_serial_number_chooses_and_another_is_refused(bench: Bench) -> None:
    bench.fault(units=["1", "2"])
    assert asyncio.run(bench.open("2")).facts["unit"] == "2"
    with pytest.raises(DeviceError, match="there is no Monsoon 3; there is 1, 2"):
        asyncio.run(bench.open("3"))


def test_the_passthrough_is_set_for_a_recording_and_put_back(bench: Bench) -> None:
    async def record() -> int:
        unit = await bench.open(usb="off")
        await unit.start(bench.launch)
        during = bench.unit()["usb"]
        await unit.stop()
        return int(during)

    assert asyncio.run(record()) == 0
    assert bench.unit()["usb"] == 2
    assert "vout" not in bench.unit()


@pytest.mark.parametrize(("fault", "reason"), [({"unplugged": True}, "meter_lost"), ({"silent": True}, "meter_lost")])
def test_a_unit_that_goes_ends_the_recording_with_a_reason(bench: Bench, fault: dict[str, Any], reason: str) -> None:
    async def record() -> None:
        unit = await bench.open()
        await unit.start(bench.launch)
        bench.fault(**fault)
        await bench.until(lambda: bool(bench.lines("end")))
        await unit.stop()

    asyncio.run(record())
    assert [end["reason"] for end in bench.lines("end")] == [reason]


def test_dropped_samples_are_told(bench: Bench) -> None:
    async def record() -> None:
        bench.fault(drop=0.1)
        unit = await bench.open()
        await unit.start(bench.launch)
        await bench.until(lambda: len(bench.lines("sync")) > 20)
        await unit.stop()

    asyncio.run(record())
    (end,) = bench.lines("end")
    assert 0.05 < end["dropped"] / end["samples"] < 0.15


def test_a_recorder_that_was_killed_leaves_a_unit_that_the_next_one_stops(bench: Bench) -> None:
    async def record() -> None:
        unit = await bench.open()
        await unit.start(bench.launch)
        assert unit.pid is not None
        os.kill(unit.pid, signal.SIGKILL)
        await unit.stop()
        assert bench.unit()["sampling"] is True
        assert bench.lines("end") == []
        await unit.start(bench.launch)
        await unit.stop()

    asyncio.run(record())
    assert bench.unit()["sampling"] is False
    assert [end["reason"] for end in bench.lines("end")] == [""]


def test_a_host_without_the_package_is_told_which(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = bench.folder / "hidden"
    hidden.mkdir()
    (hidden / "Monsoon.py").write_text("raise ModuleNotFoundError('no', name='Monsoon')\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    with pytest.raises(DeviceError, match=r"pip install 'mobench\[monsoon\]'"):
        asyncio.run(bench.open())
