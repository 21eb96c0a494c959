"""Fixtures of the engine tests: a tiny random model and a way to run the worker as the executor does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mobench_lang.protocol import Event

pytest.importorskip("gguf", reason="the tests make their models with the gguf package")

EVENT: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass
class Ran:
    """What a worker left behind."""

    status: int
    events: list[Event]
    raw: bytes
    stderr: str

    def all(self, kind: str) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if event.e == kind]

    def requests(self, number: int | None = None) -> list[Any]:
        """The requests of a pass (of all)."""
        return [r for r in self.all("request") if number is None or r.pass_ == number]

    @property
    def fault(self) -> tuple[str, str]:
        """Code and message of the only error."""
        (error,) = self.all("error")
        return error.code, error.message


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _cache(_folder: Path) -> Iterator[None]:
    """A cache of these tests, and of no others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBENCH_CACHE", str(_folder))
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of 1.4 M parameters in F16."""
    from tests.support.gguf_maker import make

    return make(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def run(tmp_path: Path, tiny: Path) -> Run:
    """Run the worker on a job: `run(prompt_tokens=8, output_tokens=4, engine={"threads": 1})`.

    Keywords of the job itself (`warmup`, `model`, `scores`, …) go there, all others into the workload.
    """

    def launch(*, events: str | None = None, limit: Callable[[], None] | None = None, **given: Any) -> Ran:
        path = tmp_path / "events.jsonl"
        job_file = tmp_path / "job.json"
        job_file.write_text(json.dumps(job(tiny, **given)))
        done = subprocess.run(
            [*WORKER, str(job_file), events or str(path)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            preexec_fn=limit,
        )
        raw = path.read_bytes() if path.exists() else b""
        return Ran(done.returncode, [EVENT.validate_json(line) for line in raw.splitlines()], raw, done.stderr)

    return launch


WORKER = [sys.executable, "-m", "mobench_lang.engines.llama_cpp.worker"]


def job(weights: Path, **given: Any) -> dict[str, Any]:
    """A job as JSON data, one thread unless the engine says otherwise."""
    top: dict[str, Any] = {"version": 1, "job_id": "test", "model": {"path": str(weights)}, "seed": 7}
    for key in ("version", "job_id", "seed", "warmup", "measured", "affinity", "keep_text", "scores", "surprise"):
        if key in given:
            top[key] = given.pop(key)
    top["model"] |= given.pop("model", {})
    top["engine"] = {"name": "llama_cpp", "threads": 1} | given.pop("engine", {})
    if given:
        top["workload"] = given
    return top
