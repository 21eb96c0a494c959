"""The views, made anew from what is in the database.

In: a connection inside a transaction. Out: the views of `views.sql`; `results` and `summary` get one column per
axis, per metric and per attribute of an axis value. Guarantee: names are quoted, and no two columns have one name:
a fixed column goes before an axis, an axis before a metric, a metric before an attribute; what comes second is
prefixed with its kind.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from mobench_lang.metrics import RESULT_COLUMNS, metrics
from mobench_lang.store.database import run
from mobench_lang.store.schema import identifier, literal

if TYPE_CHECKING:
    from mobench_lang.store.database import Connection

VIEWS = ("results", "summary", "llama_bench", "energy", "throttling", "pareto")

# Values of these types are names, even those that look like numbers.
_NAMES = ("model", "quant", "engine", "device", "workload", "task", "meter", "string", "enum", "bool")

SUMMARY_COLUMNS = (
    "run_id", "bench", "simulated", "metric", "unit", "n", "median", "mad", "low", "high", "interval", "least", "most",
    "mean", "sd", "cv", "failed", "cell_id",
)  # fmt: skip


def refresh(connection: Connection) -> None:
    """Replace the views where they are not yet what they should be."""
    text = resources.files("mobench_lang.store").joinpath("views.sql").read_text("utf-8")
    taken = {c.lower() for c in RESULT_COLUMNS}
    axes = _axes(connection, taken)
    values = _metrics(connection, taken)
    attributes = _attributes(connection, taken)
    summary = _axes(connection, {c.lower() for c in SUMMARY_COLUMNS})
    parts = {
        "summary_axes": "".join(f"{e} AS {n}," for n, e in summary),
        "axes": "".join(f"{e} AS {n},\n  " for n, e in axes),
        "metrics": ",\n  ".join(f"m.{identifier(k)} AS {n}" for n, k in values),
        "attributes": "".join(f",\n  {e} AS {n}" for n, e in attributes),
        "pivot": ",\n    ".join(f"max(value) FILTER (name = {literal(k)}) AS {identifier(k)}" for _, k in values),
    }
    views = Template(text).substitute(parts)
    digest = hashlib.sha256(views.encode("utf-8", "replace")).hexdigest()
    if run(connection, "SELECT value FROM meta WHERE key = 'views'") == [(digest,)]:
        return
    for statement in views.split(";\n\n"):
        run(connection, statement)
    run(connection, "INSERT OR REPLACE INTO meta VALUES ('views', ?)", [digest])


def _axes(connection: Connection, taken: set[str]) -> list[tuple[str, str]]:
    """(column, expression) of every axis; one that is a whole or real number in every run is one in the view."""
    found = run(
        connection,
        """SELECT axis, min(position), bool_and(try_cast(label AS BIGINT) IS NOT NULL),
                  bool_and(try_cast(label AS DOUBLE) IS NOT NULL), bool_and(NOT list_contains(?, type))
           FROM axis GROUP BY axis ORDER BY 2, 1""",
        [list(_NAMES)],
    )
    columns = []
    for name, _, whole, real, numeric in found:
        text = f"c.axes[{literal(str(name))}]"
        if numeric and (whole or real):
            text = f"{text}::{'BIGINT' if whole else 'DOUBLE'}"
        columns.append((_column(str(name), "axis", taken), text))
    return columns


def _metrics(connection: Connection, taken: set[str]) -> list[tuple[str, str]]:
    """(column, metric): every metric of the vocabulary, so that a query does not break where nothing measured one, and
    those that a plug-in brought."""
    stored = [str(r[0]) for r in run(connection, "SELECT DISTINCT name FROM metric ORDER BY name")]
    names = dict.fromkeys([*metrics(), *stored])
    return [(_column(n, "metric", taken), n) for n in names]


def _attributes(connection: Connection, taken: set[str]) -> list[tuple[str, str]]:
    found = run(
        connection,
        """SELECT key, bool_and(try_cast(value AS BIGINT) IS NOT NULL) FROM (
             SELECT unnest(map_entries(attributes), max_depth := 2) FROM axis) GROUP BY key ORDER BY key""",
    )
    columns = []
    for name, whole in found:
        text = f"c.attributes[{literal(str(name))}]"
        columns.append((_column(str(name), "attribute", taken), f"{text}::BIGINT" if whole else text))
    return columns


def _column(name: str, kind: str, taken: set[str]) -> str:
    """The name as a quoted identifier that no other column has; SQL names do not know upper from lower case."""
    while name.lower() in taken:
        name = f"{kind}_{name}"
    taken.add(name.lower())
    return identifier(name)
