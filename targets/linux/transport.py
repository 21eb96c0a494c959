"""The link to a board over SSH, on asyncssh.

In: an open connection. Out: what `mobench_targets.shell.transport.Transport` promises. A peer that falls silent is
noticed within ten seconds by keep-alive messages, which are all that crosses the link while `hold` waits. Files have a
channel each, commands share shells that stay open.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import asyncssh
from mobench_targets.linux.shells import Shells, takes
from mobench_targets.shell.transport import Progress, Ran

from mobench_lang.plugins import DeviceError

KEEPALIVE_S, KEEPALIVE_COUNT = 2, 3
"""A silent peer is lost after 2 s × 3 and the time of one more: 8 s."""
CHUNK = 1 << 20


class SshTransport:
    """One board. Commands run under `sh`, whatever the user's own shell is."""

    def __init__(self, connection: asyncssh.SSHClientConnection, name: str) -> None:
        self._connection, self._name = connection, name
        self._shells = Shells(self._shell)

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        """Run a command to its end."""
        with self._losing():
            try:
                if not takes(stdin):
                    async with asyncio.timeout(timeout):
                        return await self._alone(command, stdin)
                shell, rc, out, err = await self._shells.run(command, stdin, timeout)
            except TimeoutError:
                raise DeviceError("slow", f"{self._name} has not answered a command for {timeout:g} s") from None
            return Ran(self._status(shell) if rc is None else rc, out, err)

    async def _alone(self, command: str, stdin: bytes) -> Ran:
        """Run a command whose input is not text, on a channel of its own."""
        process = await self._start(command)
        try:
            out, err = await process.communicate(stdin)
            await process.wait_closed()
        except asyncio.CancelledError:
            process.kill()
            process.close()
            raise
        return Ran(self._status(process), _bytes(out), _bytes(err))

    async def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        """Copy a file to the board through `cat`: faster than SFTP, and a full disk is said in words."""
        with self._losing():
            process = await self._start(f"umask 077 && cat >{quote(remote)} && chmod {mode:o} {quote(remote)}")
            said = asyncio.create_task(process.stderr.read())
            sent = 0
            with local.open("rb") as file:
                try:
                    while data := await asyncio.to_thread(file.read, CHUNK):
                        process.stdin.write(data)
                        await process.stdin.drain()
                        sent += len(data)
                        if progress is not None:
                            progress(sent)
                    process.stdin.write_eof()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it ended first: its status and words tell why, or that the link is gone
            await process.wait_closed()
            words = _bytes(await said).decode("utf-8", "replace").strip()
            if self._status(process) != 0:
                code = "no_space" if "No space left" in words else "push_failed"
                raise DeviceError(code, f"{remote} cannot be written on {self._name}: {words or 'no reason given'}")

    async def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the board."""
        with self._losing():
            process = await self._start(f"cat <{quote(remote)}")
            process.stdin.write_eof()
            said = asyncio.create_task(process.stderr.read())
            with local.open("wb") as file:
                while data := await process.stdout.read(CHUNK):
                    file.write(data)
            await process.wait_closed()
            words = _bytes(await said).decode("utf-8", "replace").strip()
            if self._status(process) != 0:
                raise DeviceError("pull_failed", f"{remote} cannot be read on {self._name}: {words}")

    async def hold(self, command: str) -> int:
        """Run a command that writes nothing, and wait for its end."""
        with self._losing():
            shell, rc, _, _ = await self._shells.run(command, b"", None, spare=True)
            return self._status(shell) if rc is None else rc

    async def close(self) -> None:
        """Let the board go."""
        self._connection.close()
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(2.0):
                await self._connection.wait_closed()

    async def _shell(self) -> asyncssh.SSHClientProcess[bytes]:
        return await self._connection.create_process("exec sh", encoding=None)

    async def _start(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        return await self._connection.create_process(f"exec sh -c {quote(command)}", encoding=None)

    def _status(self, process: asyncssh.SSHClientProcess[bytes]) -> int:
        """The exit status, 128 + n for a signal; a process without either went with the link."""
        if process.exit_signal is not None:
            number = getattr(signal, f"SIG{process.exit_signal[0]}", None)
            return 128 + int(number) if number is not None else 255
        if process.exit_status is None:
            raise DeviceError("lost", f"the connection to {self._name} is gone")
        return process.exit_status

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        """Whatever says that the link is gone becomes `lost`."""
        try:
            yield
        except (asyncssh.Error, ConnectionError, EOFError, BrokenPipeError) as error:
            why = str(error) or "no reason given"
            raise DeviceError("lost", f"the connection to {self._name} is gone: {why}") from error


def _bytes(data: bytes | str | None) -> bytes:
    return data if isinstance(data, bytes) else b""
