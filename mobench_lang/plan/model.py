"""The plan: what crosses from `compile` to `exec`, as versioned canonical JSON.

In: nothing. Out: the pydantic models of `plan.json` and of the lines of `cells.jsonl`. A plan is complete: `exec` needs
neither the spec nor the checker. Cells are streamed (id and index vector), never held as objects.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mobench_lang.ir import Claim, Metric, Order, Origin, Value

PLAN_VERSION = 1


class Frozen(BaseModel):
    """Base of every model: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class PlanAxis(Frozen):
    """One axis with its resolved values; an index vector holds one index per axis, in this order. `binds` is as in the
    IR; `mobench_lang.plan.cell` applies it."""

    name: str
    type: str
    values: tuple[Value, ...]
    labels: tuple[str, ...]
    binds: str = ""


class PlanProtocol(Frozen):
    """How each cell is measured; times in ns, temperatures in m°C, `seed` fixes the order and the random tokens."""

    warmup: int
    repeat: int
    timeout_ns: int
    retries: int
    order: Order
    isolation: Literal["trial", "cell"]
    seed: int
    start_below: int | None
    abort_above: int | None
    cooldown_ns: int
    gate_timeout_ns: int
    max_load: str | None


class PlanSetting(Frozen):
    """A requested device condition."""

    name: str
    value: Value
    optional: bool


class PlanSkip(Frozen):
    """One reason for leaving cells out: the clause in canonical text, why, and how many cells.

    Where it stands is in `origins.json`: a plan does not change when lines move."""

    clause: str
    because: str
    count: int


class PlanExpectation(Frozen):
    """A claim with the cells it is about: all, or those whose index vector, read at `reads`, is in `true`."""

    severity: Literal["expect", "warn"]
    text: str
    claim: Claim
    where: str
    reads: tuple[int, ...]
    true: tuple[tuple[int, ...], ...] | None
    per: tuple[str, ...]


class PlanArtifact(Frozen):
    """The weights of one (model, quant): where the source comes from and what is derived from it.

    `key` is the identity used in cell ids: the sha256 of the source (its text where that is not known), the quant
    (None: as published) and whether it may be quantized twice. `sha256` and `size` are those of the source file, None
    until exec for a file that was missing and for a hub source that is not locked; of one that is, `revision` is the
    commit and `location` the file in it, else both are as in the spec.
    """

    key: str
    model: str
    quant: str | None
    source: Literal["path", "bundled", "hf"]
    location: str
    repo: str | None = None
    revision: str | None = None
    sha256: str | None = None
    size: int | None = None
    requantize: bool = False


class Plan(Frozen):
    """`plan.json`."""

    plan_version: Literal[1] = 1
    edition: int
    bench: str
    axes: tuple[PlanAxis, ...]
    protocol: PlanProtocol
    conditions: tuple[PlanSetting, ...]
    metrics: tuple[Metric, ...]
    expectations: tuple[PlanExpectation, ...]
    artifacts: tuple[PlanArtifact, ...]
    skipped: tuple[PlanSkip, ...]
    cells: int
    cells_sha256: str
    packs: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    digest: str


class PlanCell(Frozen):
    """A line of `cells.jsonl`: the id and one value index per axis."""

    id: str
    v: tuple[int, ...]


def origins(data: bytes) -> tuple[Origin, ...]:
    """The content of `origins.json`. Raises ValueError if it is damaged."""
    return TypeAdapter(tuple[Origin, ...]).validate_json(data)
