"""A virtual HVPM: the unit's side of the wire protocol, as a backend of pyusb behind the real driver.

In: the folder of a virtual phone: `power.bin`, what it draws now, and `meter.json`, what is to go wrong. Out: a
`usb.backend.IBackend` with the descriptors, vendor requests and sample packets of an HVPM as the package `monsoon`
reads them. Guarantee: the unit goes on sampling when its host dies, as a real one does: `meter-unit.json` keeps that.
Nobody held this against a real unit: it stands for the protocol as the package's source tells it.
"""

from __future__ import annotations

import errno
import json
import struct
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import usb.backend
import usb.core

RATE = 5000
CALIBRATE_FIRST, CALIBRATE_EACH = 5, 6250
"""So many pairs of calibration samples begin a recording; afterwards one pair in 1.25 s."""
RECORD = struct.Struct("<qdd")
"""What the phone writes: its clock in ns, mW, mV."""

# The unit's calibration: what the ADC reads at 0 and at the reference, and the scale of each range.
COARSE_ZERO, COARSE_REF, COARSE_SCALE = 2100, 52100, 6400
FINE_ZERO, FINE_REF, FINE_SCALE = 1800, 58800, 36500
OFFSET = 15
MV_PER_TICK = 0.25
_SAMPLE, _ZERO, _REF = 0x00, 0x10, 0x30

_VALUES = {
    0xC0: 32, 0xC1: 17, 0x45: 2, 0x43: 0x8000, 0x44: 0x8000, 0x0C: 20, 0x29: 0x003C, 0x89: 0xC800, 0x88: 0xE000,
    0x1A: FINE_SCALE, 0x1B: COARSE_SCALE, 0x1C: 14000, 0x1D: 600, 0x1E: 3100, 0x1F: 250,
    0x25: OFFSET, 0x26: OFFSET, 0x27: 0, 0x28: 0, 0x23: 0,
}  # fmt: skip
_DEVICE = {
    "bLength": 18, "bDescriptorType": 1, "bcdUSB": 0x200, "bDeviceClass": 255, "bDeviceSubClass": 0,
    "bDeviceProtocol": 0, "bMaxPacketSize0": 64, "idVendor": 0x2AB9, "idProduct": 1, "bcdDevice": 0x100,
    "iManufacturer": 1, "iProduct": 2, "iSerialNumber": 3, "bNumConfigurations": 1, "bus": 1, "address": 2,
    "port_number": 1, "port_numbers": (1,), "speed": 2,
}  # fmt: skip


