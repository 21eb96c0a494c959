"""Run folders, or Parquet written by `export`, → tables.

In: a run folder in any state, or an export folder. Out: its rows in the database. Guarantee: a run's rows are
replaced in one transaction, so loading twice is loading once, in any order of runs, and an interrupted load leaves
what was there before. Bulk only: the large tables go in as numpy arrays, the small ones as one JSON text each.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mobench_lang.collect.records import MISSING, Ints, Launch, Run, Trial
from mobench_lang.collect.run import cells, launches, read_run
from mobench_lang.store import rows, schema
from mobench_lang.store.database import StoreError, run, transaction
from mobench_lang.store.views import refresh

if TYPE_CHECKING:
    from mobench_lang.store.database import Connection

# Rows that are held in memory before they go into the database; the transaction stays open across batches.
BATCH = 2_000_000
SMALL_BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load put into the database: rows by table."""

    run_id: str
    rows: Mapping[str, int]


def load_run(connection: Connection, folder: Path) -> Loaded:
    """Replace the rows of one run. Raises RunError (the folder), StoreError (`mixed`)."""
    record = read_run(folder)
    with transaction(connection):
        _refuse_mixing(connection, record)
        _forget(connection, [record.run_id])
        writer = _Writer(connection)
        _write(writer, record)
        writer.flush()
        refresh(connection)
    return Loaded(record.run_id, dict(writer.counts))


