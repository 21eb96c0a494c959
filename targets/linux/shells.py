"""Commands on a shell that stays, instead of one that is started for each of them.

In: what opens a process of `sh` on the board. Out: what a command came to. Guarantee: a command is a process of its
own, so nothing of it stays in the shell; several at once have a shell each; a shell whose command did not end is not
used again. A shell that waits costs the board nothing, while a new one costs what the user's login shell reads first
(`.bashrc` with all that people put there: 100 ms are usual), and that beside a launch.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from shlex import quote
from typing import TypeAlias

import asyncssh

CHUNK = 1 << 16
KILL_S = 5.0

Process: TypeAlias = "asyncssh.SSHClientProcess[bytes]"

_GROUP = 'read -r stat <"/proc/$PPID/stat" && set -- ${stat##*) } && echo "$3"'
"""The process group of the shell, which is that of its commands, too."""


def takes(stdin: bytes) -> bool:
    """Whether a shell can hand this to a command as its input: lines of text."""
    return b"\0" not in stdin and (not stdin or stdin.endswith(b"\n"))


@dataclass(slots=True)
class Shell:
    """One shell; `group` is its process group on the board, 0 where /proc does not say."""

    process: Process
    group: int = 0


class Shells:
    """The shells of one connection: those that wait, and those that are at work."""

    def __init__(self, opened: Callable[[], Awaitable[Process]]) -> None:
        self._open = opened
        self._waiting: list[Shell] = []

    async def run(
        self, command: str, stdin: bytes, timeout: float | None, *, spare: bool = False
    ) -> tuple[Process, int | None, bytes, bytes]:
        """Run a command to its end: the process of the shell, the exit status (None where the shell ended first), both
        outputs. Raises TimeoutError, and ends the command then. One that is given up with `spare` is let be."""
        shell = self._waiting.pop() if self._waiting else await self._begin()
        try:
            async with asyncio.timeout(timeout):
                rc, out, err = await _told(shell.process, command, stdin)
        except BaseException as error:
            with contextlib.suppress(OSError):  # the connection is gone, and with it the shell
                shell.process.stdin.write_eof()
            if not spare and isinstance(error, TimeoutError):
                await self._end(shell)
            raise
        if rc is None:
            await shell.process.wait_closed()
        else:
            self._waiting.append(shell)
        return shell.process, rc, out, err

    async def _begin(self) -> Shell:
        """A new shell, which has said whatever the login shell's files make it say."""
        shell = Shell(await self._open())
        rc, said, _ = await _told(shell.process, _GROUP, b"")
        if rc == 0 and said.strip().isdigit():
            shell.group = int(said)
        return shell

    async def _end(self, shell: Shell) -> None:
        """End a shell and its command: by another one, since many servers take no signals."""
        if shell.group > 1:
            with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
                await self.run(f"kill -KILL -{shell.group}", b"", KILL_S, spare=True)
        shell.process.close()


async def _told(process: Process, command: str, stdin: bytes) -> tuple[int | None, bytes, bytes]:
    mark = secrets.token_hex(16)
    process.stdin.write(_script(command, stdin, mark))
    end = f"\n{mark}".encode()
    (out, said), (err, _) = await asyncio.gather(_until(process.stdout, end), _until(process.stderr, end))
    return None if said is None else int(said), out, err


def _script(command: str, stdin: bytes, mark: str) -> bytes:
    """What the shell reads for a command. It ends its outputs with the mark, the exit status behind that of stdout."""
    here = f" <<'{mark}'\n".encode() + stdin + mark.encode() if stdin else b" </dev/null"
    end = f"\nprintf '\\n{mark}%d\\n' $?; printf '\\n{mark}\\n' >&2\n"
    return f"sh -c {quote(command)}".encode() + here + end.encode()


async def _until(reader: asyncssh.SSHReader[bytes], mark: bytes) -> tuple[bytes, bytes | None]:
    """What comes before a mark, and the rest of its line; None for that where the end comes first."""
    data = bytearray()
    while True:
        at = data.find(mark, max(0, len(data) - CHUNK - len(mark)))
        if at >= 0 and data.endswith(b"\n"):
            return bytes(data[:at]), bytes(data[at + len(mark) : -1])
        more = await reader.read(CHUNK)
        if not more:
            return bytes(data), None
        data += more