class VirtualUnits(usb.backend.IBackend):  # type: ignore[misc]  # pyusb has no types
    """The units on the virtual bus of a phone."""

    def __init__(self, phone: Path) -> None:
        self._phone = phone
        self._sent = 0
        self._began = 0.0
        self._lost = 0
        self._rate = float(RATE)
        self._faults: dict[str, Any] = {}
        self._value = (0.0, 3900.0)
        self._packed: dict[tuple[int, int, int], bytes] = {}

    # ------------------------------------------------------------ what stands beside it

    def _fault(self, key: str, default: Any) -> Any:
        with suppress(OSError, ValueError):
            return json.loads((self._phone / "meter.json").read_bytes()).get(key, default)
        return default

    def _kept(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads((self._phone / "meter-unit.json").read_bytes()))
        return {"sampling": False, "usb": 2}

    def _keep(self, **changes: Any) -> None:
        part = self._phone / "meter-unit.json.part"
        part.write_text(json.dumps(self._kept() | changes), "utf-8")
        part.replace(self._phone / "meter-unit.json")

    def _present(self) -> None:
        if self._fault("unplugged", False):
            raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)

    # ------------------------------------------------------------ descriptors

    def enumerate_devices(self) -> Any:
        """Every unit, by serial number."""
        if not self._fault("unplugged", False):
            yield from self._fault("units", ["20641"])

    def get_device_descriptor(self, dev: Any) -> Any:
        """An HVPM."""
        return SimpleNamespace(**_DEVICE)

    def get_configuration_descriptor(self, dev: Any, config: int) -> Any:
        """One configuration."""
        if config:
            raise IndexError(config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=2, wTotalLength=32, bNumInterfaces=1, bConfigurationValue=1, iConfiguration=0,
            bmAttributes=0xC0, bMaxPower=50, extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: Any, intf: int, alt: int, config: int) -> Any:
        """One interface with two bulk endpoints."""
        if intf or alt or config:
            raise IndexError(intf)
        return SimpleNamespace(
            bLength=9, bDescriptorType=4, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=2,
            bInterfaceClass=255, bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0, extra_descriptors=[],
        )  # fmt: skip

    def get_endpoint_descriptor(self, dev: Any, ep: int, intf: int, alt: int, config: int) -> Any:
        """0x81 brings samples."""
        return SimpleNamespace(
            bLength=7, bDescriptorType=5, bEndpointAddress=(0x81, 0x01)[ep], bmAttributes=2, wMaxPacketSize=64,
            bInterval=0, bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    # ------------------------------------------------------------ opening

    def open_device(self, dev: Any) -> Any:
        """A handle, unless the user may not."""
        self._present()
        if self._fault("denied", False):
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return dev

    def close_device(self, dev_handle: Any) -> None:
        """Nothing to free."""

    def set_configuration(self, dev_handle: Any, config_value: int) -> None:
        """There is one."""

    def get_configuration(self, dev_handle: Any) -> int:
        """There is one."""
        return 1

    def set_interface_altsetting(self, dev_handle: Any, intf: int, altsetting: int) -> None:
        """There is one."""

    def claim_interface(self, dev_handle: Any, intf: int) -> None:
        """Nobody else wants it."""

    def release_interface(self, dev_handle: Any, intf: int) -> None:
        """Nobody else wants it."""

    def reset_device(self, dev_handle: Any) -> None:
        """The bus was reset."""

    def is_kernel_driver_active(self, dev_handle: Any, intf: int) -> bool:
        """No driver took it."""
        return False

    def detach_kernel_driver(self, dev_handle: Any, intf: int) -> None:
        """No driver took it."""
        raise usb.core.USBError("Entity not found", -5, errno.ENOENT)

    # ------------------------------------------------------------ requests

    def ctrl_transfer(
        self, dev_handle: Any, bmRequestType: int, bRequest: int, wValue: int, wIndex: int, data: Any, timeout: int
    ) -> int:  # fmt: skip
        """Strings of the device, and the vendor's requests: values, start, stop."""
        self._present()
        if bmRequestType == 0x80:
            return _fill(data, self._string(dev_handle, wValue))
        if bmRequestType == 0xC0:
            return _fill(data, struct.pack("<I", self._get(dev_handle, wIndex & 0xFF)))
        if bRequest == 0x02:
            self._sent, self._began, self._lost = 0, time.monotonic(), 0
            self._rate = RATE * (1 + self._fault("ppm", 0) * 1e-6)
            self._keep(sampling=True)
        elif bRequest == 0x03:
            self._keep(sampling=False)
        elif bRequest == 0x01 and wIndex & 0xFF == 0x10:
            self._keep(usb=wValue & 0xFF)
        elif bRequest == 0x01 and wIndex & 0xFF == 0x41:
            self._keep(vout=(wValue | (wIndex >> 8) << 16) / (1 << 20))
        return len(data)

    def _string(self, serial: str, value: int) -> bytes:
        if value & 0xFF == 0:
            return bytes([4, 3, 9, 4])
        text = {1: "Monsoon Solutions", 2: "HVPM (virtual)", 3: serial}[value & 0xFF].encode("utf-16-le")
        return bytes([2 + len(text), 3]) + text

    def _get(self, serial: str, code: int) -> int:
        kept = self._kept()
        if kept["sampling"] and code not in (0xC0, 0xC4):
            return 0xFFFFFFFE  # it answers no questions while it samples
        if code == 0xC4:
            return 0x80 if kept["sampling"] else 0
        return int(
            {0x42: int(serial), 0x10: kept["usb"], 0x45: self._fault("model", 2)}.get(code, _VALUES.get(code, 0))
        )

    # ------------------------------------------------------------ samples

    def bulk_read(self, dev_handle: Any, ep: int, intf: int, buff: Any, timeout: int) -> int:
        """The next packet when its samples are due."""
        until = time.monotonic() + timeout / 1000
        due = self._began + (self._sent + 3) / self._rate
        if not self._kept_sampling() or due > until or self._faults.get("silent"):
            time.sleep(max(until - time.monotonic(), 0))
            raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
        if (left := due - time.monotonic()) > 0:
            time.sleep(max(left, 0.01))  # a hub hands on what came in 10 ms at once
        if self._sent % 60 == 0:
            self._moment()
        self._sent += 3
        if self._skips():
            self._lost += 1
            return self.bulk_read(dev_handle, ep, intf, buff, timeout)
        return _fill(buff, self._packet())

    def bulk_write(self, dev_handle: Any, ep: int, intf: int, data: Any, timeout: int) -> int:
        """Taken and ignored."""
        return len(data)

    def _kept_sampling(self) -> bool:
        return self._sent % 600 != 0 or bool(self._kept()["sampling"])

    def _skips(self) -> bool:
        share = float(self._faults.get("drop", 0))
        return share > 0 and (self._sent // 3 * 0.6180339887) % 1.0 < share

    def _moment(self) -> None:
        """What the phone draws now; every 12 ms. May raise, when somebody pulled the plug."""
        with suppress(OSError, ValueError):
            with (self._phone / "power.bin").open("rb") as file:
                end = file.seek(0, 2) // RECORD.size * RECORD.size
                file.seek(max(end - RECORD.size, 0))
                data = file.read(RECORD.size)
            if len(data) == RECORD.size:
                self._value = RECORD.unpack(data)[1:]
        self._faults = {}
        with suppress(OSError, ValueError):
            self._faults = json.loads((self._phone / "meter.json").read_bytes())
        self._present()

    def _packet(self) -> bytes:
        mw, mv = (0.0, 0.0) if self._faults.get("tripped") else self._value
        number = self._sent // 3 - 1
        samples = b""
        for place in range(3):
            at = number * 3 + place
            kind = _SAMPLE
            if at < 2 * CALIBRATE_FIRST or at % CALIBRATE_EACH < 2:
                kind = _REF if at % 2 else _ZERO
            samples += self._one(kind, mw / mv * 1000 if mv else 0.0, mv)
        return struct.pack("<HBB", self._lost & 0xFFFF, 0, 3) + samples

    def _one(self, kind: int, ma: float, mv: float) -> bytes:
        coarse, fine = COARSE_ZERO, FINE_ZERO
        if kind == _REF:
            coarse, fine = COARSE_REF, FINE_REF
        elif kind == _SAMPLE:
            coarse = _ticks(ma, COARSE_ZERO + OFFSET, COARSE_REF, COARSE_SCALE)
            fine = _ticks(ma, FINE_ZERO + OFFSET, FINE_REF, FINE_SCALE / 1000)
        key = (kind, coarse, int(mv / MV_PER_TICK))
        found = self._packed.get(key)
        if found is None:
            # The device sends the more significant byte first; the packet's pairs of bytes are swapped by the driver.
            words = struct.pack(">8H", coarse, fine, 900, 900, 900, 900, key[2], 0)
            found = words + bytes([0, kind])
            self._packed = {**self._packed, key: found} if len(self._packed) < 64 else {key: found}
        return found


def _ticks(ma: float, zero: float, reference: float, scale: float) -> int:
    return min(max(round(ma * (reference - zero) / scale + zero), 0), 0xFFFF)


def _fill(buffer: Any, data: bytes) -> int:
    size = min(len(buffer), len(data))
    for i in range(size):
        buffer[i] = data[i]
    return size
