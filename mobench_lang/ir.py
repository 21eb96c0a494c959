"""The typed meaning of one bench: what `check` hands to `matrix`.

In: nothing. Out: records of plain data, no syntax and no closures, so that every later stage works without the
evaluator. Quantities are exact and in base units; collections are tuples in a stable order. A check makes records of
what it has typed itself; where they come from a file (`plan.json`), pydantic validates them: `plan.model`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeAlias

from typing_extensions import TypeAliasType

from mobench_lang.frozen import frozen


@frozen
class Quantity:
    """An exact number in a base unit.

    Base units: ns (time), B (data), m°C (temperature), mK (temperature difference), µW, µJ, µAh, Hz, tok, tok/s,
    µJ/tok, pp (percentage points) and 1 (ratios).
    """

    value: Decimal
    unit: str


@frozen
class Unknown:
    """A value that only the run will know, with the reason (`the size is not known without the file`)."""

    unknown: str


@frozen
class Entity:
    """A declared thing: a model, engine, device, workload, meter or task with its attributes.

    `name` is the declaration's name (`qwen3`), or the canonical text of an anonymous one (`llama_cpp { threads = 4 }`);
    `base` is the identity that `==` compares (`llama_cpp`), `pack` the target or engine plug-in behind a device or an
    engine. `attrs` are sorted by key, typed by the schema.
    """

    kind: str
    name: str
    base: str
    pack: str = ""
    attrs: tuple[tuple[str, Value], ...] = ()

    def get(self, key: str) -> Value:
        """The attribute, or None where it is not set."""
        return next((v for k, v in self.attrs if k == key), None)


@frozen
class Record:
    """A record of named values, such as one conversation of a JSONL file, or the `hf(…)` of a model's source."""

    fields: tuple[tuple[str, Value], ...]

    def get(self, key: str) -> Value:
        """The field, or None where it is missing."""
        return next((v for k, v in self.fields if k == key), None)


# A named alias: pydantic cannot follow a plain one that contains itself.
Value = TypeAliasType(
    "Value", "bool | int | Decimal | str | Quantity | Unknown | Entity | Record | tuple[Value, ...] | None"
)


@frozen
class Place:
    """Where something was written: file as shown, 1-based line and column."""

    file: str
    line: int
    column: int


@frozen
class Origin:
    """Where a value came from: its path in the bench (`run.timeout`), its text, and the chain of places, last setter
    first. `default` names the rule where nothing was written."""

    path: str
    value: str
    chain: tuple[Place, ...]
    default: str = ""


@frozen
class Axis:
    """One axis: its name, its type (`model`, `quant`, `int`, …) and its distinct values in order of appearance.

    `labels` are the canonical texts of the values, as they stand in results. A free axis that no other axis reads sets
    the parameter `binds` (`engine.threads`) of each of its cells.
    """

    name: str
    type: str
    values: tuple[Value, ...]
    labels: tuple[str, ...]
    binds: str = ""


@frozen
class Choice:
    """For one combination of the axes that a step reads: the rows it offers."""

    key: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]


@frozen
class Step:
    """One level of the product: the axes it sets (several under `zip`), the earlier axes its list depends on, and for
    each reachable combination of those the rows of value indices. Axes are numbers into `Bench.axes`."""

    sets: tuple[int, ...]
    reads: tuple[int, ...]
    choices: tuple[Choice, ...]


@frozen
class Walk:
    """One product: the matrix itself, or the cells of one `include`."""

    steps: tuple[Step, ...]


@frozen
class Clause:
    """An `exclude`: the axes it reads and the combinations for which it is true; `unknown` ones keep the cell."""

    text: str
    because: str
    place: Place
    reads: tuple[int, ...]
    true: tuple[tuple[int, ...], ...]
    unknown: tuple[tuple[int, ...], ...] = ()


@frozen
class Design:
    """A designed fraction of what the excludes leave: `sample` of a size, or `pairwise` cover; seeded."""

    kind: Literal["sample", "pairwise"]
    size: int | None
    seed: int


@frozen
class Metric:
    """A metric to measure; optional ones (`measure?`) are measured where the target can."""

    name: str
    optional: bool


@frozen
class Const:
    """A number in a claim, in the unit of the metric it is compared with."""

    value: Decimal
    unit: str
    op: Literal["const"] = "const"


@frozen
class Aggregate:
    """`median(decode_rate)`; with `replace`, of the cell in which those axes (axis index, value index) are replaced."""

    function: Literal["median", "mean", "min", "max", "p50", "p95", "p99", "cv"]
    metric: str
    replace: tuple[tuple[int, int], ...] = ()
    op: Literal["aggregate"] = "aggregate"


@frozen
class Arithmetic:
    """`left op right` over numbers."""

    op: Literal["+", "-", "*", "/"]
    left: Term
    right: Term


Term: TypeAlias = Const | Aggregate | Arithmetic


@frozen
class Comparison:
    """`left op right`, the atom of a claim."""

    op: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Term
    right: Term


@frozen
class Both:
    """`and`, `or` or `not` of claims."""

    op: Literal["and", "or", "not"]
    parts: tuple[Claim, ...]


Claim: TypeAlias = Comparison | Both


@frozen
class Expectation:
    """`expect`/`warn`: the claim about each cell, the cells it is about (None: all), how verdict rows are grouped."""

    severity: Literal["expect", "warn"]
    text: str
    place: Place
    claim: Claim
    where: str
    reads: tuple[int, ...]
    true: tuple[tuple[int, ...], ...] | None
    per: tuple[str, ...]


@frozen
class Setting:
    """A requested device condition, such as `airplane? = on`; optional ones are applied where the target can."""

    name: str
    value: Value
    optional: bool


class Order(StrEnum):
    """In which order the launches of a bench run."""

    RANDOMIZED = "randomized"
    INTERLEAVED = "interleaved"
    SEQUENTIAL = "sequential"


@frozen
class Protocol:
    """How each cell is measured. Times in ns, temperatures in m°C."""

    warmup: int = 1
    repeat: int = 5
    timeout_ns: int = 600_000_000_000
    retries: int = 1
    order: Order = Order.RANDOMIZED
    isolation: Literal["trial", "cell"] = "trial"
    seed: int | None = None
    start_below: int | None = None
    abort_above: int | None = None
    cooldown_ns: int = 0
    gate_timeout_ns: int = 300_000_000_000
    max_load: Decimal | None = None


@frozen
class Bench:
    """One bench, checked: everything a plan is made from."""

    edition: int
    name: str
    axes: tuple[Axis, ...]
    walks: tuple[Walk, ...]
    excludes: tuple[Clause, ...]
    design: Design | None
    protocol: Protocol
    conditions: tuple[Setting, ...]
    metrics: tuple[Metric, ...]
    expectations: tuple[Expectation, ...]
    origins: tuple[Origin, ...]
