"""The pages of docs/ that are made from data are what the data says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobench_lang.report.reference import metrics_page, schema_page
from mobench_lang.store import schema
from mobench_lang.store.database import run, writing

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.usefixtures("golden")  # so that `make golden` runs it
@pytest.mark.parametrize(("name", "page"), [("metrics.md", metrics_page()), ("schema.md", schema_page())])
def test_pages_are_up_to_date(request: pytest.FixtureRequest, name: str, page: str) -> None:
    path = DOCS / name
    if request.config.getoption("--update-golden"):
        path.write_text(page, encoding="utf-8")
    assert path.read_text("utf-8") == page, f"docs/{name} is not what the code says; `make golden` rewrites it"


def test_every_column_is_described(tmp_path: Path) -> None:
    with writing(tmp_path / "db.duckdb") as connection:
        columns = run(connection, "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal")
    described = {(t.name, c.name): c.doc for t in schema.tables() for c in t.columns}
    assert {(t, c): d for t, c, d in columns} == described
    assert all(described.values())
    assert all(t.columns[0].name == "run_id" for t in schema.data_tables())
