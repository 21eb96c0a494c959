"""The link to a device with a POSIX shell: commands, files, and waiting without a word.

In: nothing but what a target's `open` was given. Out: exit statuses, bytes, files. Guarantee, kept by every transport:
a link that is gone is `DeviceError("lost")`, whatever was under way and however the library beneath says it; a command
that ended is never mistaken for a link that did; nothing is sent while `hold` waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Told how many bytes are over so far."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to: its exit status (128 + n for a signal n), and what it wrote."""

    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it wrote to stdout, as text without the last line end."""
        return self.stdout.decode("utf-8", "replace").rstrip("\r\n")

    @property
    def fault(self) -> str:
        """The last line of stderr, or the exit status: for a message."""
        last = self.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        return last or f"exit status {self.rc}"


class Transport(Protocol):
    """A link to one device. Commands are texts for the device's own shell (mksh, dash, ash, bash): whoever makes one
    quotes its values with `shlex.quote`. Several may run at once. A lost link raises DeviceError("lost") from all."""

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        """Run a command to its end, with `stdin` (then end of file) as its input; both outputs are kept whole.

        After `timeout` seconds without an end: DeviceError("slow"), and the command is ended where the link can do so.
        """

    async def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        """Copy a file to the device, over what is there. It may be torn when this raises: the store renames.

        Raises DeviceError("no_space") where the device says so, DeviceError("push_failed") with its words for the rest.
        """

    async def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device, over what is there; torn when this raises. DeviceError("pull_failed") where the
        device has no such file or refuses."""

    async def hold(self, command: str) -> int:
        """Run a command that writes nothing, and wait for its end: the exit status. Until then no byte crosses the link
        in either direction on behalf of mobench, beyond what the link itself needs to notice that it is dead.
        Cancelled, it lets the command be."""

    async def close(self) -> None:
        """Let the link go; what was started detached goes on. May be called twice, and on a lost link."""
