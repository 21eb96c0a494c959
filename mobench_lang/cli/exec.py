"""`mobench exec`: a build (or a spec) → a run, its rows in the database, its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs, terminal
from mobench_lang.cli.failing import Failure, StoreFailure, store_errors

if TYPE_CHECKING:
    from mobench_lang.execute.api import RunResult
    from mobench_lang.execute.pending import Only
    from mobench_lang.judge.verdict import Verdict

INTERRUPTED = 130


@click.command("exec")
@click.argument("what", required=False, metavar="[BUILD|SPEC]")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option(
    "--db", type=click.Path(path_type=Path), default=Path("mobench.duckdb"), show_default=True, help="Database."
)
@click.option(
    "--device", "devices", multiple=True, metavar="NAME=ADDRESS",
    help="Use another physical device under a name; NAME.ATTRIBUTE=VALUE gives another address than its serial.",
)  # fmt: skip
@click.option(
    "--simulate", "profiles", multiple=True, metavar="NAME=PROFILE", help="Put a virtual device under a name."
)
@click.option("--only", "condition", metavar="EXPR", help='Measure some cells: "quant == Q8_0 and engine.threads > 2".')
@click.option("--retry-failed", is_flag=True, help="Measure failed trials again.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Keep a note with the run.")
@click.option("--fresh", is_flag=True, help="Begin a new run instead of going on with the last one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option(
    "--gate",
    type=click.Choice(["expect", "strict", "off"]),
    default="expect",
    show_default=True,
    help="What makes the exit status 1: a failed `expect`, also an inconclusive one, or nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(  # noqa: PLR0917 - click passes options by name
    what: str | None, runs: Path, db: Path, devices: tuple[str, ...], profiles: tuple[str, ...],
    condition: str | None, retry_failed: bool, labels: tuple[str, ...], fresh: bool, dry_run: bool, gate: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Run a build, or resume it where it stopped; then load it into the database and judge it.

    Without an argument: `build/`, or the one spec of this folder. Exit status: 0 fine, 1 an expectation fails, 2 the
    spec or the usage is wrong, 3 a trial finally failed, 4 the store failed, 130 interrupted.
    """
    from mobench_lang.cli.progress import showing
    from mobench_lang.digests import user_cache
    from mobench_lang.execute.api import Options, execute_sync
    from mobench_lang.execute.errors import ExecError

    folder = _build(what, runs)
    options = Options(
        cache=user_cache(),
        only=None if condition is None else _only(condition, folder),
        retry_failed=retry_failed,
        labels=_pairs(labels, "--label"),
        fresh=fresh,
        dry_run=dry_run,
        devices=_pairs(devices, "--device"),
        simulate=_pairs(profiles, "--simulate"),
    )
    try:
        with showing() as report:
            result = execute_sync(folder, runs, options, report)
    except ExecError as error:
        raise (StoreFailure if error.exit_status == 4 else Failure)(str(error)) from error
    if dry_run or result.folder is None:
        _say_dry(result, as_json)
        return
    verdicts = _store(db, result)
    _say(result, verdicts, db, as_json)
    raise SystemExit(_status(result, verdicts, gate))


def _build(what: str | None, runs: Path) -> Path:
    """The build folder meant; a spec is compiled beside the runs."""
    if what is None:
        if specs.is_build(Path("build")):
            _say_if_old(Path("build"))
            return Path("build")
    elif Path(what).is_dir() or specs.is_build(Path(what)):
        return Path(what)
    from mobench_lang.plan.compile import BuildFolderError, compile_bench

    (spec,) = specs.usable((what,) if what else ())
    bench = spec.checked.bench
    assert bench is not None  # noqa: S101 - usable() has seen to it
    folder = runs / ".build" / bench.name
    try:
        compile_bench(bench, folder, spec.checked.folders, spec.checked.lock)
    except BuildFolderError as error:
        raise StoreFailure(str(error)) from error
    return folder


def _say_if_old(folder: Path) -> None:
    """A note where the spec of this folder has changed since it was compiled: what runs is the build."""
    from mobench_lang.execute.errors import ExecError
    from mobench_lang.execute.load import load
    from mobench_lang.plan.compile import plan_only

    try:
        (path,) = specs.find(())
        build = load(folder)
    except (Failure, ExecError):
        return  # several specs or none; what is wrong with a build is said when it runs
    build.close()
    checked, _ = specs.check(path, need_bench=True)
    bench = checked.bench if checked else None
    if checked is None or bench is None or bench.name != build.plan.bench:
        return
    if plan_only(bench, checked.folders, checked.lock).digest != build.plan.digest:
        click.echo(f"note: {path} has changed since {folder} was compiled; `mobench compile` takes it over", err=True)


def _pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, found {pair!r}")
        if name in found:
            raise click.UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def _only(condition: str, folder: Path) -> Only:
    from mobench_lang.check.only import only
    from mobench_lang.execute.errors import ExecError
    from mobench_lang.execute.load import load

    try:
        build = load(folder)
    except ExecError as error:
        raise Failure(str(error)) from error
    build.close()
    predicate, found = only(condition, build.plan)
    specs.say(found)
    if predicate is None:
        raise SystemExit(2)
    return predicate


def _store(db: Path, result: RunResult) -> list[Verdict]:
    from mobench_lang.judge.judge import judge
    from mobench_lang.store.database import writing
    from mobench_lang.store.load import load_run
    from mobench_lang.store.query import measured_nowhere

    assert result.folder is not None  # noqa: S101 - not a dry run
    try:
        with store_errors(), writing(db) as connection:
            load_run(connection, result.folder)
            for metric, reason in measured_nowhere(connection, result.run_id):
                click.echo(f"note: no trial has a value of {metric} ({reason})", err=True)
            return judge(connection, result.run_id)
    except Failure as failure:
        raise StoreFailure(
            f"{failure.message}\nthe run is whole in {result.folder}; "
            f"`mobench load {result.run_id}` loads it when this is mended"
        ) from failure


def _say_dry(result: RunResult, as_json: bool) -> None:
    import json

    if as_json:
        click.echo(json.dumps({"run_id": result.run_id, "pending": result.pending, "counts": result.counts}, indent=1))
    else:
        click.echo(f"{result.run_id or 'a new run'}: {result.pending} launches to go")


def _say(result: RunResult, verdicts: list[Verdict], db: Path, as_json: bool) -> None:
    import json

    from mobench_lang.report.verdicts import as_data, render

    if as_json:
        found = {
            "run_id": result.run_id, "folder": str(result.folder), "db": str(db), "counts": result.counts,
            "pending": result.pending, "interrupted": result.interrupted, "verdicts": [as_data(v) for v in verdicts],
        }  # fmt: skip
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    if verdicts:
        click.echo(render(verdicts, terminal.width()), nl=False)
    click.echo(f'{result.run_id} is in {db}; ask it: mobench sql --db {db} "from results"')


def _status(result: RunResult, verdicts: list[Verdict], gate: str) -> int:
    if result.interrupted:
        return INTERRUPTED
    if any(result.counts.get(s) for s in ("failed", "invalid", "skipped")):
        return 3
    bad = {"expect": ("fails",), "strict": ("fails", "inconclusive"), "off": ()}[gate]
    return int(any(v.severity == "expect" and v.status in bad for v in verdicts))
