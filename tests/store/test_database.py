"""Files that are not ours, or not yet, or no longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mobench_lang.store import database, schema
from mobench_lang.store.database import StoreError, reading, run, writing


def refused(path: Path, code: str, says: str, *, write: bool = True) -> None:
    content = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError, match=says) as caught, (writing if write else reading)(path, patience_s=0):
        pass
    assert caught.value.code == code
    assert (path.read_bytes() if path.exists() else None) == content, "a file that is not ours was touched"


def test_a_new_file_is_made_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    with writing(path) as connection:
        assert {t.name for t in schema.tables()} <= {r[0] for r in run(connection, "SHOW TABLES")}
    with reading(path) as connection:
        assert run(connection, "SELECT value FROM meta WHERE key = 'version'") == [(str(schema.VERSION),)]
        assert run(connection, "SELECT count(*), min(n), max(n) FROM ci95") == [(493, 8, 500)]
        assert run(connection, "SELECT comment FROM duckdb_columns() WHERE column_name = 'trial_id'")[0][0]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.duckdb"
    path.touch()
    with writing(path):
        pass
    with reading(path):
        pass


def test_a_missing_file_is_not_made_by_reading(tmp_path: Path) -> None:
    refused(tmp_path / "none.duckdb", "missing", "mobench load", write=False)


@pytest.mark.parametrize("write", [True, False])
def test_a_file_that_is_no_database(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "text.duckdb"
    path.write_text("hello " * 3000)
    refused(path, "foreign", "not a DuckDB database", write=write)


@pytest.mark.parametrize("write", [True, False])
def test_a_foreign_database(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE people (name VARCHAR)")
    refused(path, "foreign", "it holds people", write=write)


def test_a_sqlite_database(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    refused(path, "foreign", "not a DuckDB database")


def test_another_meta_table_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
    refused(path, "foreign", "not a mobench database")


@pytest.mark.parametrize("write", [True, False])
def test_a_newer_schema(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "newer.duckdb"
    with writing(path) as connection:
        run(connection, "UPDATE meta SET value = '99' WHERE key = 'version'")
    refused(path, "newer", "use a newer mobench", write=write)


def test_an_older_schema_is_migrated_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "older.duckdb"
    with writing(path):
        pass
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    refused(path, "unusable", "mobench load", write=False)
    broken = {schema.VERSION - 1: ("ALTER TABLE run ADD COLUMN extra INTEGER", "SELECT nonsense")}
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(StoreError), writing(path):
        pass
    monkeypatch.setattr(database, "MIGRATIONS", {schema.VERSION - 1: ("ALTER TABLE run ADD COLUMN extra INTEGER",)})
    with writing(path) as connection:
        assert run(connection, "SELECT count(extra) FROM run") == [(0,)]
    with reading(path):
        pass


@pytest.mark.parametrize("write", [True, False])
def test_a_locked_database_names_its_holder(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "locked.duckdb"
    with writing(path):
        pass
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        refused(path, "locked", f"in use by process {holder.pid}", write=write)
    finally:
        holder.communicate()


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(StoreError), writing(tmp_path):
        pass


def test_a_sealed_reader_sees_the_database_only(tmp_path: Path) -> None:
    from mobench_lang.store.query import QueryError, ask

    path = tmp_path / "db.duckdb"
    with writing(path):
        pass
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for query in (
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY run TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "INSERT INTO meta VALUES ('a', 'b')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DROP TABLE run",
        "SELECT",
        "",
        "nonsense",
    ):
        with reading(path, sealed=True) as connection, pytest.raises(QueryError):
            ask(connection, query)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["db.duckdb", "secret.csv"]
