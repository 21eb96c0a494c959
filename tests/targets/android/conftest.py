"""A virtual phone for each test that wants one, and builds of a plan for it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.android.virtual import client, root

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plan.render import render, renderer
from tests.support import plans
from tests.support.packs_path import installed
from tests.support.ready import PATIENCE_S
from tests.support.runs import Lab

SCRIPTS = ("run.sh", "restore.sh", "README.md")

UNSET = {"fixed_performance": "0", "props/power.battery_input.suspended": "false"}
"""What holds on a phone where nobody ever set it. Neither can be unset again."""


class Phone:
    """A virtual phone that is on, from a test that is not asynchronous."""

    def __init__(self, scratch: Path, wanted: str) -> None:
        self.scratch, self.wanted = scratch, wanted
        self._runner = asyncio.Runner()  # one loop: it owns the process that is the phone
        self.virtual = self._runner.run(client.simulate(wanted, scratch))
        self.root = self.virtual.folder / "root"
        self._ready = self.root / "data/local/tmp/ready"
        if not self._ready.exists():
            os.mkfifo(self._ready, 0o666)
            self._ready.chmod(0o666)
        self._pipe = os.open(self._ready, os.O_RDWR | os.O_NONBLOCK)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        return self._runner.run(self.virtual.ask(do, **more))

    def settings(self) -> dict[str, str]:
        """Everything of it that its user could notice."""
        return UNSET | self.ask("snapshot")["snapshot"]

    def wait(self) -> int:
        """Wait until an instrument says that it is under way; its pid on the phone."""
        if not select.select([self._pipe], [], [], PATIENCE_S)[0]:
            raise TimeoutError("the instrument on the phone never became ready")
        return int(os.read(self._pipe, 4096).split()[1])

    async def wait_async(self) -> int:
        return await asyncio.to_thread(self.wait)

    def carriers(self) -> list[str]:
        """The processes that a launch left on the phone."""
        left = []
        init = json.loads((self.virtual.folder / "phone.json").read_text())["init"]
        for entry in Path(f"/proc/{init}/root/proc").iterdir():
            try:
                if entry.name.isdigit() and b"MOBENCH_LAUNCH=" in (entry / "environ").read_bytes():
                    left.append(entry.name)
            except OSError:
                continue
        return left

    @property
    def address(self) -> dict[str, Any]:
        return dict(self.virtual.attributes)

    def end(self) -> None:
        os.close(self._pipe)
        self._runner.run(self.virtual.end())
        self._runner.close()


@pytest.fixture
def switch_on(tmp_path: Path) -> Iterator[Callable[[str], Phone]]:
    """Switch a virtual phone on: `switch_on("pixel:level=14")`."""
    if lacking := root.missing():
        pytest.fail(f"{', '.join(lacking)} missing: python3 .ci/setup.py tools installs the packages of the tests")
    phones: list[Phone] = []

    def on(wanted: str) -> Phone:
        phones.append(Phone(tmp_path / f"p{len(phones)}", wanted))
        return phones[-1]

    yield on
    for phone in phones:
        phone.end()
        shutil.rmtree(phone.scratch, ignore_errors=True)


@pytest.fixture
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make `fake` an engine."""
    with installed(monkeypatch):
        yield


@pytest.fixture
def lab(tmp_path: Path, fake_packs: None) -> Lab:
    """A project folder in which the fake engine is known."""
    return Lab(tmp_path)


def put_on_path(folder: Path, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stand-in the `uhubctl` of this host."""
    program = folder / "bin/uhubctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -P -m mobench_targets.android.virtual.hub "{phone.virtual.folder}" "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def condition(name: str, value: Any, *, optional: bool = False) -> PlanSetting:
    return PlanSetting(name=name, value=value, optional=optional)


def build(
    tmp_path: Path,
    phone: Phone | Mapping[str, Mapping[str, Any]],
    behave: str = "ok",
    *,
    conditions: Any = (),
    metrics: tuple[str, ...] = ("load_time",),
    **run: Any,
) -> Path:
    """A plan for one phone, or for several by their addresses, and the scripts that compile would put beside it."""
    addresses = {"phone": phone.address} if isinstance(phone, Phone) else phone
    devices = tuple(plans.entity("device", name, "android", **address) for name, address in addresses.items())
    folder = plans.build(
        tmp_path / "build", devices=devices, engines=(plans.fake(behave),), conditions=tuple(conditions),
        metrics=metrics, **run,
    )  # fmt: skip
    environment = renderer("mobench_targets.android", ("mobench_targets.shell",))
    values = {
        "bench": "hello", "cells": 1, "models": [],
        "conditions": [{"name": c.name, "value": str(c.value), "optional": c.optional} for c in conditions],
        "protocol": plans.protocol(**run).model_dump(mode="json"),
    }  # fmt: skip
    for device in devices:
        (folder / device.name).mkdir(exist_ok=True)
        named = values | {"device": {"name": device.name, "target": "android"}}
        for name in SCRIPTS:
            (folder / device.name / name).write_text(render(environment, f"{name}.j2", named))
    return folder
