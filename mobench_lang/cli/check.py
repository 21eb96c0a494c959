"""`mobench check`: everything that is wrong with specs; writes nothing but with `--fix`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobench_lang.cli import specs

if TYPE_CHECKING:
    from mobench_lang.diagnostics import Diagnostic


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[SPEC]…")
@click.option(
    "--format", "form", type=click.Choice(specs.FORMATS), default="text", show_default=True, help="How to print."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--locked", is_flag=True, help="Missing, changed and unpinned files are errors.")
@click.option("--fix", is_flag=True, help="Apply the fixes that cannot change what is meant.")
def command(paths: tuple[str, ...], form: str, as_json: bool, locked: bool, fix: bool) -> None:
    """Say everything that is wrong with specs, at once.

    Without SPEC: the one file of this folder that holds a bench. `-` reads standard input. Exit status 2 after an
    error.
    """
    form = "json" if as_json else form
    found: list[Diagnostic] = []
    for path in specs.find(paths):
        if fix:
            _fix(path)
        found += specs.check(path, need_bench=False, locked=locked)[1]
    specs.say(tuple(found), form, to_stdout=True)
    if any(d.is_error for d in found):
        raise SystemExit(2)
    if form == "text" and not found:
        click.echo("no faults")


def _fix(path: Path) -> None:
    """Apply safe fixes until none is left; a fix may uncover another."""
    from mobench_lang.check import check_source
    from mobench_lang.cli.files import replace_text
    from mobench_lang.report.fixes import apply_fixes
    from mobench_lang.syntax import read

    if str(path) == specs.STDIN:
        raise click.UsageError("--fix needs a file")
    for _ in range(10):
        source = read(path)
        if isinstance(source, tuple):
            return
        text, count = apply_fixes(source, check_source(source).diagnostics)
        if not count:
            return
        replace_text(path, text)
        click.echo(f"{path}: {count} {'fix' if count == 1 else 'fixes'} applied", err=True)
