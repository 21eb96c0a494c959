"""The process that reads a Monsoon: python -m mobench_targets.monsoon.recorder CONFIG.

In: a JSON object: `serial` of the unit (none: the only one), `usb` passthrough to set, `out`, a file; without `out` it
only says what the unit is. Out: on stdout one line, `{"ready": …}` or `{"error": code, "text": …}`; in the file the
head, rows, pairs of the unit's count and the host's clock, and an end that says why. Guarantee: it ends, and stops the
unit, when its stdin closes: with its parent, whatever ended that. A lost unit is an end with a reason, never a wait.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

VIRTUAL = "virtual:"
"""Before the folder of a virtual phone, in place of a serial number; that may follow behind a `#`."""
VENDOR, PRODUCT = 0x2AB9, 0x0001
USB_MODES = ("off", "on", "auto")
BATCH_NS = 50_000_000
READY_S = 10.0
RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="2ab9", MODE="0666"'


class FaultError(Exception):
    """Why the unit cannot be read: a stable code and a text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def main(config: dict[str, Any], out: TextIO) -> int:
    """Read a unit until stdin closes."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the package prints
            return _work(config, out)
    except FaultError as fault:
        out.write(json.dumps({"error": fault.code, "text": str(fault)}) + "\n")
        out.flush()
        return 1


def _work(config: dict[str, Any], out: TextIO) -> int:
    try:
        import usb.core
        from Monsoon import HVPM, pmapi
    except ImportError as error:
        raise FaultError("no_meter", f"reading a Monsoon needs {error.name}: pip install 'mobench[monsoon]'") from error
    serial = config.get("serial")
    if serial is not None and str(serial).startswith(VIRTUAL):
        phone, _, number = str(serial).removeprefix(VIRTUAL).partition("#")
        _virtual(Path(phone))
        serial = number or None
    chosen = _choose(serial)
    unit = HVPM.Monsoon()
    try:
        with _connected(unit, pmapi.USB_protocol(), chosen) as before:
            wanted = config.get("usb")
            if wanted is not None and USB_MODES[before] != wanted:
                unit.setUSBPassthroughMode(USB_MODES.index(wanted))
            unit.fillStatusPacket()
            status = unit.statusPacket
            about = {
                "unit": str(status.serialNumber),
                "firmware": int(status.firmwareVersion),
                "usb": wanted or (USB_MODES[before] if before < len(USB_MODES) else str(before)),
            }
            try:
                if config.get("out") is None:
                    out.write(json.dumps({"ready": about}) + "\n")
                    out.flush()
                    return 0
                return _record(unit, about, Path(config["out"]), out)
            finally:
                with contextlib.suppress(usb.core.USBError, ValueError):
                    unit.stopSampling()
                    if wanted is not None and USB_MODES[before] != wanted:
                        unit.setUSBPassthroughMode(before)
    except usb.core.USBError as error:
        raise _told(error) from error


def _virtual(phone: Path) -> None:
    """Let pyusb find the virtual unit of a phone, and nothing else."""
    import usb.backend.libusb1
    from mobench_targets.monsoon.virtual import VirtualUnits

    backend = VirtualUnits(phone)
    usb.backend.libusb1.get_backend = lambda find_library=None: backend  # noqa: ARG005 - as pyusb calls it


def _choose(serial: str | None) -> str:
    """The serial number of the unit to read."""
    import usb.core

    try:
        units = [str(d.serial_number) for d in usb.core.find(find_all=True, idVendor=VENDOR, idProduct=PRODUCT)]
    except usb.core.NoBackendError as error:
        text = "pyusb finds no libusb on this host; on Debian or Ubuntu: apt-get install libusb-1.0-0"
        raise FaultError("no_meter", text) from error
    except ValueError as error:  # pyusb's word for strings that may not be read
        raise FaultError("meter_denied", f"the Monsoon may not be opened; a udev rule helps: {RULE}") from error
    except usb.core.USBError as error:
        raise _told(error) from error
    if not units:
        raise FaultError("no_meter", "no Monsoon HVPM (USB 2ab9:0001) is attached to this host, or it is switched off")
    if serial is None and len(units) > 1:
        text = (
            f"there are {len(units)} Monsoons ({', '.join(sorted(units))}); say which by `meter_serial` of the device"
        )
        raise FaultError("no_meter", text)
    if serial is not None and str(serial) not in units:
        raise FaultError("no_meter", f"there is no Monsoon {serial}; there is {', '.join(sorted(units))}")
    return units[0] if serial is None else str(serial)


def _told(error: Any) -> FaultError:
    if error.errno == errno.EACCES:
        return FaultError("meter_denied", f"the Monsoon may not be opened ({error}); a udev rule helps: {RULE}")
    return FaultError("meter_lost", f"the Monsoon does not answer: {error}")


@contextlib.contextmanager
def _connected(unit: Any, protocol: Any, serial: str) -> Iterator[int]:
    """Connect, stopping a recording that a dead process left; the passthrough mode that was set."""
    import usb.core

    unit.setup_usb(serial, protocol)
    if protocol.DEVICE is None:
        raise FaultError("no_meter", f"the Monsoon {serial} is gone")
    protocol.stopSampling()
    with contextlib.suppress(usb.core.USBError):
        while True:  # what it had sent before it was stopped
            protocol.DEVICE.read(0x81, 64, timeout=50)
    from Monsoon import Operations

    model = protocol.getValue(Operations.OpCodes.HardwareModel, 2)
    if model != Operations.HardwareModel.HVPM:
        raise FaultError("no_meter", f"the Monsoon {serial} is no HVPM but model {model}; only the HVPM is read")
    try:
        yield int(protocol.getValue(Operations.OpCodes.setUsbPassthroughMode, 1))
    finally:
        usb.util.dispose_resources(protocol.DEVICE)


def _record(unit: Any, about: dict[str, Any], path: Path, out: TextIO) -> int:
    """Rows into the file until stdin closes."""
    import usb.core
    from mobench_targets.monsoon.decode import BLOCK, RATE, Decoder, Scales

    status = unit.statusPacket
    decoder = Decoder(
        Scales(status.mainCoarseScale, status.mainCoarseZeroOffset, status.mainFineScale, status.mainFineZeroOffset)
    )
    reason, detail, told = "", "", False
    with path.open("w", encoding="utf-8") as file:
        head = {"e": "meter", "version": 1, "source": f"Monsoon HVPM {about['unit']}", **about}
        head |= {"rate": RATE, "block": BLOCK, "channels": ["current", "voltage", "power"], "units": ["µA", "µV", "µW"]}
        file.write(json.dumps(head, ensure_ascii=False) + "\n")
        began = time.monotonic()
        unit.StartSampling(1250, 0xFFFFFFFF)
        try:
            while not select.select([sys.stdin], [], [], 0)[0]:
                rows = decoder.take(_batch(unit))
                file.writelines(f'{{"e":"s","n":{n},"v":[{a},{v},{p}]}}\n' for n, a, v, p in rows)
                file.write(f'{{"e":"sync","n":{decoder.count},"t":{time.monotonic_ns()}}}\n')
                if not told and decoder.ready and rows:
                    file.flush()
                    out.write(json.dumps({"ready": about}) + "\n")
                    out.flush()
                    told = True
                if not told and time.monotonic() > began + READY_S:
                    raise FaultError("meter_not_calibrated", f"the Monsoon sent no calibration in {READY_S:.0f} s")
        except usb.core.USBTimeoutError:
            reason, detail = "meter_lost", "the Monsoon sent nothing for a second"
        except usb.core.USBError as error:
            reason, detail = "meter_lost", str(error)
        end = {"e": "end", "reason": reason, "detail": detail, "samples": decoder.count, "dropped": decoder.dropped}
        file.write(json.dumps(end) + "\n")
    if reason and not told:
        raise FaultError(reason, detail)
    return 1 if reason else 0


def _batch(unit: Any) -> list[bytes]:
    """The packets of 50 ms."""
    until = time.monotonic_ns() + BATCH_NS
    packets = []
    while time.monotonic_ns() < until:
        packets.append(bytes(unit.BulkRead()))
    return packets


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.stdout))
