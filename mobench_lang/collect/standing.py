"""Where a run stands, from its journal alone.

In: a run folder. Out: `Standing`. Guarantee: quick (no raw file is read), right also while an `exec` is at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_lang.collect.holder import RunError, holder
from mobench_lang.collect.lines import read_object, read_objects


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
    planned = int(plan.get("cells", 0)) * int(protocol.get("repeat", 1))
    last = _last(journal, int(protocol.get("repeat", 1)) if protocol.get("isolation") == "cell" else 1)
    count = {s: sum(str(r.get("status")) == s for r in last.values()) for s in ("ok", "failed", "invalid", "skipped")}
    reasons: dict[str, int] = {}
    for record in last.values():
        if record.get("status") != "ok":
            reason = str(record.get("reason") or record.get("status"))
            reasons[reason] = reasons.get(reason, 0) + 1
    pid = holder(folder)
    return Standing(
        run_id=str(header.get("run_id", folder.name)),
        bench=str(header.get("bench", "")),
        created=str(header.get("created", "")),
        state=_state(journal) if pid is None else "running",
        planned=planned,
        **count,
        left=max(planned - len(last), 0),
        launches=sum(r.get("kind") == "start" for r in journal),
        simulated=bool(header.get("simulated")),
        holder=pid,
        reasons=tuple(sorted(reasons.items())),
    )


def run_folders(runs: Path) -> list[Path]:
    """The run folders below a folder, by name."""
    if not runs.is_dir():
        return []
    return sorted(f for f in runs.iterdir() if (f / "run.json").is_file())


def _last(journal: list[dict[str, Any]], per_launch: int) -> dict[tuple[str, int], dict[str, Any]]:
    """The last word on each repetition; with one launch per cell an `end` speaks for all that it measured."""
    last: dict[tuple[str, int], dict[str, Any]] = {}
    measured: dict[tuple[str, int, int], int] = {}
    for record in journal:
        cell, rep = str(record.get("cell")), int(record.get("rep") or 0)
        key = (cell, rep, int(record.get("attempt") or 0))
        if record.get("kind") == "start":
            measured[key] = int(record.get("measured") or per_launch)
        elif record.get("kind") in ("end", "skip"):
            for i in range(measured.get(key, per_launch) if per_launch > 1 else 1):
                last[cell, rep + i] = record
    return last


def _state(journal: list[dict[str, Any]]) -> str:
    """`complete`, `partial`, `interrupted`, or `broken off` where the last exec never said that it was done."""
    for record in reversed(journal):
        if record.get("kind") == "done":
            return str(record.get("status", "interrupted"))
        if record.get("kind") == "exec":
            return "broken off"
    return "new"
