"""The database as Parquet, one file per table.

In: a connection and a folder. Out: `<table>.parquet` in it, to be read by anything or loaded again. Guarantee: each
file appears whole or not at all; an older export stays until the new files are complete.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mobench_lang.store import schema
from mobench_lang.store.database import run

if TYPE_CHECKING:
    from mobench_lang.store.database import Connection


def export(connection: Connection, folder: Path, runs: list[str] | None = None) -> dict[str, int]:
    """Write every table, or the rows of some runs; rows by table."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    try:
        counts = {}
        for table in schema.data_tables():
            where = "" if runs is None else f" WHERE run_id IN ({', '.join(map(schema.literal, runs))})"
            target = schema.literal(str(scratch / f"{table.name}.parquet"))
            found = run(
                connection,
                f"COPY (SELECT * FROM {table.name}{where}) TO {target} (FORMAT parquet, COMPRESSION zstd)",  # noqa: S608
            )
            counts[table.name] = int(found[0][0])
        for table in schema.data_tables():
            name = f"{table.name}.parquet"
            _settle(scratch / name)
            (scratch / name).replace(folder / name)
        return counts
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _settle(path: Path) -> None:
    """On disk before it gets its name, so that a power loss cannot leave a short file under it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
