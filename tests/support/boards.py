"""Virtual boards for tests: `with board(tmp_path, "orin-nano") as found:`; a story runs with it in one event loop."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mobench_targets.jetson.board import Jetson
from mobench_targets.linux.board import Board
from mobench_targets.linux.connect import Address, connect
from mobench_targets.linux.transport import SshTransport
from mobench_targets.linux.virtual import VirtualBoard
from mobench_targets.shell.session import ShellSession

from mobench_lang.plan.render import render, renderer
from mobench_lang.plugins import DeviceError

VALUES = {
    "bench": "study of `$(reboot)`\nlines",
    "device": {"name": "board '$(reboot)'", "target": "jetson"},
    "cells": 1,
    "conditions": [],
    "models": [{"key": "k1", "model": "tiny", "quant": "Q8_0", "file": "models/k1.gguf"}],
    "protocol": {
        "timeout_ns": 600_000_000_001, "abort_above": None, "start_below": None, "max_load": None, "cooldown_ns": 0,
        "gate_timeout_ns": 300_000_000_000,
    },
}  # fmt: skip
FROM = {"jetson": ("mobench_targets.linux", "mobench_targets.shell"), "linux": ("mobench_targets.shell",)}


def scripts(folder: Path, target: str = "jetson") -> Path:
    """What `compile` renders for a board."""
    environment = renderer(f"mobench_targets.{target}", FROM[target])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.sh", "restore.sh", "board.sh", "README.md"):
        (folder / name).write_text(render(environment, f"{name}.j2", VALUES))
    return folder


def where(board: VirtualBoard) -> Address:
    """Its address."""
    return Address(str(board.attributes["host"]), config=str(board.attributes["ssh_config"]))


async def link(board: VirtualBoard) -> SshTransport:
    """A connection with it."""
    return await connect(where(board))


async def session(board: VirtualBoard, folder: Path) -> ShellSession:
    """A session with it, over a connection of its own."""
    jetson = board.profile.release is not None
    made = scripts(folder / "scripts", "jetson" if jetson else "linux")
    return ShellSession(await link(board), (Jetson if jetson else Board)(made), made)


def story(tmp_path: Path, profile: str, told: Callable[[VirtualBoard], Awaitable[None]]) -> None:
    """Run a story with a virtual board, which is ended whatever happens."""
    if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.fail("sshd is missing: python3 .ci/setup.py tools installs the packages of the tests")

    async def whole() -> None:
        board = await VirtualBoard.begin(profile, tmp_path / "scratch")
        try:
            await asyncio.wait_for(_run(told, board), 60)
        finally:
            await board.end()

    asyncio.run(whole())


async def _run(told: Callable[[VirtualBoard], Awaitable[None]], board: VirtualBoard) -> None:
    await told(board)


async def code(work: Awaitable[object]) -> str:
    """The code of the DeviceError that some work ends with."""
    with pytest.raises(DeviceError) as raised:
        await work
    return raised.value.code
