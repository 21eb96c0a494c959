"""What the store costs: raw JSONL → tables, Parquet → tables, and the named queries at a million samples.

In: nothing (run folders are made in a temporary folder). Out: `benchmarks/results/store.json` and a table on
stdout. Every figure stands beside a baseline of the same run on the same machine: duckdb's own `read_json` and
`INSERT … SELECT` of the same rows. An event is one row of `token` or `sample`. Each figure is the best of three.
Repeat with: python benchmarks/store.py
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import duckdb

from mobench_lang.judge.judge import judge
from mobench_lang.store import schema
from mobench_lang.store.database import reading, run, writing
from mobench_lang.store.export import export
from mobench_lang.store.load import load_parquet, load_run
from mobench_lang.store.query import ask, named
from tests.support.folders import MS, Passes, RunFolder, above, default_axes, expectation, samples_text

TRIALS, CHANNELS, ROWS, TOKENS = 100, 8, 1250, 500
REPEATS = 3


def run_folder(root: Path) -> RunFolder:
    """100 launches with 1250 rows of 8 channels and two passes of 500 tokens: 1.0 M samples and 0.1 M tokens."""
    claim = above({"op": "aggregate", "function": "median", "metric": "decode_rate"}, 1)
    gaps = above({"op": "aggregate", "function": "p95", "metric": "itl"}, 10**9, "<", "ns")
    made = RunFolder(
        root, axes=default_axes(threads=list(range(1, 6))), expectations=[expectation(claim), expectation(gaps)]
    )
    kinds = {"soc_temp": "m°C", "cpu_freq": "kHz", "power": "mW", "energy": "µJ"}
    channels = {f"{name}.{i}": (unit, f"/sys/{name}/{i}") for i in range(2) for name, unit in kinds.items()}
    step = 12_000 * MS // ROWS
    for trial in range(TRIALS):
        begin = 900 * MS + trial * 20_000 * MS
        rows = [(begin + i * step, [40_000 + i, 2_000_000, 3000 + i, i * 100] * (CHANNELS // 4)) for i in range(ROWS)]
        cell = f"c{trial % 10:03d}"
        passes = Passes(output=TOKENS, begin=begin + 100 * MS)
        made.launch(cell, trial // 10, passes=passes, samples=samples_text(channels, rows))
    return made.done()


def best(action: Callable[[], Any]) -> float:
    """Seconds of the fastest repetition."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def raw(root: Path, made: RunFolder) -> dict[str, Any]:
    """Run folder → tables, beside duckdb's read_json of the same samples into the same table."""
    db = root / "raw.duckdb"

    def load() -> None:
        db.unlink(missing_ok=True)
        with writing(db) as connection:
            counts.update(load_run(connection, made.path).rows)

    counts: dict[str, int] = {}
    seconds = best(load)
    began = time.process_time()
    load()
    cpu = time.process_time() - began
    files = str(made.path / "trials" / "*" / "*" / "*" / "samples.jsonl")

    def baseline() -> None:
        with duckdb.connect(str(root / "base.duckdb")) as connection:
            connection.execute(
                """CREATE OR REPLACE TABLE s AS SELECT filename, t, unnest(v) AS raw FROM read_json(?,
                   columns = {e: 'VARCHAR', t: 'BIGINT', v: 'BIGINT[]'}, format = 'newline_delimited', filename = true)
                   WHERE e = 's'""",
                [files],
            ).fetchall()

    events = counts["sample"] + counts["token"]
    base = best(baseline)
    return {"events": events, "seconds": seconds, "events_per_s": events / seconds, "events_per_cpu_s": events / cpu,
            "read_json_rows_per_s": counts["sample"] / base}  # fmt: skip


def parquet(root: Path) -> dict[str, Any]:
    """Parquet → tables, beside duckdb's own INSERT … SELECT of the same files into tables of the same schema."""
    folder = root / "parquet"
    with reading(root / "raw.duckdb") as connection:
        counts = export(connection, folder)

    def load() -> None:
        (root / "p.duckdb").unlink(missing_ok=True)
        with writing(root / "p.duckdb") as connection:
            began = time.perf_counter()
            load_parquet(connection, folder)
            ours.append(time.perf_counter() - began)

    def plain() -> None:
        (root / "q.duckdb").unlink(missing_ok=True)
        with duckdb.connect(str(root / "q.duckdb")) as connection:
            for table in schema.data_tables():
                connection.execute(table.statement).fetchall()
            began = time.perf_counter()
            connection.begin()
            for table in schema.data_tables():
                connection.execute(f"INSERT INTO {table.name} SELECT * FROM '{folder}/{table.name}.parquet'").fetchall()
            connection.commit()
            theirs.append(time.perf_counter() - began)

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(REPEATS):
        load()
        plain()
    rows = sum(counts.values())
    return {"rows": rows, "rows_per_s": rows / min(ours), "insert_select_rows_per_s": rows / min(theirs),
            "ratio": min(theirs) / min(ours)}  # fmt: skip


def queries(root: Path) -> dict[str, float]:
    """Milliseconds of each named query, and of judging, on the database of `raw`."""
    found: dict[str, float] = {}
    with reading(root / "raw.duckdb", sealed=True) as connection:
        for name, query in named().items():
            found[name] = best(lambda text=query.sql: ask(connection, text)) * 1000  # type: ignore[misc]
    with writing(root / "raw.duckdb") as connection:
        run_id = run(connection, "SELECT run_id FROM run")[0][0]
        found["(judge, two claims)"] = best(lambda: judge(connection, run_id)) * 1000
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = run_folder(root)
        result = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "duckdb": duckdb.__version__,
                        "load_1min_before": os.getloadavg()[0]},
            "raw": raw(root, made), "parquet": parquet(root), "queries_ms": queries(root),
        }  # fmt: skip
    out = Path(__file__).parent / "results" / "store.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
