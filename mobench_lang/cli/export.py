"""`mobench export`: the database → Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli.failing import Failure, store_errors


@click.command("export")
@click.argument("runs", nargs=-1, metavar="[RUN]…")
@click.option(
    "--db", type=click.Path(path_type=Path), default=Path("mobench.duckdb"), show_default=True, help="Database."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("export"), help="Folder to write."
)
@click.option("--json", "as_json", is_flag=True, help="Print rows by table as JSON.")
def command(runs: tuple[str, ...], db: Path, output: Path, as_json: bool) -> None:
    """Write every table as a Parquet file; with RUN, the rows of those runs."""
    import json

    from mobench_lang.store.database import reading, run
    from mobench_lang.store.export import export

    with store_errors(), reading(db) as connection:
        known = {str(r[0]) for r in run(connection, "SELECT run_id FROM run")}
        for name in runs:
            if name not in known:
                raise Failure(f"there is no run {name} in {db}")
        counts = export(connection, output, list(runs) or None)
    if as_json:
        click.echo(json.dumps(counts, indent=1))
    else:
        click.echo(f"{output}: {len(counts)} tables, {sum(counts.values())} rows")
