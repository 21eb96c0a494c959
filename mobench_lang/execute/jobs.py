"""From a cell of the plan to the job of an instrument.

In: a resolved cell, the weights on the device, the device's facts. Out: a `Job`, or RefusedError with the reason why
this device cannot run the cell as written. Attributes that the plan leaves open keep the protocol's default.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from mobench_lang.execute.errors import BuildError
from mobench_lang.ir import Entity, Quantity, Record, Value
from mobench_lang.plan.cell import Cell
from mobench_lang.plan.model import PlanProtocol
from mobench_lang.plugins import Engine
from mobench_lang.protocol import Conversation, Job, JobEngine, JobModel, JobWorkload, Sampling


class RefusedError(Exception):
    """The device cannot run a cell as it is written; `reason` is stable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def make_job(
    cell: Cell,
    *,
    job_id: str,
    engine: Engine,
    model: JobModel,
    facts: dict[str, Any],
    protocol: PlanProtocol,
    measured: int,
    seed: int,
) -> Job:
    """The job of one launch. Raises RefusedError if the device lacks what the cell asks for, BuildError for a wrong
    plan."""
    try:
        return Job(
            job_id=job_id,
            model=model,
            engine=JobEngine.model_validate({**engine.job_engine(cell.engine), "name": engine.name}),
            workload=job_workload(cell.workload),
            warmup=protocol.warmup,
            measured=measured,
            seed=seed,
            affinity=cpus(cell.device.get("affinity"), facts),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BuildError(
            f"the plan asks for a job that cannot be: {where}: {first['msg']}; compile the spec again"
        ) from None


def job_workload(workload: Entity) -> JobWorkload:
    """The workload of a job. Raises BuildError, ValidationError."""
    attrs: dict[str, Any] = {}
    prompt, prompts = workload.get("prompt"), workload.get("prompts")
    if prompts is not None:
        attrs["conversations"] = _conversations(prompts)
    else:
        attrs["prompt_tokens"] = 0 if prompt is None else _int(prompt)
    output = workload.get("output")
    if output is None:
        raise BuildError(f"the workload {workload.name} has no `output`; compile the spec again")
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


def cpus(affinity: Value, facts: dict[str, Any]) -> tuple[int, ...] | None:
    """The CPU numbers that an `affinity` stands for on a device; None: wherever the system puts it. Raises
    RefusedError."""
    clusters: Sequence[Sequence[int]] = facts.get("clusters") or ()
    present = sorted({cpu for cluster in clusters for cpu in cluster})
    if affinity is None or affinity == "all":
        return None
    if affinity == "big_cores":
        return tuple(sorted(clusters[0])) if clusters else _unknown("big_cores")
    if affinity == "little_cores":
        if len(clusters) < 2:
            raise RefusedError("no_such_cpus", "the device has no little cores: all its cores are of one kind")
        return tuple(sorted(clusters[-1]))
    if not isinstance(affinity, tuple):
        raise BuildError(
            f"the plan has an affinity that this version does not know: {affinity!r}; compile the spec again"
        )
    wanted = tuple(sorted({_int(cpu) for cpu in affinity}))
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
            raise BuildError(f"prompt {number} is neither a text nor a conversation; compile the spec again")
    return tuple(found)


def _decimal(value: Value) -> Decimal:
    # Decimals cross plan.json as strings; counts may carry the unit `tok`, times are in ns.
    if isinstance(value, Quantity):
        return value.value
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise BuildError(f"the plan has {value!r} where a number is needed; compile the spec again")
    try:
        return Decimal(value)
    except ArithmeticError:
        raise BuildError(f"the plan has {value!r} where a number is needed; compile the spec again") from None


def _int(value: Value) -> int:
    number = _decimal(value)
    if number != number.to_integral_value():
        raise BuildError(f"the plan has {number} where a whole number is needed; compile the spec again")
    return int(number)
