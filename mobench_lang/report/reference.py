"""Pages of the documentation that are made from data.

In: the vocabulary of metrics, the schema of the store, the named queries. Out: Markdown. Guarantee: the pages in docs/ say what the
code does; a test compares them, `make golden` rewrites them.
"""

from __future__ import annotations

from mobench_lang.metrics import DEFAULT_METRICS, RESULT_COLUMNS, metrics
from mobench_lang.store.query import named
from mobench_lang.store.schema import tables

_NOTE = "<!-- Made from the code by `make golden`; edit {source} instead. -->\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    lines = [
        _NOTE.format(source="mobench_lang/metrics.toml"),
        "# Metrics\n",
        "A trial is one measured pass. Each metric has one number per trial, in the unit of this table, in the table",
        "`metric` and in the view `results`; where there is none, the value is NULL and `metric.reason` says why:",
        "`not_applicable` (this workload has none: one output token, no prompt), `not_delivered` (the target gave nothing),",
        "`window_unknown` (a tool of others does not say when it measured), `too_few_updates`, `window_not_covered`, `counter_went_back`, `charging` (energy), `meter_not_aligned`, `meter_lost`, `meter_dropped`, `meter_tripped` (an external meter), `no_throttling`, or the reason of a trial that",
        "failed. A claim may be about all metrics that are measured.\n",
        f"Measured where a spec does not say: {', '.join(f'`{m}`' for m in DEFAULT_METRICS)}.\n",
        "| metric | unit | in the language | definition | the number of a trial |",
        "|---|---|---|---|---|",
    ]
    for m in metrics().values():
        language = "a plain number" if m.dimension == "number" else m.dimension
        series = " (a series: aggregates are over all values of the cell)" if m.series else ""
        lines.append(f"| `{m.name}` | {m.unit} | {language} | {m.doc}{series} | {m.trial} |")
    lines += [
        "",
        "## Channels\n",
        "Sampled metrics and energy are read from channels: a channel is the metric's name, or",
    ]
    lines += [
        "`name.part`. Its samples are kept in `sample`, in the metric's unit.\n",
        "| metric | channels | parts become |",
    ]
    lines.append("|---|---|---|")
    join = {"mean": "their mean", "sum": "their sum", "max": "the highest mean"}
    lines += [
        f"| `{m.name}` | {', '.join(f'`{c}`' for c in m.channels)} | {join[m.join]} |"
        for m in metrics().values()
        if m.kind in ("sampled", "counter")
    ]
    return "\n".join(lines) + "\n"


def schema_page() -> str:
    """docs/schema.md."""
    fixed = ", ".join(f"`{c}`" for c in RESULT_COLUMNS)
    lines = [
        _NOTE.format(source="mobench_lang/store/schema.sql"),
        "# The database\n",
        "`mobench.duckdb` is made from run folders and can be made again at any time (`mobench load`). It opens in the plain",
        "`duckdb` package. Loading replaces a run's rows in one transaction.\n",
        "## Views\n",
        "| view | a row is |",
        "|---|---|",
        f"| `results` | a good measured trial: {fixed}, a column per axis and per metric, and `axis_attribute` per attribute of an"
        " axis value, such as `engine_threads` |",
        "| `summary` | a metric of a cell: n, median, mad, mean, sd, cv, and `low … high`: the range below 8 launches, else a 95 %"
        " interval of the median |",
        "| `llama_bench` | a test as that tool prints it, with its columns; `tool` is `llama-bench` where it measured it itself |",
        "| `energy` | an energy metric of a trial, with method, uncertainty and reason |",
        "| `throttling` | a trial: when its rate dropped, what remained, how hot it was |",
        "| `pareto` | a cell that no other cell of its device beats in decode rate, memory and energy |",
        "",
        "The views are made anew when a load brings new axes or metrics. An axis that is a number in every run is one in",
        "`results`; every other axis is its label. What would be a second column of one name is prefixed with its kind",
        "(`axis_`, `metric_`, `attribute_`). Simulated and real trials are refused in one database.\n",
        "## Named queries\n",
        "`mobench sql --named NAME`\n",
        "| name | what it tells |",
        "|---|---|",
        *(f"| `{q.name}` | {q.doc} |" for q in named().values()),
        "",
        "## Tables\n",
    ]
    for table in tables():
        lines += [f"### {table.name}\n", f"{table.doc}\n", "| column | type | |", "|---|---|---|"]
        lines += [
            f"| `{c.name}` | {c.type.replace(', ', ',&nbsp;')}{'' if c.required else ', may be NULL'} | {c.doc} |"
            for c in table.columns
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
