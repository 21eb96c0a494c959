"""Asking the database.

In: an open connection and SQL text, or the name of a query that ships with mobench. Out: columns and rows as plain
Python values. Guarantee: what is wrong with a query is a `QueryError` with duckdb's own words, never a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobench_lang.store.schema import literal

if TYPE_CHECKING:
    from mobench_lang.store.database import Connection


class QueryError(Exception):
    """The query is wrong, or not allowed here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one statement."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


NOWHERE = """
SELECT m.name, mode(m.reason)
FROM metric m JOIN trial t USING (run_id, trial_id)
WHERE m.run_id = ? AND t.status = 'ok' AND NOT t.warmup
GROUP BY m.name HAVING count(m.value) = 0 AND mode(m.reason) <> 'not_applicable'
ORDER BY m.name
"""


def measured_nowhere(connection: Connection, run_id: str) -> list[tuple[str, str]]:
    """The metrics of a run that no good trial has a value of, with the usual reason."""
    return [(str(name), str(reason)) for name, reason in connection.execute(NOWHERE, [run_id]).fetchall()]


@dataclass(frozen=True, slots=True)
class Named:
    """A query that ships with mobench."""

    name: str
    doc: str
    sql: str


@cache
def named() -> dict[str, Named]:
    """Every named query by name, sorted; the first line of its file describes it."""
    folder = resources.files("mobench_lang.store").joinpath("queries")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            first, _, sql = file.read_text("utf-8").partition("\n")
            name = file.name.removesuffix(".sql")
            found[name] = Named(name, first.removeprefix("-- "), sql.strip().rstrip(";"))
    return found


def ask(connection: Connection, text: str) -> list[Answer]:
    """The answers of every statement of a text that has one. Raises QueryError."""
    import duckdb

    try:
        statements = connection.extract_statements(text)
        if not statements:
            raise QueryError("there is no statement in the query")
        return [answer for s in statements if (answer := _answer(connection, s.query)) is not None]
    except duckdb.Error as error:
        raise QueryError(_explained(error)) from error


def to_parquet(connection: Connection, text: str, path: Path) -> None:
    """Write the answer of one query to a file. Raises QueryError."""
    import duckdb

    try:
        statements = connection.extract_statements(text)
        if len(statements) != 1:
            raise QueryError("Parquet holds the rows of one query")
        query = statements[0].query.strip().rstrip(";")
        connection.execute(f"COPY ({query}\n) TO {literal(str(path))} (FORMAT parquet)")
    except duckdb.Error as error:
        raise QueryError(_explained(error)) from error


def _answer(connection: Connection, statement: str) -> Answer | None:
    connection.execute(statement)
    if connection.description is None:
        return None
    columns = tuple(str(c[0]) for c in connection.description)
    return Answer(columns, connection.fetchall())


def _explained(error: Exception) -> str:
    text = str(error).strip()
    if "read-only mode" in text:
        return (
            f"{text}\n`mobench sql` only reads: the database is made from the run folders, `mobench load` makes it anew"
        )
    if "disabled by configuration" in text:
        return f"{text}\n`mobench sql` sees the database only; use the duckdb package to bring other files in"
    return text
