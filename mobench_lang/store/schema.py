"""The schema as data.

In: `schema.sql`. Out: its statements, and tables and columns with what is said about them. Guarantee: the database, its
comments and docs/schema.md come from the same text; no duckdb is needed to read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

FORMAT = "mobench"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, SQL type (without constraints), whether it may be NULL, and what it holds."""

    name: str
    type: str
    required: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its statement."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    statement: str


_TABLE = re.compile(r"((?:^-- [^\n]*\n)+)(CREATE TABLE (\w+) \(\n(.*?)\n\);)", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"  (?P<name>\w+) (?P<type>[A-Z].*?)(?P<rest>(?: PRIMARY KEY| NOT NULL)*),? -- (?P<doc>.*)")


@cache
def tables() -> tuple[Table, ...]:
    """Every table, in the order of the file."""
    text = resources.files("mobench_lang.store").joinpath("schema.sql").read_text("utf-8")
    return tuple(
        Table(
            name=found[3],
            doc=" ".join(line[3:] for line in found[1].splitlines()),
            columns=tuple(
                Column(c["name"], c["type"], bool(c["rest"]), c["doc"])
                for c in map(_COLUMN.fullmatch, _lines(found[4]))
                if c
            ),
            statement=found[2],
        )
        for found in _TABLE.finditer(text)
    )


def _lines(body: str) -> list[str]:
    return [line for line in body.splitlines() if not line.startswith("  PRIMARY KEY")]


def data_tables() -> tuple[Table, ...]:
    """The tables that belong to runs: all but `meta` and `ci95`."""
    return tuple(t for t in tables() if t.columns[0].name == "run_id")


def statements() -> tuple[str, ...]:
    """What makes an empty database one of ours: tables and comments; the caller writes `meta`."""
    found: list[str] = []
    for table in tables():
        found += [table.statement, f"COMMENT ON TABLE {table.name} IS {literal(table.doc)}"]
        found += [f"COMMENT ON COLUMN {table.name}.{c.name} IS {literal(c.doc)}" for c in table.columns]
    return tuple(found)


def constants() -> str:
    """The rows of `ci95` as a JSON array, from `intervals.json`; tests hold them against scipy."""
    return resources.files("mobench_lang.store").joinpath("intervals.json").read_text("utf-8")


def literal(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
