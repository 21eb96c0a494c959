"""Records → rows of the small tables.

In: the records of a run. Out: dicts by column, JSON data only, ready for `load`. Guarantee: pure; texts are valid
Unicode (lone surrogates, which JSON can smuggle in, become `?`), floats are finite or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from pydantic_core import to_jsonable_python

from mobench_lang.collect.records import Launch, Run, Trial
from mobench_lang.collect.run import former_cells
from mobench_lang.ir import Entity, Quantity, Record, Unknown, Value
from mobench_lang.plan.model import PlanAxis

Row = dict[str, Any]


def run_row(run: Run) -> Row:
    """The row of `run`."""
    header, plan = run.header, run.plan
    done = [r for r in run.journal if r.get("kind") in ("exec", "done")]
    return {
        "run_id": run.run_id,
        "bench": plan.bench,
        "created_ns": header.get("created_ns"),
        "plan_digest": plan.digest,
        "mobench": header.get("mobench"),
        "simulated": bool(header.get("simulated")),
        "seed": str(plan.protocol.seed),
        "isolation": plan.protocol.isolation,
        "repeat": plan.protocol.repeat,
        "warmup": plan.protocol.warmup,
        "complete": bool(done) and done[-1].get("kind") == "done" and done[-1].get("status") == "complete",
        "damaged": run.damaged,
        "labels": _texts(header.get("labels")),
        "engines": _texts(header.get("engines")),
        "header": header,
        "plan": plan.model_dump(mode="json"),
    }


def device_rows(run: Run) -> Iterator[Row]:
    """The rows of `device`: the header's, with what the journal's newest record of each says."""
    newest = {str(r.get("device")): r for r in run.journal if r.get("kind") == "device"}
    header = run.header.get("devices")
    for name, told in (header if isinstance(header, Mapping) else {}).items():
        record = newest.get(name, {})
        facts = record.get("facts") or told.get("facts") or {}
        yield {
            "run_id": run.run_id,
            "device": name,
            "target": told.get("target"),
            "identity": record.get("identity") or told.get("identity"),
            "simulated": bool(facts.get("simulated", run.header.get("simulated"))),
            "facts": facts,
            "conditions": record.get("conditions"),
        }


def artifact_rows(run: Run) -> Iterator[Row]:
    """The rows of `artifact`: the plan's, with what the journal says they became."""
    made = {r.get("key"): r for r in run.journal if r.get("kind") == "artifact"}
    for artifact in run.plan.artifacts:
        record = made.pop(artifact.key, {})
        yield {
            "run_id": run.run_id,
            "key": artifact.key,
            "model": artifact.model,
            "quant": artifact.quant,
            "path": record.get("path"),
            "sha256": record.get("sha256") or artifact.sha256,
            "size": record.get("size") or artifact.size,
            "note": record.get("note"),
        }


def axis_rows(run: Run) -> Iterator[Row]:
    """The rows of `axis`."""
    for position, axis in enumerate(run.plan.axes):
        for index, (value, label) in enumerate(zip(axis.values, axis.labels, strict=True)):
            yield {
                "run_id": run.run_id,
                "position": position,
                "axis": axis.name,
                "idx": index,
                "type": axis.type,
                "label": label,
                "attributes": dict(attributes(axis, value)),
                "value": to_jsonable_python(value) if isinstance(value, Entity | Quantity) else label,
            }


def former_cell_rows(run: Run) -> Iterator[Row]:
    """The rows of `cell` for launches whose cell the plan no longer has, from the plan that had it."""
    for place, (cell, values) in enumerate(former_cells(run).items()):
        yield {
            "run_id": run.run_id,
            "cell_id": cell,
            "seq": run.plan.cells + place,
            "current": False,
            "v": [],
            "axes": {axis.name: axis.labels[i] for axis, i in values},
            "attributes": dict(pair for axis, i in values for pair in attributes(axis, axis.values[i])),
        }


def attributes(axis: PlanAxis, value: Value) -> Iterator[tuple[str, str]]:
    """`engine_threads` = `4` for each attribute of an axis value that is a declared thing."""
    if not isinstance(value, Entity):
        return
    for key, attribute in value.attrs:
        text = plain(attribute)
        if text is not None:
            yield f"{axis.name}_{key}", text


