"""A project in a folder of its own with a stand-in hub, and the command line in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mobench_lang.cli.main import main
from mobench_lang.execute.load import load
from mobench_lang.plan.model import PlanArtifact
from tests.support.hub_server import Hub, serve

FILES = {"README.md": b"# m", "m-f16.gguf": b"f" * 3000, "m-Q8_0.gguf": b"q" * 2000, "mmproj-f16.gguf": b"x"}

MODEL = """model m {
  source = hf("org/m")
}
"""

BENCH = """bench b {{
  matrix {{
    model in [{models}]
    quant in [{quants}]
  }}
  engine   = llama_cpp
  device   = {device}
  workload = generate(prompt = 8, output = 4)
}}
"""


def spec(
    models: str = MODEL, quants: str = "F16, Q8_0", *, names: str = "m", before: str = "", device: str = "local"
) -> str:
    """A spec with one bench over models and quants."""
    return f"mobench 1\n\n{before}{models}\n{BENCH.format(models=names, quants=quants, device=device)}"


@dataclass
class Project:
    """A project folder, the hub it asks, and the command line called from the folder."""

    root: Path
    hub: Hub

    def write(self, name: str = "b.bench", text: str | None = None) -> Path:
        """A spec in the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(spec() if text is None else text, "utf-8")
        return path

    def run(self, *arguments: str, status: int = 0) -> Result:
        """A verb that ends with a status, and never with a traceback."""
        result = CliRunner().invoke(main, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert result.exit_code == status, result.output
        return result

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.root / "mobench.lock"

    def hub_entries(self) -> dict[str, Any]:
        """The hub's entries of the lock by quant."""
        return {e.get("quant", ""): e for e in json.loads(self.lock.read_text("utf-8"))["hub"]}

    def artifacts(self, *compile_with: str) -> dict[str | None, PlanArtifact]:
        """The artefacts of the one spec's plan by quant, compiled without asking the hub."""
        count = len(self.hub.seen)
        self.run("compile", *compile_with)
        assert len(self.hub.seen) == count
        build = load(self.root / "build")
        build.close()
        return {a.quant: a for a in build.plan.artifacts}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose one spec is `b.bench`; the hub is a local stand-in."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("mobench_lang.engines.llama_cpp.hub.time.sleep", lambda _: None)
    monkeypatch.setenv("MOBENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    monkeypatch.chdir(root)
    with serve(Hub({"org/m": dict(FILES)})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        made = Project(root, hub)
        made.write()
        yield made
