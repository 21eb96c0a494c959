"""From a cell of the plan to the job of an instrument.

In: a resolved cell, the weights on the device and its CPUs. Out: a `Job`; or RefusedError with the reason why this
device cannot run the cell as written, or JobError where the plan itself is wrong. Attributes that the plan leaves open
keep the protocol's default; parameters of the engine that the protocol does not name go into its `extra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from mobench_lang import packs
from mobench_lang.ir import Entity, Quantity, Record, Value
from mobench_lang.plan.cell import Cell
from mobench_lang.plan.errors import JobError
from mobench_lang.plan.model import PlanProtocol
from mobench_lang.plugins import RefusedError
from mobench_lang.protocol import Conversation, Job, JobEngine, JobModel, JobWorkload, Sampling

Affinity: TypeAlias = tuple[int, ...] | Literal["big_cores", "little_cores"] | None


def make_job(
    cell: Cell,
    *,
    job_id: str,
    model: JobModel,
    affinity: Affinity,
    protocol: PlanProtocol,
    measured: int,
    seed: int,
) -> Job:
    """The job of one launch. Raises JobError."""
    try:
        return Job(
            job_id=job_id,
            model=model,
            engine=job_engine(cell.engine),
            workload=job_workload(cell.workload),
            warmup=protocol.warmup,
            measured=measured,
            seed=seed,
            affinity=affinity,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JobError(
            f"the plan asks for a job that cannot be: {where}: {first['msg']}; compile the spec again"
        ) from None


def job_engine(engine: Entity) -> JobEngine:
    """The engine of a job. Raises JobError, ValidationError."""
    known = JobEngine.model_fields.keys() - {"name", "extra"}
    attrs: dict[str, Any] = {"name": engine.pack, "extra": {}}
    told = packs.manifests("engine")[engine.pack].parameters if engine.pack in packs.manifests("engine") else {}
    for key, value in engine.attrs:
        if value is not None and (key not in told or told[key].job):
            (attrs if key in known else attrs["extra"])[key] = _plain(value)
    return JobEngine.model_validate(attrs)


def _plain(value: Value) -> str | int | float | bool:
    if isinstance(value, str | bool | int):
        return value
    number = _decimal(value)
    return int(number) if number == number.to_integral_value() else float(number)


def job_workload(workload: Entity) -> JobWorkload:
    """The workload of a job. Raises JobError, ValidationError."""
    attrs: dict[str, Any] = {}
    prompt, prompts = workload.get("prompt"), workload.get("prompts")
    if prompts is not None:
        attrs["conversations"] = _conversations(prompts)
    else:
        attrs["prompt_tokens"] = 0 if prompt is None else _int(prompt)
    output = workload.get("output")
    if output is None:
        raise JobError(f"the workload {workload.name} has no `output`; compile the spec again")
    attrs["output_tokens"] = _int(output)
    for key in ("raw", "ignore_eos"):
        if (value := workload.get(key)) is not None:
            attrs[key] = value
    if (depth := workload.get("depth")) is not None:
        attrs["depth"] = _int(depth)
    for key in ("think", "between", "duration"):
        if (value := workload.get(key)) is not None:
            attrs[f"{key}_ns"] = _int(value)
    sampling: dict[str, Any] = {}
    for key in ("temperature", "top_p"):
        if (value := workload.get(key)) is not None:
            sampling[key] = float(_decimal(value))
    if (top_k := workload.get("top_k")) is not None:
        sampling["top_k"] = _int(top_k)
    return JobWorkload(**attrs, sampling=Sampling(**sampling))


def named_cpus(affinity: Value) -> Affinity:
    """An `affinity` as a job has it before the device is known: a cluster stays a name. Raises JobError."""
    if affinity is None or affinity == "all":
        return None
    if affinity == "big_cores":
        return "big_cores"
    if affinity == "little_cores":
        return "little_cores"
    if not isinstance(affinity, tuple):
        raise JobError(
            f"the plan has an affinity that this version does not know: {affinity!r}; compile the spec again"
        )
    return tuple(sorted({_int(cpu) for cpu in affinity}))


def cpus(affinity: Value, facts: dict[str, Any]) -> tuple[int, ...] | None:
    """The CPU numbers that an `affinity` stands for on a device; None: wherever the system puts it. Raises
    RefusedError, JobError."""
    clusters: Sequence[Sequence[int]] = facts.get("clusters") or ()
    present = sorted({cpu for cluster in clusters for cpu in cluster})
    wanted = named_cpus(affinity)
    if wanted is None:
        return None
    if wanted == "big_cores":
        return tuple(sorted(clusters[0])) if clusters else _unknown("big_cores")
    if wanted == "little_cores":
        if len(clusters) < 2:
            raise RefusedError("no_such_cpus", "the device has no little cores: all its cores are of one kind")
        return tuple(sorted(clusters[-1]))
    missing = [cpu for cpu in wanted if present and cpu not in present]
    if missing or not wanted:
        raise RefusedError("no_such_cpus", f"the device cannot use the CPUs {missing}; it has {present}")
    return wanted


def _unknown(name: str) -> tuple[int, ...]:
    raise RefusedError("no_such_cpus", f"the device does not say which of its cores are {name}")


def _conversations(prompts: Value) -> tuple[Conversation, ...]:
    found = []
    for number, item in enumerate(prompts if isinstance(prompts, tuple) else (prompts,)):
        if isinstance(item, str):
            found.append(Conversation(id=str(number), turns=(item,)))
        elif isinstance(item, Record) and isinstance(turns := item.get("turns"), tuple):
            name = item.get("id")
            texts = tuple(turn for turn in turns if isinstance(turn, str))
            found.append(Conversation(id=str(number if name is None else name), turns=texts))
        else:
            raise JobError(f"prompt {number} is neither a text nor a conversation; compile the spec again")
    return tuple(found)


def _decimal(value: Value) -> Decimal:
    # Decimals cross plan.json as strings; counts may carry the unit `tok`, times are in ns.
    if isinstance(value, Quantity):
        return value.value
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise JobError(f"the plan has {value!r} where a number is needed; compile the spec again")
    try:
        return Decimal(value)
    except ArithmeticError:
        raise JobError(f"the plan has {value!r} where a number is needed; compile the spec again") from None


def _int(value: Value) -> int:
    number = _decimal(value)
    if number != number.to_integral_value():
        raise JobError(f"the plan has {number} where a whole number is needed; compile the spec again")
    return int(number)
