"""What mobench itself costs per trial on this machine, outside engine start, load and measured windows (limit 100 ms).

Usage: python benchmarks/host_cost.py [MODEL.gguf [REPEAT [ENGINE]]]. Writes benchmarks/results/host_cost.json. A plan
of one cell is executed through the public face. Per trial two figures are taken: `overhead_ms` from the journal
(folders, state, sampler, teardown, flushing), and `between_ms`, the time from one `end` record to the next on the
wall clock less the engine's process, start to last window, which also holds the schedule, the gate without limits and
the record itself. Engine start is reported on its own; load is in the events.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from mobench_targets.local import facts

from mobench_lang.execute import Options, execute
from mobench_lang.ir import Entity, Order
from mobench_lang.plan.digest import canonical_json, plan_digest
from mobench_lang.plan.model import Plan, PlanArtifact, PlanAxis, PlanProtocol

TINY = Path(__file__).resolve().parent.parent / "specs" / "std" / "tiny" / "tiny-f16.gguf"


def axis(name: str, value: Entity) -> PlanAxis:
    return PlanAxis(name=name, type=name, values=(value,), labels=(value.name,))


def plan(model: Path, repeat: int, engine: str) -> tuple[Plan, bytes]:
    """A plan of one cell and its cells.jsonl."""
    lines = canonical_json({"id": "cell", "v": (0, 0, 0, 0)}) + b"\n"
    work = (("output", 16), ("prompt", 64))
    found = Plan(
        edition=1,
        bench="host_cost",
        axes=(
            axis("model", Entity(kind="model", name="model", base="model")),
            axis("engine", Entity(kind="engine", name=engine, base=engine, pack=engine)),
            axis("device", Entity(kind="device", name="local", base="local", pack="local")),
            axis("workload", Entity(kind="workload", name="w", base="w", attrs=work)),
        ),
        protocol=PlanProtocol(
            warmup=1,
            repeat=repeat,
            timeout_ns=60_000_000_000,
            retries=0,
            order=Order.RANDOMIZED,
            isolation="trial",
            seed=1,
            start_below=None,
            abort_above=None,
            cooldown_ns=0,
            gate_timeout_ns=0,
            max_load=None,
        ),
        conditions=(),
        metrics=(),
        expectations=(),
        artifacts=(PlanArtifact(key="model", model="model", quant=None, source="path", location=str(model.resolve())),),
        skipped=(),
        cells=1,
        cells_sha256=hashlib.sha256(lines).hexdigest(),
        packs=(),
        files=(),
        digest="",
    )
    return found.model_copy(update={"digest": plan_digest(found)}), lines


def measure(model: Path, repeat: int, engine: str) -> list[dict[str, float]]:
    """The figures of each trial, in ms."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # the disk that a project would use, not a tmpfs
        folder = Path(name)
        build = folder / "build"
        build.mkdir()
        document, cells = plan(model, repeat, engine)
        (build / "plan.json").write_bytes(canonical_json(document))
        (build / "cells.jsonl").write_bytes(cells)
        options = Options(cache=folder / "cache")
        result = asyncio.run(execute(build, folder / "runs", options, lambda _: None))
        assert result.folder is not None
        records = [json.loads(line) for line in (result.folder / "journal.jsonl").read_text().splitlines()]
        ends = [r for r in records if r["kind"] == "end"]
        starts = [r for r in records if r["kind"] == "start"]
        assert all(end["status"] == "ok" for end in ends), ends
        return [row(result.folder, *pair) for pair in zip(starts, ends, ends[1:], strict=False)]


def row(folder: Path, _: dict[str, Any], last: dict[str, Any], end: dict[str, Any]) -> dict[str, float]:
    """One trial (the one that ends with `end`), measured from the end before."""
    events = folder / "trials" / "local" / end["cell"] / f"r{end['rep']}a0" / "events.jsonl"
    found = [json.loads(line) for line in events.read_text().splitlines()]
    load = next(e for e in found if e["e"] == "phase" and e["name"] == "load")
    active = max(e["end"] for e in found if e["e"] == "pass") - load["start"]
    return {
        "overhead_ms": end["overhead_ns"] / 1e6,
        "between_ms": (end["t"] - last["t"] - end["engine_start_ns"] - active) / 1e6,
        "engine_start_ms": end["engine_start_ns"] / 1e6,
        "load_ms": (load["end"] - load["start"]) / 1e6,
    }


def main(arguments: list[str]) -> int:
    """Measure, write, and say whether the limit holds."""
    model = Path(arguments[0]) if arguments else TINY
    repeat = int(arguments[1]) if len(arguments) > 1 else 21
    engine = arguments[2] if len(arguments) > 2 else "llama_cpp"
    rows = measure(model, repeat, engine)
    summary = {
        key: {
            "median": round(statistics.median(r[key] for r in rows), 2),
            "min": round(min(r[key] for r in rows), 2),
            "max": round(max(r[key] for r in rows), 2),
        }
        for key in rows[0]
    }
    machine = facts.facts()
    result = {
        "limit": {"between_ms": 100},
        "engine": engine,
        "trials": len(rows),
        "machine": {key: machine[key] for key in ("cpu", "cores", "kernel", "virtualised")},
        "load_1min": facts.state()["load_1min"],
        "summary": summary,
    }
    path = Path(__file__).parent / "results" / "host_cost.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 0 if summary["between_ms"]["median"] <= 100 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
