"""`mobench status`: where runs stand."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli import terminal
from mobench_lang.cli.failing import Failure


@click.command("status")
@click.argument("runs", nargs=-1, metavar="[RUN]…")
@click.option(
    "--runs", "root", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(runs: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Where a run stands: done, failed, left, and who works on it. Without RUN, every run."""
    import json
    from dataclasses import asdict

    from mobench_lang.collect.holder import RunError
    from mobench_lang.collect.standing import run_folders, standing
    from mobench_lang.report.tables import render

    folders = run_folders(root) if not runs else [_folder(name, root) for name in runs]
    try:
        found = [standing(f) for f in folders]
    except RunError as error:
        raise Failure(str(error)) from error
    if as_json:
        records = [{**asdict(s), "reasons": dict(s.reasons)} for s in found]
        click.echo(json.dumps(records, ensure_ascii=False, indent=1))
        return
    if not found:
        click.echo(f"there is no run in {root}")
        return
    rows = [
        (
            s.run_id,
            s.state,
            s.ok,
            s.failed + s.invalid,
            s.skipped,
            s.left,
            s.planned,
            ", ".join(f"{n}× {r}" for r, n in s.reasons),
        )
        for s in found
    ]
    click.echo(
        render(("run", "state", "ok", "failed", "skipped", "left", "of", "why"), rows, "table", terminal.width()),
        nl=False,
    )
    for s in found:
        if s.holder is not None:
            click.echo(f"{s.run_id} is worked on by process {s.holder}")


def _folder(name: str, root: Path) -> Path:
    for folder in (Path(name), root / name):
        if (folder / "run.json").is_file():
            return folder
    raise Failure(f"there is no run {name}: neither {name} nor {root / name} has a run.json")
