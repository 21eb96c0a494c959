"""The way to an adb server, by adbutils: asking it, opening services of a device, following which devices there are.

In: the server's port, a serial. Out: answers, connected sockets, states. All of it blocks and belongs in a thread;
closing a `Call` ends it from outside. Guarantee: whatever can mean that a device is gone is DeviceError("lost"), and a
device that is there but cannot be used is a DeviceError with its state as code and a way out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mobench_lang.plugins import DeviceError

if TYPE_CHECKING:
    from adbutils import AdbConnection

PORT = 5037

HELP = {
    "unauthorized": "unlock it and allow USB debugging for this computer, or end `adb` servers of other users",
    "connecting": "wait a moment; if it stays like this, pull the cable and plug it in again",
    "offline": "pull the cable and plug it in again, or connect anew over the network; then USB debugging off and on",
    "recovery": "it is in recovery mode: start Android on it (`adb reboot`)",
    "sideload": "it waits for an update: start Android on it",
    "rescue": "it is in rescue mode: start Android on it",
    "bootloader": "it is in its boot loader: start Android on it (`fastboot reboot`)",
    "no_permissions": "this user may not open the USB device: install the udev rules of Android phones (Debian: "
    "android-sdk-platform-tools-common) and plug it in again",
}
"""What to do about a device in a state that is not `device`."""


class Call:
    """One conversation with the server, which another thread may end."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._ended = False

    def took(self, connected: socket.socket) -> socket.socket:
        """Note the socket that ending closes. Raises OSError if it was ended before there was one."""
        self._socket = connected
        if self._ended:
            self.end()
            raise OSError("cancelled")
        return connected

    def end(self) -> None:
        """End it: whoever waits for the socket is woken by its end."""
        self._ended = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, in the thread that used it."""
        if self._socket is not None:
            self._socket.close()


@contextmanager
def losses(serial: str) -> Iterator[None]:
    """Turn whatever adbutils and sockets raise into DeviceError."""
    from adbutils.errors import AdbError

    try:
        yield
    except AdbError as error:
        raise refused(serial, str(error)) from error
    except (OSError, EOFError) as error:
        raise lost(serial, str(error)) from error


def lost(serial: str, why: str) -> DeviceError:
    """The device is gone, as far as anyone can tell."""
    detail = f" ({why})" if why else ""
    return DeviceError("lost", f"{serial} is gone{detail}: see that it is connected, switched on and not asleep")


def refused(serial: str, said: str) -> DeviceError:
    """What an answer FAIL of the server means for a device that is in use."""
    words = said.lower()
    for state in ("unauthorized", "authorizing"):
        if state in words:
            return unusable(serial, state)
    return lost(serial, said.splitlines()[0] if said else "the adb server closed the connection")


def unusable(serial: str, state: str) -> DeviceError:
    """A device that is there but in another state than `device`."""
    code = "no_permissions" if state.startswith("no permissions") else state
    code = {"host": "offline", "authorizing": "unauthorized"}.get(code, code)
    help_ = HELP.get(code, "see `adb devices`")
    return DeviceError(code, f"{serial} is {code.replace('_', ' ')}: {help_}")


def default_port() -> int:
    """The port of the user's own adb server."""
    text = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
    return int(text) if text.isdigit() else PORT


class Server:
    """An adb server. One on the default port is started by adbutils if nobody listens there; another is never."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or default_port()
        self._may_start = self.port == default_port()

    def _connect(self, call: Call) -> AdbConnection:
        from adbutils import AdbClient

        if not self._may_start:
            socket.create_connection(("127.0.0.1", self.port), 3).close()
        connection = AdbClient("127.0.0.1", self.port).make_connection()
        call.took(connection.conn)
        return connection

    def _request(self, call: Call, service: bytes) -> AdbConnection:
        connection = self._connect(call)
        connection.conn.sendall(b"%04x" % len(service) + service)
        connection.check_okay()
        return connection

    def ask(self, service: str, call: Call | None = None) -> str:
        """The server's answer to a question (`host:…`). Raises AdbError and OSError."""
        call = call or Call()
        try:
            return str(self._request(call, service.encode("utf-8", "surrogateescape")).read_string_block())
        finally:
            call.close()

    def open(self, serial: str, service: bytes, call: Call) -> socket.socket:
        """A service of a device, connected. Raises AdbError and OSError."""
        request = b"host:tport:serial:" + serial.encode("utf-8", "surrogateescape")
        connection = self._request(call, request)
        connection.read_exact(8)  # the transport's number
        connected: socket.socket = connection.conn
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.sendall(b"%04x" % len(service) + service)
        connection.check_okay()
        return connected

    def features(self, serial: str) -> frozenset[str]:
        """What the device's daemon and the server can both do."""
        return frozenset(self.ask(f"host-serial:{serial}:features").split(",")) - {""}

    def states(self) -> dict[str, str]:
        """Serial -> state of every device."""
        return parse(self.ask("host:devices"))

    def usb_paths(self) -> dict[str, str]:
        """Serial -> where it hangs (`1-1.4.2`, as the kernel names USB devices), of the devices reached by USB."""
        return parse_usb(self.ask("host:devices-l"))

    def follow(self, call: Call) -> Iterator[dict[str, str]]:
        """The states now, and again whenever one changes, until the call is ended or the server is gone (OSError)."""
        try:
            connection = self._request(call, b"host:track-devices")
            while True:
                yield parse(connection.read_exact(int(connection.read_exact(4), 16)).decode("utf-8", "replace"))
        except EOFError as error:
            raise OSError("the adb server is gone") from error
        finally:
            call.close()


def parse(listed: str) -> dict[str, str]:
    """Serial -> state of a list of devices."""
    pairs = (line.partition("\t") for line in listed.splitlines())
    return {serial: state.strip() for serial, tab, state in pairs if tab}


def parse_usb(listed: str) -> dict[str, str]:
    """Serial -> path of the devices in a long list (`adb devices -l`) that are reached by USB."""
    found = {}
    for line in listed.splitlines():
        serial, *words = line.split() or [""]
        paths = [word.removeprefix("usb:") for word in words if word.startswith("usb:")]
        if paths:
            found[serial] = paths[0]
    return found