def load_parquet(connection: Connection, folder: Path) -> list[str]:
    """Replace the rows of the runs in an export folder; the runs. Raises StoreError."""
    missing = [t.name for t in schema.data_tables() if not (folder / f"{t.name}.parquet").is_file()]
    if missing:
        raise StoreError(
            "unusable", f"{folder} is no export: it has no {', '.join(f'{m}.parquet' for m in missing[:3])}"
        )
    with transaction(connection):
        source = _source(folder, "run")
        found = run(connection, f"SELECT run_id, simulated FROM {source}")  # noqa: S608 - quoted below
        _refuse(connection, {bool(s) for _, s in found}, {str(r) for r, _ in found})
        _forget(connection, [str(r) for r, _ in found])
        for table in schema.data_tables():
            names = ", ".join(schema.identifier(c.name) for c in table.columns)
            run(connection, f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {_source(folder, table.name)}")  # noqa: S608
        refresh(connection)
    return sorted(str(r) for r, _ in found)


def _source(folder: Path, table: str) -> str:
    """`read_parquet` of one file, whatever its name: wildcards of the path are escaped."""
    return f"read_parquet({schema.literal(glob.escape(str(folder / f'{table}.parquet')))})"


def _refuse_mixing(connection: Connection, record: Run) -> None:
    _refuse(connection, {bool(record.header.get("simulated"))}, {record.run_id})


def _refuse(connection: Connection, kinds: set[bool], runs: set[str]) -> None:
    """Simulated and real trials in one table would sooner or later be averaged."""
    others = run(connection, "SELECT run_id, simulated FROM run ORDER BY run_id")
    for name, simulated in others:
        if name not in runs and {bool(simulated)} != kinds and kinds:
            have, want = ("simulated", "real") if simulated else ("real", "simulated")
            raise StoreError(
                "mixed",
                f"the database holds {have} trials (run {name}); {want} ones need a file of their own: use --db",
            )


def _forget(connection: Connection, runs: list[str]) -> None:
    for table in schema.data_tables():
        run(connection, f"DELETE FROM {table.name} WHERE list_contains(?, run_id)", [runs])  # noqa: S608 - a constant


def _write(writer: _Writer, record: Run) -> None:
    run_id = record.run_id
    writer.add("run", [rows.run_row(record)])
    writer.add("device", rows.device_rows(record))
    writer.add("artifact", rows.artifact_rows(record))
    writer.add("axis", rows.axis_rows(record))
    writer.add("event", rows.event_rows(record))
    writer.flush()
    writer.add_cells(record)
    writer.add("cell", rows.former_cell_rows(record))
    for launch in launches(record):
        writer.add("event", rows.fault_rows(run_id, launch))
        writer.add("score", rows.score_rows(run_id, launch))
        for trial in launch.trials:
            writer.add("trial", [rows.trial_row(record, launch, trial)])
            for table, row in rows.part_rows(run_id, launch, trial):
                writer.add(table, [row])
            writer.add_arrays(run_id, launch, trial)


@dataclass(slots=True)
class _Columns:
    """Arrays of one large table, waiting."""

    parts: dict[str, list[Ints]] = field(default_factory=dict)
    rows: int = 0

    def add(self, size: int, **arrays: Ints | int) -> None:
        self.rows += size
        for name, value in arrays.items():
            array = np.full(size, value, np.int64) if isinstance(value, int) else value
            self.parts.setdefault(name, []).append(array)

    def take(self) -> dict[str, Ints]:
        taken = {name: np.concatenate(arrays) for name, arrays in self.parts.items()}
        self.parts, self.rows = {}, 0
        return taken


class _Writer:
    """Collects rows by table and writes them in batches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._small: dict[str, list[rows.Row]] = {}
        self._tokens, self._samples = _Columns(), _Columns()
        self._trials: list[tuple[str, str]] = []
        self._channels: dict[tuple[str, int, int], int] = {}
        self.counts: dict[str, int] = {}

    def add(self, table: str, found: Iterable[rows.Row]) -> None:
        """Rows of a small table."""
        waiting = self._small.setdefault(table, [])
        waiting.extend(found)
        if len(waiting) >= SMALL_BATCH:
            self._write_small(table)

    def add_cells(self, record: Run) -> None:
        """The cells of the plan; labels and attributes are looked up in `axis`, which is already written."""
        ids, vectors = cells(record)
        if not ids:
            return
        table: dict[str, Any] = {"seq": np.arange(len(ids), dtype=np.int64), "id": np.array(ids, dtype=object)}
        for position in range(len(record.plan.axes)):
            table[f"v{position}"] = np.fromiter((v[position] for v in vectors), np.int64, len(vectors))
        _insert_cells(self._connection, record, table)
        self._count("cell", len(ids))

    def add_arrays(self, run_id: str, launch: Launch, trial: Trial) -> None:
        """The tokens and samples of a trial."""
        key = len(self._trials)
        self._trials.append((run_id, rows.trial_id(launch, trial)))
        for r in trial.requests:
            size = len(r.stamps)
            ids = np.full(size, MISSING, np.int64)
            ids[: len(r.tokens)] = r.tokens[:size]
            self._tokens.add(
                size,
                trial=key,
                request=r.request,
                idx=np.arange(size, dtype=np.int64),
                t=np.asarray(r.stamps, np.int64),
                token=ids,
            )
        if trial.rows.size:
            t, raw = launch.samples.t[trial.rows], launch.samples.raw[trial.rows]
            for i, c in enumerate(launch.samples.channels):
                code = self._channels.setdefault((c.name, c.times, c.over), len(self._channels))
                read = raw[:, i] != MISSING
                self._samples.add(int(read.sum()), trial=key, channel=code, t=t[read], raw=raw[read, i])
        if self._tokens.rows + self._samples.rows >= BATCH:
            self._write_arrays()

    def flush(self) -> None:
        """Write what is waiting."""
        for table in list(self._small):
            self._write_small(table)
        self._write_arrays()

    def _count(self, table: str, number: int) -> None:
        self.counts[table] = self.counts.get(table, 0) + number

    def _write_small(self, table: str) -> None:
        waiting = self._small.pop(table, [])
        if not waiting:
            return
        insert(self._connection, table, waiting)
        self._count(table, len(waiting))

    def _write_arrays(self) -> None:
        if self._tokens.rows or self._samples.rows:
            trials = {
                "trial": np.arange(len(self._trials), dtype=np.int64),
                "run_id": np.array([r for r, _ in self._trials], dtype=object),
                "trial_id": np.array([t for _, t in self._trials], dtype=object),
            }
            with_tokens, with_samples = self._tokens.rows, self._samples.rows
            if with_tokens:
                _insert(self._connection, _TOKENS, {"trials": trials, "arrays": self._tokens.take()})
            if with_samples:
                known = list(self._channels)
                names = {
                    "channel": np.arange(len(known), dtype=np.int64),
                    "name": np.array([n for n, _, _ in known], dtype=object),
                    "times": np.array([t for _, t, _ in known], dtype=np.int64),
                    "over": np.array([o for _, _, o in known], dtype=np.int64),
                }
                arrays = self._samples.take()
                _insert(self._connection, _SAMPLES, {"trials": trials, "names": names, "arrays": arrays})
            self._count("token", with_tokens)
            self._count("sample", with_samples)
        self._trials, self._channels = [], {}


def insert(connection: Connection, table: str, found: Sequence[rows.Row]) -> None:
    """Rows of JSON data into a table, as one JSON text that duckdb reads with the table's own types."""
    if not found:
        return
    columns = next(t.columns for t in schema.tables() if t.name == table)
    names = ", ".join(schema.identifier(c.name) for c in columns)
    shape = json.dumps([{c.name: c.type for c in columns}])
    text = _json(found)
    run(
        connection,
        f"INSERT INTO {table} ({names}) SELECT {names} FROM (SELECT unnest(from_json(?, ?), max_depth := 2))",  # noqa: S608
        [text, shape],
    )


def _json(found: Sequence[rows.Row]) -> str:
    """The rows as JSON; only those that hold what JSON or Unicode does not allow are walked through and cleaned."""
    try:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (ValueError, TypeError):
        return json.dumps(rows.clean(found), ensure_ascii=False)
    return text if "\\u0000" not in text else json.dumps(rows.clean(found), ensure_ascii=False)


_TOKENS = f"""
INSERT INTO token (run_id, trial_id, request, idx, t_ns, token_id)
SELECT t.run_id, t.trial_id, a.request, a.idx, a.t, nullif(a.token, {MISSING})
FROM arrays a JOIN trials t ON t.trial = a.trial
"""  # noqa: S608 - a constant

_SAMPLES = """
INSERT INTO sample (run_id, trial_id, channel, t_ns, value, raw)
SELECT t.run_id, t.trial_id, n.name, a.t, a.raw::DOUBLE * n.times / n.over, a.raw
FROM arrays a JOIN trials t ON t.trial = a.trial JOIN names n ON n.channel = a.channel
"""


def _insert(connection: Connection, query: str, arrays: Mapping[str, Mapping[str, Any]]) -> None:
    """Run an INSERT that reads numpy columns under the names that it uses."""
    for name, columns in arrays.items():
        connection.register(name, dict(columns))
    run(connection, query)
    # Not in a `finally`: in a transaction that failed, unregistering fails too and would hide why.
    for name in arrays:
        connection.unregister(name)


def _insert_cells(connection: Connection, record: Run, table: dict[str, Any]) -> None:
    axes = record.plan.axes
    joins = " ".join(
        f"JOIN axis x{i} ON x{i}.run_id = {schema.literal(record.run_id)} AND x{i}.position = {i} AND x{i}.idx = a.v{i}"
        for i in range(len(axes))
    )
    names = ", ".join(f"x{i}.axis" for i in range(len(axes)))
    labels = ", ".join(f"x{i}.label" for i in range(len(axes)))
    vector = ", ".join(f"a.v{i}::INTEGER" for i in range(len(axes)))
    attributes = ", ".join(f"x{i}.attributes" for i in range(len(axes)))
    _insert(
        connection,
        f"""INSERT INTO cell (run_id, cell_id, seq, current, v, axes, attributes)
        SELECT {schema.literal(record.run_id)}, a.id, a.seq, true, [{vector}], map([{names}], [{labels}]),
               map_concat({attributes}, map([]::VARCHAR[], []::VARCHAR[]))
        FROM arrays a {joins}""",  # noqa: S608 - literals are quoted
        {"arrays": table},
    )
