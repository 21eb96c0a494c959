"""Running builds in tests, through the public face: `run = Lab(tmp_path).exec(build)`, then what the journal says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobench_lang.execute import Options, RunResult, execute
from mobench_lang.execute.progress import Progress


class Lab:
    """A project folder with its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.progress: list[Progress] = []

    def exec(self, build: Path, **options: Any) -> RunResult:
        """Run a build to its end."""
        return asyncio.run(self.exec_async(build, None, **options))

    async def exec_async(self, build: Path, stop: asyncio.Event | None, **options: Any) -> RunResult:
        """Run a build inside a test's own event loop."""
        options.setdefault("cache", self.folder / "cache")
        return await execute(build, self.runs, Options(**options), self.progress.append, stop)

    def folders(self) -> list[Path]:
        """All run folders, oldest first."""
        found = [path.parent for path in self.runs.glob("*/run.json")]
        return sorted(found, key=lambda f: json.loads((f / "run.json").read_text())["created_ns"])

    def said(self, kind: type) -> list[Any]:
        """The progress records of a kind so far."""
        return [item for item in self.progress if isinstance(item, kind)]


def journal(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """The records of a run, of all or some kinds."""
    return [r for r in _lines(folder / "journal.jsonl") if not kinds or r["kind"] in kinds]


def events(folder: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of the launch that a `start` record began."""
    return list(_lines(folder / record["folder"] / "events.jsonl"))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)
