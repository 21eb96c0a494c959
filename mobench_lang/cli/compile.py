"""`mobench compile`: specs → build folders."""

from __future__ import annotations

from pathlib import Path

import click

from mobench_lang.cli import specs
from mobench_lang.cli.failing import Failure


@click.command("compile")
@click.argument("paths", nargs=-1, metavar="[SPEC]…")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("build"),
    show_default=True,
    help="Build folder; with several specs, a folder of them.",
)
@click.option("--locked", is_flag=True, help="Missing, changed and unpinned files are errors.")
@click.option("--json", "as_json", is_flag=True, help="Print what was compiled as JSON.")
def command(paths: tuple[str, ...], output: Path, locked: bool, as_json: bool) -> None:
    """Compile specs into build folders: plan, cells, and where each value came from.

    Without SPEC: the one file of this folder that holds a bench.
    """
    import json

    from mobench_lang.plan.compile import BuildFolderError, compile_bench

    found = specs.usable(paths, locked=locked)
    names = [s.checked.bench.name for s in found if s.checked.bench is not None]
    if len(set(names)) != len(names):
        raise Failure("two of these specs declare benches of one name; compile them one by one with -o")
    done = []
    for spec, name in zip(found, names, strict=True):
        folder = output if len(found) == 1 else output / name
        assert spec.checked.bench is not None  # noqa: S101 - usable() has seen to it
        try:
            plan = compile_bench(spec.checked.bench, folder, spec.checked.folders, spec.checked.lock).plan
        except BuildFolderError as error:
            raise Failure(str(error)) from error
        skipped = sum(s.count for s in plan.skipped)
        done.append(
            {"folder": str(folder), "bench": plan.bench, "cells": plan.cells, "skipped": skipped, "digest": plan.digest}
        )
        if not as_json:
            left_out = f", {skipped:,} skipped" if skipped else ""
            cells = f"{plan.cells:,} {'cell' if plan.cells == 1 else 'cells'}"
            click.echo(f"{folder}: {plan.bench}, {cells}{left_out}, {plan.digest[:19]}")
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False, indent=1))
