"""`mobench quick`: a number for a GGUF file, without a spec."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli import terminal
from mobench_lang.cli.failing import Failure, StoreFailure

MAGIC = b"GGUF"

SPEC = """mobench 1

model subject {{ source = path({model}) }}

bench quick {{
  matrix {{
    model    in [subject]
    engine   in [{engine}]
    device   in [local]
    workload in [generate(prompt = {prompt}, output = 0), generate(prompt = 0, output = {output})]
  }}
  run     {{ warmup = 1, repeat = {repeat} }}
  measure load_time, prefill_rate, decode_rate, itl, peak_memory
}}
"""

TABLE = """
SELECT workload, count(*) AS n, median(prefill_rate) AS "prefill tok/s", median(decode_rate) AS "decode tok/s",
       median(decode_rate) / nullif(min(decode_rate), 0) - 1 AS "above slowest",
       median(load_time) / 1e6 AS "load ms", max(peak_memory) / 1048576 AS "peak MiB"
FROM results WHERE run_id = ? GROUP BY workload ORDER BY workload DESC
"""


@click.command("quick")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.gguf")
@click.option(
    "-p", "--prompt", type=click.IntRange(1), default=512, show_default=True, help="Prompt tokens of the prefill."
)
@click.option("-n", "--output", type=click.IntRange(2), default=128, show_default=True, help="Tokens of the decode.")
@click.option("-r", "--repeat", type=click.IntRange(1), default=5, show_default=True, help="Fresh launches of each.")
@click.option("-t", "--threads", type=click.IntRange(1), help="Threads; without it the engine's default.")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option(
    "--db", type=click.Path(path_type=Path), default=Path("mobench.duckdb"), show_default=True, help="Database."
)
@click.option("--spec", "only_spec", is_flag=True, help="Print the spec that would be run, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(  # noqa: PLR0917 - click passes options by name
    model: Path, prompt: int, output: int, repeat: int, threads: int | None, runs: Path, db: Path, only_spec: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure prefill and decode of one model on this machine: what `llama-bench -p 512 -n 128 -r 5` measures.

    Every quick run is a new one, kept and queried like any other.
    """
    from mobench_lang.check.values import quote

    engine = "llama_cpp" if threads is None else f"llama_cpp {{ threads = {threads} }}"
    text = SPEC.format(model=quote(str(model)), engine=engine, prompt=prompt, output=output, repeat=repeat)
    if only_spec:
        click.echo(text, nl=False)
        return
    if not model.is_file():
        raise Failure(f"there is no file {model}")
    with model.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Failure(f"{model} is not a GGUF file; Hugging Face's other formats are converted with llama.cpp")
    folder = _compiled(text, runs / ".build" / "quick")
    run_id, failed = _run(folder, runs, db)
    _show(run_id, db, as_json)
    raise SystemExit(3 if failed else 0)


def _compiled(text: str, folder: Path) -> Path:
    from mobench_lang.check import check_source
    from mobench_lang.cli import specs
    from mobench_lang.lockfile import NO_LOCK
    from mobench_lang.plan.compile import BuildFolderError, compile_bench
    from mobench_lang.source import Source

    # whatever the project has locked: what is measured is the file that is there
    checked = check_source(Source("<quick>", text), Path.cwd(), lock=NO_LOCK)
    specs.say(tuple(d for d in checked.diagnostics if d.is_error))
    if checked.bench is None:
        raise SystemExit(2)
    try:
        compile_bench(checked.bench, folder, checked.folders, checked.lock)
    except BuildFolderError as error:
        raise StoreFailure(str(error)) from error
    return folder


def _run(folder: Path, runs: Path, db: Path) -> tuple[str, bool]:
    """The run's id, and whether a trial of it failed."""
    from mobench_lang.cli.failing import store_errors
    from mobench_lang.cli.progress import showing
    from mobench_lang.digests import user_cache
    from mobench_lang.execute.api import Options, execute_sync
    from mobench_lang.execute.errors import ExecError
    from mobench_lang.store.database import writing
    from mobench_lang.store.load import load_run

    try:
        with showing() as report:
            result = execute_sync(folder, runs, Options(cache=user_cache(), fresh=True), report)
    except ExecError as error:
        raise (StoreFailure if error.exit_status == 4 else Failure)(str(error)) from error
    assert result.folder is not None  # noqa: S101 - not a dry run
    with store_errors(), writing(db) as connection:
        load_run(connection, result.folder)
    if result.interrupted:
        raise SystemExit(130)
    return result.run_id, any(result.counts.get(s) for s in ("failed", "invalid", "skipped"))


def _show(run_id: str, db: Path, as_json: bool) -> None:
    from mobench_lang.cli.failing import store_errors
    from mobench_lang.report.tables import render
    from mobench_lang.store.database import reading, run

    with store_errors(), reading(db) as connection:
        columns = [str(d[0]) for d in connection.execute(f"DESCRIBE {TABLE.replace('?', 'NULL')}").fetchall()]
        rows = run(connection, TABLE, [run_id])
    click.echo(render(columns, rows, "json" if as_json else "table", terminal.width()), nl=False)
    if not as_json:
        click.echo(f"{run_id} is in {db}")
