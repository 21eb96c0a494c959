"""`mobench load`: run folders → the database."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli.failing import Failure, store_errors


@click.command("load")
@click.argument("runs", nargs=-1, metavar="[RUN]…")
@click.option(
    "--runs", "root", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option(
    "--db", type=click.Path(path_type=Path), default=Path("mobench.duckdb"), show_default=True, help="Database."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was loaded as JSON.")
def command(runs: tuple[str, ...], root: Path, db: Path, as_json: bool) -> None:
    """Make the database, or the rows of some runs, anew from run folders.

    RUN is a run id, a run folder, or a folder that `mobench export` wrote; without it every run is loaded. Loading
    twice changes nothing.
    """
    import json

    from mobench_lang.collect.holder import RunError
    from mobench_lang.judge.judge import judge
    from mobench_lang.store.database import run, writing
    from mobench_lang.store.load import load_parquet, load_run

    folders = _folders(runs, root)
    done: list[dict[str, object]] = []
    broken: list[str] = []
    with store_errors(), writing(db) as connection:
        for folder in folders:
            try:
                if (folder / "run.json").is_file():
                    loaded = [load_run(connection, folder).run_id]
                else:
                    loaded = load_parquet(connection, folder)
            except RunError as error:
                broken.append(str(error))  # one bad folder must not keep the others out
                continue
            for run_id in loaded:
                judge(connection, run_id)
                counts = dict(run(connection, _COUNTS, [run_id]))
                done.append({"run_id": run_id, **{s: counts.get(s, 0) for s in ("ok", "failed", "invalid", "skipped")}})
                if not as_json:
                    click.echo(f"{run_id}: {_words(counts)}")
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False, indent=1))
    if broken:
        raise Failure("\n".join(broken))


_COUNTS = "SELECT status, count(*) FROM trial WHERE run_id = ? AND NOT warmup GROUP BY status"


def _words(counts: dict[str, int]) -> str:
    words = [f"{counts[s]} {s}" for s in ("ok", "failed", "invalid", "skipped") if counts.get(s)]
    return ("trials: " + ", ".join(words)) if words else "no trials"


def _folders(runs: tuple[str, ...], root: Path) -> list[Path]:
    from mobench_lang.collect.standing import run_folders

    if not runs:
        found = run_folders(root)
        if not found:
            raise Failure(f"there is no run in {root}; name run folders, or the folder of runs with --runs")
        return found
    folders = []
    for name in runs:
        places = [Path(name), root / name]
        folder = next((p for p in places if (p / "run.json").is_file() or (p / "run.parquet").is_file()), None)
        if folder is None:
            raise Failure(f"there is no run {name}: neither {places[0]} nor {places[1]} has a run.json")
        folders.append(folder)
    return folders
