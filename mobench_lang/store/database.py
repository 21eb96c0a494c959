"""Opening a database file.

In: a path. Out: a connection to a mobench database of this version. Guarantee: a file that is not ours is never
written to; a locked, foreign, damaged or newer file is a `StoreError` that says who or what it is and what to do.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mobench_lang.store import schema
from mobench_lang.store.migrations import MIGRATIONS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    Connection: TypeAlias = DuckDBPyConnection


class StoreError(Exception):
    """The database cannot be used; `code` is `locked`, `foreign`, `newer`, `missing`, `unusable`, `mixed` or
    `failed`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# Another process may be about to close the file: an `exec` that loads at its end, a report that is being written.
PATIENCE_S = 3.0


@contextmanager
def writing(path: Path, patience_s: float = PATIENCE_S) -> Iterator[Connection]:
    """A connection that may write; the file is made, or migrated, if need be. Raises StoreError."""
    connection = _connect(path, False, patience_s)
    with _closing(connection, path):
        _prepare(connection, path)
        yield connection


@contextmanager
def reading(
    path: Path, patience_s: float = PATIENCE_S, *, sealed: bool = False, writable: Path | None = None
) -> Iterator[Connection]:
    """A connection that may not write; `sealed` also forbids queries to touch files other than `writable`. Raises
    StoreError."""
    if not path.exists():
        raise StoreError("missing", f"there is no database {path}; `mobench exec` or `mobench load RUN` makes it")
    connection = _connect(path, True, patience_s)
    with _closing(connection, path):
        version = _version(connection, path)
        if version != schema.VERSION:
            raise StoreError(
                "unusable",
                f"{path} has schema version {version}; `mobench load --db {path}` brings it to {schema.VERSION}",
            )
        if sealed:
            if writable is not None:
                run(connection, f"SET allowed_paths = [{schema.literal(str(writable))}]")
            run(connection, "SET enable_external_access = false")
            run(connection, "SET lock_configuration = true")
        yield connection


@contextmanager
def _closing(connection: Connection, path: Path) -> Iterator[None]:
    """Close at the end; what fails in between for duckdb's own reasons (a full disk, a damaged file) is a
    StoreError."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise StoreError("failed", f"{path}: {_first(str(error))}") from error
    finally:
        connection.close()


def run(connection: Connection, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement to its end and give its rows: duckdb 2 refuses further work while a result is open."""
    connection.execute(query, values or None)
    return connection.fetchall() if connection.description is not None else []


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        with suppress(Exception):  # a failed commit has already rolled back
            connection.rollback()
        raise


def _connect(path: Path, read_only: bool, patience_s: float) -> Connection:
    import duckdb

    deadline = time.monotonic() + patience_s
    if not read_only and path.is_file() and path.stat().st_size == 0:
        path.unlink()  # duckdb refuses what it left itself when it was killed too early; there is nothing in it to lose
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=_CONFIG)
        except duckdb.Error as error:
            failure = _explained(path, error)
            if failure.code != "locked" or time.monotonic() >= deadline:
                raise failure from error
            time.sleep(0.1)


# No extension is ever fetched from the network behind the user's back.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def _explained(path: Path, error: Exception) -> StoreError:
    text = str(error)
    if "lock" in text.lower():
        holder = re.search(r"\(PID (\d+)\)", text)
        who = f"process {holder[1]}" if holder else "another process"
        return StoreError(
            "locked",
            f"{path} is in use by {who}; wait until it is done or end it (nothing is lost: the run folders can "
            "be loaded at any time), or use another file with --db",
        )
    if "not a valid DuckDB database" in text or "existing extension" in text or "extension" in text:
        return StoreError("foreign", f"{path} is not a DuckDB database; name another file with --db")
    if "newer version" in text or "version number" in text:
        return StoreError("newer", f"{path} was written by another version of DuckDB: {_first(text)}")
    return StoreError("unusable", f"{path} cannot be opened: {_first(text)}")


def _first(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "unknown error"


def _version(connection: Connection, path: Path) -> int:
    """The schema version of a database of ours. Raises StoreError for any other."""
    tables = {str(r[0]) for r in run(connection, "SELECT table_name FROM duckdb_tables() WHERE NOT internal")}
    columns = run(
        connection, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'meta' ORDER BY column_index"
    )
    if "meta" in tables and [c[0] for c in columns] == ["key", "value"]:
        meta = {str(k): str(v) for k, v in run(connection, "SELECT key, value FROM meta")}
        if meta.get("format") == schema.FORMAT and meta.get("version", "").isdecimal():
            version = int(meta["version"])
            if version > schema.VERSION:
                raise StoreError(
                    "newer",
                    f"{path} has schema version {version}, this mobench knows {schema.VERSION}: use a newer mobench, "
                    "or load the run folders into another file with --db",
                )
            return version
    what = f"it holds {', '.join(sorted(tables)[:3])}" if tables else "it is empty"
    raise StoreError("foreign", f"{path} is not a mobench database ({what}); name another file with --db")


def _prepare(connection: Connection, path: Path) -> None:
    """Make the schema in a file without any object, or migrate ours forward."""
    if not run(connection, "SELECT 1 FROM duckdb_tables() UNION ALL SELECT 1 FROM duckdb_views() WHERE NOT internal"):
        with transaction(connection):
            run(connection, ";\n".join(schema.statements()))
            columns = next(t.columns for t in schema.tables() if t.name == "ci95")
            shape = json.dumps([{c.name: c.type for c in columns}])
            rows = "SELECT * FROM (SELECT unnest(from_json(?, ?), max_depth := 2))"
            run(connection, f"INSERT INTO ci95 {rows}", [schema.constants(), shape])
            run(
                connection,
                "INSERT INTO meta VALUES ('format', ?), ('version', ?)",
                [schema.FORMAT, str(schema.VERSION)],
            )
        return
    version = _version(connection, path)
    with transaction(connection):
        for step in range(version, schema.VERSION):
            for statement in MIGRATIONS[step]:
                run(connection, statement)
        if version != schema.VERSION:
            run(connection, "UPDATE meta SET value = ? WHERE key = 'version'", [str(schema.VERSION)])
