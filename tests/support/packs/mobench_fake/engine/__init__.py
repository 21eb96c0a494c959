"""The fake engine: its instrument is `instrument.py`; weights are the file that the artefact names."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanArtifact
from mobench_lang.plugins import ArtifactError, Launch, PlatformError, Weights


class FakeEngine:
    name = "fake"

    def build(self, platform: str) -> str:
        build = os.environ.get("FAKE_ENGINE_BUILD", "fake 1")
        if build == "none":
            raise PlatformError("the fake engine is not installed; install it")
        return build

    def obtain(self, artifact: PlanArtifact, cache: Path) -> Weights:
        path = Path(artifact.location)
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; put it there")
        return Weights(path, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, "found")

    def launch(self, platform: str, engine: Entity) -> Launch:
        instrument = Path(__file__).with_name("instrument.py")
        if platform.startswith("linux-") and "FAKE_RUNNER" in os.environ:
            runner = Path(os.environ["FAKE_RUNNER"])
            digest = hashlib.sha256(runner.read_bytes()).hexdigest()
            file = Weights(runner, digest, runner.stat().st_size, "a program")
            return Launch(("{runner}", "{job}", "{events}"), {}, {"runner": file})
        if platform == "host" or platform.startswith("linux-"):
            ready = {name: os.environ[name] for name in ("FAKE_READY",) if name in os.environ}  # a board has not ours
            return Launch((sys.executable, "-I", "-S", str(instrument), "{job}", "{events}"), {"FAKE": "1", **ready})
        if platform.startswith("android-"):
            script = Path(__file__).with_name("instrument.sh")
            data = script.read_bytes()
            file = Weights(script, hashlib.sha256(data).hexdigest(), len(data), "a script of the phone's shell")
            return Launch(("sh", "{instrument}", "{job}", "{events}"), {}, {"instrument": file})
        if platform != "fake-cpu":
            raise PlatformError(f"the fake engine does not run on {platform}")
        program = Weights(instrument, "0" * 64, instrument.stat().st_size, "a program")
        return Launch(("{runner}", "{job}", "{events}"), {}, {"runner": program})


engine = FakeEngine()
