"""The link to a phone over adb, as targets with a shell use it.

In: an adb server, a serial (or host:port). Out: commands, files, states, in coroutines. What blocks runs in threads of
the phone's own and are ended by closing their sockets. Guarantee: a phone that is gone is DeviceError("lost") from
whatever was under way; a cancelled call leaves nothing that still talks to the phone.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeVar

from mobench_targets.android import commands
from mobench_targets.android.link import Call, Server, losses, lost, unusable
from mobench_targets.android.sync import Sync, open_new
from mobench_targets.shell.transport import Progress, Ran

from mobench_lang.plugins import DeviceError

T = TypeVar("T")

AT_ONCE = 4
"""Threads of a phone: a command that waits, and others beside it."""


class AdbTransport:
    """A link to one phone; see `mobench_targets.shell.transport.Transport`."""

    def __init__(self, server: Server, serial: str) -> None:
        self.server, self.serial = server, serial
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"adb {serial}")
        self._calls: set[Call] = set()
        self._features: frozenset[str] | None = None
        self._closed = False

    async def _blocking(self, work: Callable[[Call], T], timeout: float | None = None) -> T:
        """Do something that blocks in a thread; end it when the time is over or nobody wants it any more."""
        if self._closed:
            raise lost(self.serial, "the link was closed")
        call = Call()
        self._calls.add(call)

        def guarded() -> T:
            with losses(self.serial):
                try:
                    return work(call)
                finally:
                    call.close()

        future = asyncio.get_running_loop().run_in_executor(self._threads, guarded)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise DeviceError("slow", f"{self.serial} did not come to an end within {timeout:g} s") from error
        finally:
            if not future.done():
                call.end()
                with suppress(DeviceError):
                    await future
            self._calls.discard(call)

    async def features(self) -> frozenset[str]:
        """What the phone's daemon can do; asked once."""
        if self._features is None:
            self._features = await self._blocking(lambda _: self.server.features(self.serial), 20)
        return self._features

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        """Run a command to its end."""
        if "shell_v2" in await self.features():
            request = commands.service(command, framed=True)

            def framed(call: Call) -> Ran:
                return Ran(*commands.converse(self.server.open(self.serial, request, call), stdin))

            return await self._blocking(framed, timeout)
        return await self._run_old(command, stdin, timeout)

    async def _run_old(self, command: str, stdin: bytes, timeout: float | None) -> Ran:
        token = secrets.token_hex(12)
        source = f"/data/local/tmp/.mobench-{token}.in" if stdin else None
        request = commands.service(commands.wrapped(command, token, source), framed=False)

        def plain(call: Call) -> Ran:
            return Ran(*commands.unwrapped(commands.drain(self.server.open(self.serial, request, call)), token))

        if source is None:
            return await self._blocking(plain, timeout)
        await self._blocking(lambda call: self._send_bytes(call, stdin, source))
        try:
            return await self._blocking(plain, timeout)
        finally:
            with suppress(DeviceError):
                await self._run_old(f"rm -f {shlex.quote(source)}", b"", 20)

    def _send_bytes(self, call: Call, data: bytes, remote: str) -> None:
        import tempfile

        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(data)
            file.seek(0)
            self._sync(call).send(file, remote.encode(), 0o600, None)

    def _sync(self, call: Call) -> Sync:
        return Sync(self.server.open(self.serial, b"sync:", call))

    async def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        """Copy a file to the phone, over what is there."""
        new = "stat_v2" in await self.features()
        path = remote.encode("utf-8", "surrogateescape")
        loop = asyncio.get_running_loop()

        def tell(sent: int) -> None:
            if progress is not None:
                loop.call_soon_threadsafe(progress, sent)

        def send(call: Call) -> None:
            with local.open("rb", buffering=0) as file:
                sync = self._sync(call)
                sent = sync.send(file, path, mode, tell if progress is not None else None)
                there = sync.size(path, new=new)
            if there != (sent if new else sent & 0xFFFFFFFF):
                raise DeviceError("push_failed", f"{remote!r} has {there} bytes on {self.serial} instead of {sent}")

        await self._blocking(send)

    async def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the phone; `local` is replaced when it is whole."""
        part = local.with_name(f".{local.name[:200]}.{secrets.token_hex(6)}")

        def receive(call: Call) -> None:
            try:
                with open_new(part) as file:
                    self._sync(call).receive(remote.encode("utf-8", "surrogateescape"), file)
                part.replace(local)
            finally:
                part.unlink(missing_ok=True)

        await self._blocking(receive)

    async def hold(self, command: str) -> int:
        """Run a command that writes nothing and wait for its end; cancelled, it lets the command be."""
        return (await self.run(f"trap '' HUP; {command}", timeout=None)).rc

    async def close(self) -> None:
        """Let the link go."""
        self._closed = True
        for call in list(self._calls):
            call.end()
        self._threads.shutdown(wait=False)


# ---------------------------------------------------------------- which devices there are


async def states(server: Server) -> AsyncGenerator[dict[str, str], None]:
    """Serial -> state of every device, now and whenever one changes. Raises DeviceError("lost") with the server."""
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[dict[str, str] | BaseException] = asyncio.Queue()
    call = Call()

    def follow() -> None:
        try:
            with losses("the adb server"):
                for now in server.follow(call):
                    loop.call_soon_threadsafe(found.put_nowait, now)
        except DeviceError as error:
            with suppress(RuntimeError):  # the loop is closed: nobody wants to know
                loop.call_soon_threadsafe(found.put_nowait, error)

    following = loop.run_in_executor(None, follow)
    try:
        while True:
            now = await found.get()
            if isinstance(now, BaseException):
                raise now
            yield now
    finally:
        call.end()
        await following


async def ready(server: Server, serial: str, timeout: float) -> None:
    """Wait until a device is in the state `device`. DeviceError says in what other state it stayed."""
    state = ""
    try:
        async with asyncio.timeout(timeout), aclosing(states(server)) as all_states:
            async for now in all_states:
                state = now.get(serial, "")
                if state == "device":
                    return
    except TimeoutError:
        pass  # the last state says why
    if state:
        raise unusable(serial, state)
    raise DeviceError("not_found", f"adb knows no device {serial}: `adb devices` lists those that it does")


async def connect(server: Server, serial: str, timeout: float = 10.0) -> AdbTransport:
    """The link to a device that is there or can be reached at host:port. DeviceError says why not.

    A server keeps a network device as `already connected` although it is offline, so that is ended first; and one whose
    link just broke it forgets a moment after it said so, so it is asked again as long as there is time.
    """
    host, colon, port = serial.rpartition(":")
    known = (await asyncio.to_thread(_states, server, serial)).get(serial)
    if colon and host and port.isdigit() and known != "device":
        until = time.monotonic() + timeout
        while True:
            await _connect(server, serial, offline=known == "offline")
            left = until - time.monotonic()
            try:
                await ready(server, serial, min(left, 1.0))
                break
            except DeviceError as error:
                if error.code not in ("not_found", "offline") or left < 1.0:
                    raise
            known = (await asyncio.to_thread(_states, server, serial)).get(serial)
    elif known != "device":
        await ready(server, serial, timeout if known in {"connecting", "authorizing", "offline"} else 0.5)
    return AdbTransport(server, serial)


async def _connect(server: Server, serial: str, *, offline: bool) -> None:
    """Let the server connect to a network device. Raises DeviceError with what it says of one that it cannot reach."""

    def ask(service: str) -> str:
        with losses(serial):
            return server.ask(service)

    if offline:
        with suppress(DeviceError):
            await asyncio.to_thread(ask, f"host:disconnect:{serial}")
    said = await asyncio.to_thread(ask, f"host:connect:{serial}")
    if not said.startswith(("connected to", "already connected")):
        state = (await asyncio.to_thread(_states, server, serial)).get(serial)
        if "authenticate" in said or state in ("unauthorized", "authorizing"):
            raise unusable(serial, "unauthorized")
        raise DeviceError("not_found", f"{serial} cannot be reached: {said.strip()}; is wireless debugging on?")


def _states(server: Server, serial: str) -> dict[str, str]:
    with losses(serial):
        try:
            return server.states()
        except ConnectionRefusedError as error:
            raise lost(serial, f"no adb server listens on port {server.port}") from error
