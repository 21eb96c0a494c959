"""Run folders made by hand: what a test of collect, store or judge starts from.

`RunFolder` writes what `exec` would have written, byte for byte in the shapes of docs/run-folder.md and protocol.py,
without running anything. Times are chosen so that every metric is a round number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from mobench_lang.ir import Comparison, Const, Entity, Metric, Order, Value
from mobench_lang.plan.model import Plan, PlanArtifact, PlanAxis, PlanExpectation, PlanProtocol

MS = 1_000_000
S = 1_000 * MS


def entity(kind: str, name: str, **attrs: Value) -> Entity:
    """A declared thing."""
    return Entity(kind=kind, name=name, base=name, attrs=tuple(sorted(attrs.items())))


def default_axes(quants: Sequence[str] = ("Q8_0", "Q4_0"), **free: Sequence[int]) -> tuple[PlanAxis, ...]:
    """model, quant, engine, device, workload, and free integer axes."""
    things = {
        "model": entity("model", "tiny", params=1000),
        "engine": entity("engine", "llama_cpp", threads=2),
        "device": entity("device", "local", target="local"),
        "workload": entity("workload", "chat", prompt=8, output=4),
    }
    axes = [PlanAxis(name=k, type=k, values=(v,), labels=(v.name,)) for k, v in things.items()]
    axes.insert(1, PlanAxis(name="quant", type="quant", values=tuple(quants), labels=tuple(quants)))
    axes += [PlanAxis(name=k, type="int", values=tuple(v), labels=tuple(map(str, v))) for k, v in free.items()]
    return tuple(axes)


def expectation(claim: Any, severity: Any = "expect", **fields: Any) -> PlanExpectation:
    """An expectation about every cell, as one verdict row."""
    given = {"text": "claim", "where": "", "reads": (), "true": None, "per": ()}
    return PlanExpectation(severity=severity, claim=claim, **{**given, **fields})


def above(aggregate: Any, bound: float, op: Any = ">=", unit: str = "tok/s") -> Comparison:
    """`aggregate >= bound`."""
    return Comparison(op=op, left=aggregate, right=Const(value=Decimal(str(bound)), unit=unit))


@dataclass
class Passes:
    """What the instrument says of one launch: defaults give ttft 10 ms, prefill 800 tok/s, decode 100 tok/s."""

    warmup: int = 1
    measured: int = 1
    gap: int = 10 * MS
    output: int = 4
    prompt: int = 8
    jitter: Sequence[int] = ()
    begin: int = 1 * S
    text: str | None = "na"
    requests: int = 1
    events: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> list[dict[str, Any]]:
        """The events, complete."""
        t = self.begin
        events: list[dict[str, Any]] = [
            {
                "e": "start",
                "version": 1,
                "t": t,
                "wall_ns": 1_700_000_000 * S,
                "pid": 7,
                "job_id": "j",
                "instrument": "test",
                "build": "b1",
            },
            {"e": "phase", "pass": -1, "request": -1, "name": "load", "start": t, "end": t + 50 * MS},
            USED | {"t": t + 50 * MS},
            {"e": "memory", "t": t + 50 * MS, "pass": -1, "phase": "load", "method": "VmHWM", "bytes": 1000},
        ]
        t += 100 * MS
        for number in range(self.warmup + self.measured):
            events += self._one(number, t)
            t = events[-1]["end"] + 100 * MS
        return [*events, *self.events, {"e": "end", "t": t, "status": "ok"}]

    def _one(self, number: int, t: int) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        start = t
        for request in range(self.requests):
            accepted, prefill_end = t, t + 10 * MS
            stamps = [
                prefill_end + i * self.gap + (self.jitter[i] if i < len(self.jitter) else 0) for i in range(self.output)
            ]
            end = stamps[-1] if stamps else prefill_end
            at = {"pass": number, "request": request}
            events += [
                {"e": "phase", **at, "name": "prefill", "start": accepted, "end": prefill_end},
                {"e": "phase", **at, "name": "decode", "start": prefill_end, "end": end},
                {
                    "e": "request",
                    **at,
                    "conversation": None if self.text is None else "c0",
                    "turn": 0,
                    "accepted": accepted,
                    "prefill_start": accepted,
                    "prefill_end": prefill_end,
                    "prompt_tokens": self.prompt,
                    "cached_tokens": 0,
                    "output_tokens": self.output,
                    "prompt_chars": None if self.text is None else 16,
                    "output_chars": None if self.text is None else 12,
                    "stamps": stamps,
                    "tokens": list(range(self.output)),
                    "text": self.text,
                    "finish": "length",
                },
            ]
            t = end
        mark = {"e": "memory", "t": t, "pass": number, "phase": "decode", "method": "VmHWM", "bytes": 2000 + number}
        done = {
            "e": "pass",
            "pass": number,
            "warmup": number < self.warmup,
            "start": start,
            "end": t,
            "cpu_ns": t - start,
        }
        return [*events, mark, done]


USED: dict[str, Any] = {
    "e": "used",
    "engine": "llama_cpp",
    "build": "b1 (abc)",
    "backend": "CPU",
    "devices": ["CPU"],
    "model_desc": "tiny Q8_0",
    "model_type": "tiny Q8_0",
    "model_params": 1000,
    "model_size": 2000,
    "model_sha256": "ab",
    "n_ctx": 512,
    "n_ctx_train": 512,
    "n_batch": 64,
    "n_ubatch": 64,
    "n_threads": 2,
    "n_threads_batch": 2,
    "n_gpu_layers": 0,
    "flash_attention": "off",
    "type_k": "f16",
    "type_v": "f16",
    "mmap": True,
    "affinity": None,
}


class RunFolder:
    """A run folder under construction; every method writes at once, as `exec` does."""

    def __init__(
        self,
        root: Path,
        name: str = "run-a",
        *,
        axes: tuple[PlanAxis, ...] | None = None,
        metrics: Sequence[str] = ("load_time", "ttft", "prefill_rate", "decode_rate", "peak_memory"),
        expectations: Sequence[PlanExpectation] = (),
        simulated: bool = False,
        isolation: Any = "trial",
        bench: str = "demo",
    ) -> None:
        self.path = root / name
        self.axes = axes or default_axes()
        self._isolation = isolation
        (self.path / "plan").mkdir(parents=True)
        vectors = list(product(*(range(len(a.values)) for a in self.axes)))
        self.cells = {f"c{i:03d}": v for i, v in enumerate(vectors)}
        self.plan = Plan(
            edition=1,
            bench=bench,
            axes=self.axes,
            protocol=PlanProtocol(
                warmup=1,
                repeat=3,
                timeout_ns=S,
                retries=1,
                order=Order.RANDOMIZED,
                isolation=isolation,
                seed=7,
                start_below=None,
                abort_above=None,
                cooldown_ns=0,
                gate_timeout_ns=S,
                max_load=None,
            ),
            conditions=(),
            metrics=tuple(Metric(name=m, optional=False) for m in metrics),
            expectations=tuple(expectations),
            artifacts=(PlanArtifact(key="k", model="tiny", quant="Q8_0", source="path", location="tiny.gguf"),),
            skipped=(),
            cells=len(vectors),
            cells_sha256="",
            packs=(),
            files=(),
            digest="d1",
        )
        self._put("plan/plan.json", self.plan.model_dump_json())
        lines = "".join(json.dumps({"id": k, "v": v}) + "\n" for k, v in self.cells.items())
        self._put("plan/cells.jsonl", lines)
        self._put(
            "run.json",
            json.dumps(
                {
                    "version": 1,
                    "run_id": name,
                    "bench": bench,
                    "plan_digest": "d1",
                    "created": "2026-01-01T00:00:00Z",
                    "created_ns": 1_767_225_600 * S,
                    "labels": {"who": "me"},
                    "mobench": "0.1",
                    "seed": 7,
                    "simulated": simulated,
                    "devices": {"local": {"target": "local", "identity": "m1", "facts": {"cpu": "x"}}},
                    "engines": {"llama_cpp@host": "b1"},
                }
            ),
        )
        self._seq = 0
        self.journal("exec", pid=1, argv=["mobench"], host="h")

    def journal(self, kind: str, **fields: Any) -> None:
        """Append a record."""
        record = {"kind": kind, "t": 1_767_225_600 * S + self._seq * MS, "seq": self._seq, **fields}
        self._seq += 1
        with (self.path / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def launch(
        self,
        cell: str = "c000",
        rep: int = 0,
        attempt: int = 0,
        *,
        passes: Passes | None = None,
        status: str | None = "ok",
        reason: str = "",
        samples: str | None = None,
        device: str = "local",
        flags: Sequence[str] = (),
        **workload: Any,
    ) -> Path:
        """One launch with its raw files; `status` None leaves it without an end, `passes` None writes the default
        ones for an `ok` launch and no events for others."""
        key = {"device": device, "cell": cell, "rep": rep, "attempt": attempt}
        name = f"trials/{device}/{cell}/r{rep}a{attempt}"
        gate = {"waited_ns": 0, "passed": True, "reasons": []}
        self.journal("start", **key, block=rep, order=self._seq, folder=name, gate=gate)
        said = passes or (Passes() if status == "ok" else None)
        shape = said or Passes()
        job = {
            "version": 1,
            "job_id": "j",
            "warmup": shape.warmup,
            "measured": shape.measured,
            "workload": {"prompt_tokens": None, "output_tokens": shape.output, **workload},
        }
        self._put(f"{name}/job.json", json.dumps(job))
        if said is not None:
            self._put(f"{name}/events.jsonl", "".join(json.dumps(e) + "\n" for e in said.write()))
        if samples is not None:
            self._put(f"{name}/samples.jsonl", samples)
        self._put(f"{name}/state.json", json.dumps({"before": {"temperature": 40000}, "after": {"temperature": 41000}}))
        if status is not None:
            self.journal(
                "end",
                **key,
                status=status,
                reason=reason,
                detail="",
                flags=list(flags),
                engine_start_ns=5 * MS,
                overhead_ns=7 * MS,
            )
        return self.path / name

    def rates(self, cell: str, gaps_ms: Sequence[float]) -> None:
        """One ok launch per gap: decode_rate is 1000 / gap."""
        for rep, gap in enumerate(gaps_ms):
            self.launch(cell, rep, passes=Passes(gap=round(gap * MS)))

    def done(self, status: str = "complete") -> RunFolder:
        """Close the journal."""
        self.journal("done", status=status, counts={})
        return self

    def _put(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def samples_text(channels: dict[str, tuple[str, str]], rows: Sequence[tuple[int, Sequence[int | None]]]) -> str:
    """`samples.jsonl` of channels (name → unit, source) and rows (t, values)."""
    head = {
        "e": "channels",
        "version": 1,
        "t": rows[0][0] if rows else 0,
        "hz": 100.0,
        "channels": list(channels),
        "units": [u for u, _ in channels.values()],
        "sources": [s for _, s in channels.values()],
    }
    lines = [head, *({"e": "s", "t": t, "v": list(v)} for t, v in rows)]
    lines.append({"e": "cost", "t": rows[-1][0] if rows else 0, "cpu_ns": 5, "wall_ns": 100, "rows": len(rows)})
    return "".join(json.dumps(line) + "\n" for line in lines)
