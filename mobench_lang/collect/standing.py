"""Where a run stands, from its journal alone.

In: a run folder. Out: `Standing`. Guarantee: quick (no raw file is read), right also while an `exec` is at work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_lang.collect.lines import read_object, read_objects
from mobench_lang.collect.run import RunError, is_running


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is. Counts are of repetitions: each is what its last attempt became; `left` has not been tried."""

    run_id: str
    bench: str
    created: str
    state: str
    planned: int
    ok: int
    failed: int
    invalid: int
    skipped: int
    left: int
    launches: int
    simulated: bool
    holder: int | None
    reasons: tuple[tuple[str, int], ...]


def standing(folder: Path) -> Standing:
    """Where the run in a folder stands. Raises RunError."""
    header = read_object(folder / "run.json")
    plan = read_object(folder / "plan" / "plan.json")
    if header is None or plan is None:
        raise RunError(f"{folder} is not a run folder: it has no readable run.json and plan/plan.json")
    journal, _ = read_objects(folder / "journal.jsonl")
    protocol = plan.get("protocol", {})
    repeat = 1 if protocol.get("isolation") == "cell" else int(protocol.get("repeat", 1))
    planned = int(plan.get("cells", 0)) * repeat
    last: dict[tuple[str, int], dict[str, Any]] = {}
    for record in journal:
        if record.get("kind") in ("end", "skip"):
            last[str(record.get("cell")), int(record.get("rep", 0))] = record
    count = {s: sum(str(r.get("status")) == s for r in last.values()) for s in ("ok", "failed", "invalid", "skipped")}
    reasons: dict[str, int] = {}
    for record in last.values():
        if record.get("status") != "ok":
            reason = str(record.get("reason") or record.get("status"))
            reasons[reason] = reasons.get(reason, 0) + 1
    running = is_running(folder)
    return Standing(
        run_id=str(header.get("run_id", folder.name)),
        bench=str(header.get("bench", "")),
        created=str(header.get("created", "")),
        state="running" if running else _state(journal),
        planned=planned,
        **count,
        left=max(planned - len(last), 0),
        launches=sum(r.get("kind") == "start" for r in journal),
        simulated=bool(header.get("simulated")),
        holder=_holder(folder) if running else None,
        reasons=tuple(sorted(reasons.items())),
    )


def run_folders(runs: Path) -> list[Path]:
    """The run folders below a folder, by name."""
    if not runs.is_dir():
        return []
    return sorted(f for f in runs.iterdir() if (f / "run.json").is_file())


def _state(journal: list[dict[str, Any]]) -> str:
    """`complete`, `interrupted`, or `broken off` where the last exec never said that it was done."""
    for record in reversed(journal):
        if record.get("kind") == "done":
            return str(record.get("status", "interrupted"))
        if record.get("kind") == "exec":
            return "broken off"
    return "new"


def _holder(folder: Path) -> int | None:
    try:
        value = json.loads((folder / "lock").read_text("utf-8"))
        return int(value["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