def plain(value: Value) -> str | None:
    """The text of a plain value: numbers in base units; None for lists, records and what is not known."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case Decimal():
            return format(value, "f")
        case Quantity():
            return format(value.value, "f")
        case Entity():
            return value.name
        case None | Unknown() | Record():
            return None
        case _:
            return None


def event_rows(run: Run) -> Iterator[Row]:
    """The rows of `event` that come from the journal."""
    for place, record in enumerate(run.journal):
        seq = record.get("seq")
        yield {
            "run_id": run.run_id,
            "source": "journal",
            "seq": seq if isinstance(seq, int) else place,
            "t_ns": record.get("t"),
            "kind": str(record.get("kind")),
            "device": record.get("device"),
            "cell_id": record.get("cell"),
            "data": record,
        }


def fault_rows(run_id: str, launch: Launch) -> Iterator[Row]:
    """The rows of `event` that come from an instrument."""
    for place, fault in enumerate(launch.faults):
        yield {
            "run_id": run_id,
            "source": launch.folder,
            "seq": place,
            "t_ns": fault.t,
            "kind": "error",
            "device": launch.device,
            "cell_id": launch.cell,
            "data": {"code": fault.code, "message": fault.message},
        }


def trial_id(launch: Launch, trial: Trial) -> str:
    """The text that stands for the key of a trial within its run."""
    return f"{launch.cell}.r{trial.rep}.a{launch.attempt}.p{trial.number}"


def trial_row(run: Run, launch: Launch, trial: Trial) -> Row:
    """The row of `trial`."""
    return {
        "run_id": run.run_id,
        "trial_id": trial_id(launch, trial),
        "cell_id": launch.cell,
        "device": launch.device,
        "rep": trial.rep,
        "attempt": launch.attempt,
        "pass": trial.number,
        "warmup": trial.warmup,
        "status": trial.status,
        "reason": trial.reason or None,
        "detail": trial.detail or None,
        "flags": list(trial.flags),
        "final": launch.final,
        "simulated": bool(run.header.get("simulated")),
        "block": launch.block,
        "place": launch.order,
        "wall_ns": launch.wall_start,
        "wall_end_ns": launch.wall_end,
        "start_ns": trial.start,
        "end_ns": trial.end,
        "cpu_ns": trial.cpu_ns,
        "engine_start_ns": launch.engine_start_ns,
        "overhead_ns": launch.overhead_ns,
        "sampler_cpu_ns": launch.samples.cpu_ns,
        "folder": launch.folder or None,
        "used": None if launch.used is None else launch.used.model_dump(mode="json"),
        "gate": launch.gate,
        "state": launch.state or None,
    }


def part_rows(run_id: str, launch: Launch, trial: Trial) -> Iterator[tuple[str, Row]]:
    """(table, row) of everything small that belongs to a trial."""
    key = {"run_id": run_id, "trial_id": trial_id(launch, trial)}
    for w in trial.windows:
        yield "phase", {**key, "request": w.request, "name": w.name, "start_ns": w.start, "end_ns": w.end}
    for m in trial.marks:
        yield "memory", {**key, "phase": m.phase, "method": m.method, "t_ns": m.t, "bytes": m.bytes}
    for metric in trial.metrics:
        yield (
            "metric",
            {
                **key,
                "name": metric.name,
                "value": _finite(metric.value),
                "unit": metric.unit,
                "method": metric.method or None,
                "uncertainty": _finite(metric.uncertainty),
                "reason": metric.reason or None,
            },
        )
    for r in trial.requests:
        yield (
            "output",
            {
                **key,
                "request": r.request,
                "conversation": r.conversation,
                "turn": r.turn,
                "accepted_ns": r.accepted,
                "prefill_start_ns": r.prefill_start,
                "prefill_end_ns": r.prefill_end,
                "prompt_tokens": r.prompt_tokens,
                "cached_tokens": r.cached_tokens,
                "output_tokens": r.output_tokens,
                "prompt_chars": r.prompt_chars,
                "output_chars": r.output_chars,
                "finish": r.finish,
                "text": r.text,
            },
        )
    if trial.timed is not None:
        prefill = trial.timed.name == "prefill"
        yield (
            "output",
            {
                **key,
                "request": 0,
                "prompt_tokens": trial.timed.tokens if prefill else 0,
                "cached_tokens": trial.timed.depth,
                "output_tokens": 0 if prefill else trial.timed.tokens,
            },
        )
    if trial.rows.size:
        for c in launch.samples.channels:
            row = {
                "channel": c.name,
                "unit": c.unit,
                "raw_unit": c.raw_unit,
                "source": c.source,
                "hz": launch.samples.hz,
            }
            yield "channel", {**key, **row}


def score_rows(run_id: str, launch: Launch) -> Iterator[Row]:
    """The rows of `score`: scores are the launch's, so they are on its first measured pass."""
    carrier = next((t for t in launch.trials if not t.warmup), None)
    if carrier is None:
        return
    for s in launch.scores:
        yield {
            "run_id": run_id,
            "trial_id": trial_id(launch, carrier),
            "id": s.id,
            "logprob": _finite(s.logprob),
            "tokens": s.tokens,
            "greedy": s.greedy,
        }


def clean(value: Any) -> Any:
    """JSON data without lone surrogates, NUL characters and non-finite numbers."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
        case float():
            return _finite(value)
        case Mapping():
            return {clean(str(k)): clean(v) for k, v in value.items()}
        case Sequence():
            return [clean(v) for v in value]
        case _:
            return value


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
