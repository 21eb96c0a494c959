"""A device for each kind of shell and tools, the scripts as they are rendered, and launches of the fake instrument."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.shell.session import ShellSession

from mobench_lang.plan.render import render, renderer
from mobench_lang.plugins import Launch, Limits, Weights
from mobench_lang.protocol import Job, JobEngine, JobModel, JobWorkload
from tests.support.shell_link import SHELLS, FakeKind, LocalLink, tools

INSTRUMENT = Path(__file__).parents[2] / "support/packs/mobench_fake/engine/instrument.py"

VALUES: dict[str, Any] = {
    "bench": "study of `$(reboot)`\nlines",
    "device": {"name": "phone '$(reboot)'", "target": "shell"},
    "cells": 2,
    "conditions": [],
    "models": [{"key": "k1", "model": "tiny", "quant": "Q8_0", "file": "models/k1.gguf"}],
    "protocol": {
        "timeout_ns": 600_000_000_001,
        "abort_above": None,
        "max_load": None,
        "start_below": None,
        "cooldown_ns": 0,
        "gate_timeout_ns": 300_000_000_000,
    },
}


def scripts(folder: Path, **protocol: Any) -> Path:
    """A device's folder of a build, with what this protocol makes of the base templates."""
    environment = renderer("mobench_targets.shell", ())
    folder.mkdir(parents=True, exist_ok=True)
    values = VALUES | {"protocol": VALUES["protocol"] | protocol}
    for name in ("run.sh", "restore.sh", "README.md"):
        (folder / name).write_text(render(environment, f"shell_{name}.j2", values))
    return folder


class Box:
    """One device: its folder, its tools, and sessions with it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.root = self.home / "it's $(reboot) here"
        self.shell = kind
        self.path = tools(kind, folder / "bin")
        self.scripts = scripts(folder / "scripts")
        self.kind = FakeKind(str(self.root))
        self.links: list[LocalLink] = []
        self.env: dict[str, str] = {}

    @property
    def link(self) -> LocalLink:
        return self.links[-1]

    def session(self, **options: Any) -> ShellSession:
        """A session over a link of its own."""
        self.links.append(LocalLink(self.home, self.path, dict(self.env)))
        return ShellSession(self.link, self.kind, self.scripts, **options)

    def weights(self, data: bytes, name: str = "model.gguf") -> Weights:
        path = self.folder / name
        path.write_bytes(data)
        return Weights(path, hashlib.sha256(data).hexdigest(), len(data), "made")

    def trial(self, name: str) -> Path:
        folder = self.folder / "runs" / name
        folder.mkdir(parents=True)
        return folder

    def carriers(self) -> list[int]:
        """Processes of this machine that run something in this device's folder."""
        mine = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mine in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]


@pytest.fixture(params=SHELLS)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    return Box(tmp_path, request.param)


@pytest.fixture
def fake_launch() -> Launch:
    return Launch((sys.executable, "-I", "-S", str(INSTRUMENT), "{job}", "{events}"), {"FAKE": "it's $(reboot)"})


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job() -> MakeJob:
    def make(behave: str = "ok", attempt: int = 0) -> Job:
        return Job(
            job_id=f"run/cell/r0a{attempt}",
            model=JobModel(path="/nowhere", sha256="1" * 64),
            engine=JobEngine(name="fake", threads=1, extra={"behave": behave}),
            workload=JobWorkload(prompt_tokens=1, output_tokens=1),
        )

    return make


LIMITS = Limits(60_000_000_000)
